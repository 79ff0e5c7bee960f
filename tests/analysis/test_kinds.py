"""Reports of every kind of run: one shot, at the start, width sweeps, early stopping, and figures either way."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import made_up_run, reading

from gentickets.analysis.results import RunResults
from gentickets.analysis.text.recipe import facts, how_found
from gentickets.analysis.width_sweep import sweep_sentence
from gentickets.report import Summary, early_stop, summarize, table, write_report
from gentickets.report.plots.quality import comparison_plot, quality_plot
from gentickets.report.tables.run import full_table
from gentickets.results import Result

summarize, how_found, facts, RunResults = map(reading, (summarize, how_found, facts, RunResults))

HOW = "features a; N = 500 samples against 500 test images; evaluation-mode batch norm"
SEARCH: dict[str, Any] = {"rounds": 2, "keep": 0.8, "seeds": 3, "controls": [], "budget": False, "scaling": "off"}


def result(arm: str, seed: int, round: int, figures: Mapping[str, float], **changes: Any) -> Result:
    """A finished cell with the same figures on validation and test."""
    made = Result(arm, seed, round, 1 - 0.8**round, 500, 500, "last", dict(figures), dict(figures))
    return replace(made, **{"provenance": dict.fromkeys(figures, HOW), **changes})


def tickets(figure: str = "frechet", rounds: Sequence[int] = (0, 1, 2), **changes: Any) -> list[Result]:
    """Three seeds of dense and ticket, the ticket 1 lower in each round."""
    return [result("ticket", s, r, {figure: 20.0 - r + 0.1 * s}, **changes) for s in range(3) for r in rounds]


def sweep(values: Mapping[int, float], figure: str = "frechet", seeds: int = 3, **changes: Any) -> list[Result]:
    """Dense models by width; seeds scatter by 0.25 and the training images score 1 less."""
    return [
        result(
            "width", s, place, {figure: value + 0.25 * s}, train={figure: value + 0.25 * s - 1}, width=width,
            weights={"kept": 10 * width, "total": 10 * width, "all": 11 * width}, sparsity=0.0, **changes,
        )
        for s in range(seeds)
        for place, (width, value) in enumerate(values.items())
    ]  # fmt: skip


def sweeping(widths: Sequence[int], **search: Any) -> dict[str, Any]:
    """The resolved recipe of a sweep."""
    places = list(range(len(widths)))
    return {"search": {**SEARCH, "method": "widths", "widths": list(widths), "only_rounds": places, **search}}


def on_page(path: Path, results: Sequence[Result], recipe: Mapping[str, Any]) -> str:
    """The page of a run, without tags and with plain spaces."""
    made_up_run(path, results, recipe)
    page = write_report([path]).page.read_text(encoding="utf-8").split("</style>", 1)[1]
    return html.unescape(re.sub(r"<[^>]*>", "", page)).replace("\xa0", " ")


def cells_by_arm(summary: Summary) -> dict[str, dict[str, str]]:
    """Arm -> heading -> cell, of the last row of each arm."""
    header, lines = table(summary)
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


# Early stopping, by hand.

FALLS = [(10, 5.0), (20, 4.0), (30, 4.5), (40, 4.2), (50, 4.1), (60, 1.0)]


@pytest.mark.parametrize(
    ("curve", "patience", "tolerance", "step"),
    [
        (FALLS, 3, 0.0, 20),  # 4.5, 4.2 and 4.1 are three in a row that do not beat 4.0; the 1.0 comes too late
        (FALLS, 4, 0.0, None),  # the 1.0 is the fourth
        (FALLS, 1, 0.0, 20),
        (FALLS, 2, 0.2, 10),  # 4.0 and 4.5 are not more than 20 % below 5.0
        ([(1, 5.0), (2, 4.0), (3, 3.2), (4, 3.2)], 1, 0.2, 1),  # exactly 20 % is not more than 20 %
        ([(1, 5.0), (2, 3.99), (3, 3.2), (4, 3.2)], 1, 0.2, 2),
        ([(1, 5.0), (2, 5.0), (3, 5.0)], 2, 0.0, 1),  # a standstill is no improvement
        ([(1, 5.0), (2, 5.0), (3, 5.0)], 3, 0.0, None),
        ([(1, -5.0), (2, -5.4), (3, -5.5), (4, -5.8)], 2, 0.1, 1),  # 0.5 is not more than 10 % of 5
        ([(1, -5.0), (2, -5.4), (3, -5.8), (4, -5.8)], 2, 0.1, None),  # 0.8 is, and the wait starts again
        ([(1, float("nan")), (2, 3.0), (3, float("nan")), (4, 3.5)], 2, 0.0, 2),
        ([], 1, 0.0, None),
    ],
)
def test_the_early_stopping_step_by_hand(
    curve: list[tuple[int, float]], patience: int, tolerance: float, step: int | None
) -> None:
    assert early_stop(curve, patience=patience, tolerance=tolerance) == step
    mirrored = [(at, -value) for at, value in curve]
    assert early_stop(mirrored, patience=patience, tolerance=tolerance, higher=True) == step


def curve_of(values: Sequence[float], figure: str = "frechet") -> list[dict[str, Any]]:
    """Evaluations every 10 steps."""
    return [{"step": 10 * (place + 1), "valid": {figure: value}} for place, value in enumerate(values)]


def test_a_column_tells_when_training_would_have_stopped(tmp_path: Path) -> None:
    falling, early, late = [9.0, 8.0, 7.0, 6.0, 5.0], [9.0, 8.0, 8.5, 8.6, 7.0], [9.0, 8.0, 7.0, 7.5, 7.6]
    given = {0: [early, early, late], 1: [early, falling, falling], 2: [falling, falling, falling]}
    results = [replace(r, curve=curve_of(given[r.round][r.seed])) for r in tickets()]
    recipe = {"search": SEARCH, "quality": {"curve": 5, "patience": 2, "tolerance": 0.0}}
    summary = summarize(results, recipe)
    header, lines = table(summary)
    place = header.index("stops at")
    # Round 0: steps 20, 20 and 30; round 1: 20 and twice the last step, 50; round 2: never.
    assert [line[place] for line in lines] == ["23 ± 6", "≥ 40 ± 17", "≥ 50 ± 0"]
    assert [line[-1] for line in lines] == ["", "2 of 3 not before the end", "3 of 3 not before the end"]
    row = summary.row("ticket", 1)
    assert row is not None
    assert row.stops is not None
    assert (row.stops.never, row.stops.steps.values) == (2, {0: 20.0, 1: 50.0, 2: 50.0})
    text = on_page(tmp_path / "run", results, recipe)
    assert "When training would have stopped" in text
    assert "the best of 5 evaluations on validation before 2 in a row that brought no improvement" in text
    assert "at least: not before the end" in text
    without = summarize(tickets(), {"search": SEARCH})
    assert "stops at" not in table(without).columns


def test_early_stopping_follows_the_claimed_figure_and_its_direction() -> None:
    rising = [{"step": s, "valid": {"kl": 1.0, "frechet": 9.0 - s, "recall": v}} for s, v in enumerate((0.1, 0.3, 0.2))]
    quality = {"curve": 3, "patience": 1}
    claim = {"metric": "recall", "margin": 0.02, "level": 0.36}
    claimed = summarize([replace(r, curve=rising) for r in tickets("recall")],
                        {"search": SEARCH, "quality": quality, "claim": claim})  # fmt: skip
    assert claimed.rows[0].stops is not None
    assert (claimed.rows[0].stops.figure, claimed.rows[0].stops.steps.mean) == ("recall", 1.0)
    free = summarize([replace(r, curve=rising) for r in tickets("other")], {"search": SEARCH, "quality": quality})
    assert free.rows[0].stops is not None
    assert (free.rows[0].stops.figure, free.rows[0].stops.never) == ("frechet", 3)


# Width sweeps.


def test_a_sweep_has_a_table_of_widths() -> None:
    # Listed in another order than by size: the round is the place in the list.
    results = sweep({16: 18.0, 8: 20.0, 32: 17.0})
    summary = summarize(results, sweeping([16, 8, 32]))
    header, lines = table(summary)
    assert header[:4] == ["width", "weights", "Fréchet distance ↓ on test", "Fréchet distance ↓ on train"]
    assert header[4:] == ["minimum", "maximum", "notes"]
    assert lines[0][4:6] == ["20.00", "20.50"]
    assert [line[:2] for line in lines] == [["8", "88"], ["16", "176"], ["32", "352"]]
    assert lines[0][2:4] == ["20.25 ± 0.25 (3)", "19.25 ± 0.25 (3)"]
    assert (summary.verdict.word, summary.metric, summary.is_sweep) == ("no claim", "frechet", True)
    assert quality_plot(summary) == ""


def test_a_sweep_over_another_keyword_is_named_by_it() -> None:
    recipe = sweeping([8, 16], widen="critic_width")
    summary = summarize(sweep({8: 20.0, 16: 18.0}), recipe)
    assert table(summary).columns[0] == "critic_width"
    assert [row.name for row in summary.rows] == ["critic_width 8", "critic_width 16"]
    assert summary.verdict.sentence.startswith("Dense models with critic_width = 8 and 16 were trained")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((20.0, 18.0, 17.0), "improves at each of the 2 increases: from 20.25 ± 0.25 at 8 to 17.25 ± 0.25 at 32 "
                             "(a paired test at 5 % shows 2 of these)"),
        ((20.0, 21.0, 17.0), "improves at 1 of the 2 increases"),
        ((17.0, 18.0, 20.0), "improves at none of the 2 increases: from 17.25 ± 0.25 at 8 to 20.25 ± 0.25 at 32."),
    ],
)  # fmt: skip
def test_a_sweep_counts_the_increases_that_improve(values: Sequence[float], said: str) -> None:
    widths = (8, 16, 32)
    results = sweep(dict(zip(widths, values, strict=True)))
    assert said in sweep_sentence(RunResults(results, sweeping(widths)))
    higher = [
        replace(r, test={"recall": -r.test["frechet"]}, valid={}, train={}, provenance={"recall": HOW}) for r in results
    ]
    minus = "\N{MINUS SIGN}"
    assert said in sweep_sentence(RunResults(higher, sweeping(widths))).replace(minus, "")


def test_a_sweep_claims_no_more_than_its_seeds_and_its_samples_allow() -> None:
    few = sweep_sentence(RunResults(sweep({8: 20.0, 16: 18.0}, seeds=2), sweeping([8, 16], seeds=2)))
    assert "improves at the one increase: from 20.12 ± 0.18 at 8 to 18.12 ± 0.18 at 16 (not tested" in few
    assert "shows" not in few
    gone = [replace(r, collapsed="all alike") if r.round == 1 else r for r in sweep({8: 20.0, 16: 18.0, 32: 19.0})]
    said = sweep_sentence(RunResults(gone, sweeping([8, 16, 32])))
    assert "improves at none of the 2 increases" in said, "a step to collapsed samples is no improvement"
    assert "At width = 16 the samples collapsed in 3 seeds." in said
    assert table(summarize(gone, sweeping([8, 16, 32]))).rows[1][-1] == "3 collapsed"


def test_the_page_of_a_sweep_has_widths_in_place_of_sparsities(tmp_path: Path) -> None:
    results = sweep({8: 20.0, 16: 18.0, 32: 17.0})
    results = [replace(r, seconds={"train": 2.0}, losses=[{"step": s, "gan": 1.0} for s in (1, 2)]) for r in results]
    text = on_page(tmp_path / "run", results, sweeping([8, 16, 32]))
    for part in ("width sweep", "Width against quality", "All widths", "width 16", "nothing is pruned"):
        assert part in text
    for part in ("Sparsity against quality", "All arms", "undecided"):
        assert part not in text
    half = summarize([r for r in results if r.round < 2 or r.seed < 1], sweeping([8, 16, 32]))
    assert half.missing == ("the sweep: 7 of 9 rounds are done",)


# Levels that stand alone.


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"method": "iterative", "criterion": "magnitude"}, None),
        ({}, None),
        ({"method": "iterative", "criterion": "lamp"}, "pruned by LAMP"),
        ({"method": "one_shot", "criterion": "magnitude"}, "pruned in one shot"),
        ({"method": "one_shot", "criterion": "gradient"}, "pruned in one shot by weight times gradient"),
        ({"method": "at_start", "criterion": "snip"}, "found at the start by SNIP"),
        ({"method": "at_start", "criterion": "synflow", "cuts": 100}, "found at the start by SynFlow in 100 cuts"),
        ({"method": "at_start", "criterion": "my_own", "rewind_to": 50}, "found at step 50 by 'my_own'"),
    ],
)
def test_how_a_ticket_was_found(search: Mapping[str, Any], said: str | None) -> None:
    assert how_found({"search": search}) == said


def test_what_was_chosen_stands_on_the_page(tmp_path: Path) -> None:
    search = {**SEARCH, "method": "at_start", "criterion": "grasp", "temperature": 200.0, "score_batches": 1,
              "scope": "erk", "prune": ["generator"], "other": "fresh", "only_rounds": [1, 2]}  # fmt: skip
    train = {"steps": 500, "optimizer": "adam", "lr": 2e-4, "precision": "bf16", "compile": True}
    recipe = {"search": search, "train": train, "task": {"family": "gan", "network": "sngan"}}
    found = dict(facts(recipe))
    assert found["criterion"] == "GraSP, on 1 batch, discriminator's logits divided by 200"
    assert found["weights are ranked"] == "each layer by itself, at ERK densities"
    assert found["other components start"] == "freshly initialized"
    assert found["arithmetic of training"] == "bf16 (weights, optimizers, scores and figures in fp32), compiled"
    assert found["method"].startswith("at the start: each level is pruned by itself")
    text = on_page(tmp_path / "run", tickets(), recipe)
    assert all(value in text for value in found.values())
    assert "Each level is pruned by itself; dense is the same training without a mask." in text


def test_levels_that_stand_alone_miss_nothing_between() -> None:
    search = {**SEARCH, "method": "one_shot", "rounds": 8, "only_rounds": [4, 8], "controls": ["shuffle"],
              "control_rounds": [8]}  # fmt: skip
    results = tickets(rounds=(0, 4, 8))
    missing = summarize(results, {"search": search}).missing
    assert missing == ("shuffle: 0 of 3 rounds are done",)
    assert summarize(results, {"search": {**search, "method": "iterative", "only_rounds": None}}).missing[0] == (
        "ticket: 9 of 27 rounds are done"
    )


def test_components_that_go_on_trained_are_not_held_against_dense() -> None:
    summary = summarize(tickets(), {"search": {**SEARCH, "prune": ["generator"], "other": "trained"}})
    assert "to dense" not in table(summary).columns
    assert "With other = 'trained' the components that are not pruned go on" in summary.verdict.sentence


def test_a_narrow_model_says_what_is_equal_and_how_wide_it_is(tmp_path: Path) -> None:
    narrow = [
        result(arm, s, 2, {"frechet": 21.0}, sparsity=0.0, width=37)
        for arm in ("narrow", "narrow-weights")
        for s in range(3)
    ]
    recipe = {"search": {**SEARCH, "controls": ["narrow", "narrow-weights"]}}
    rows = cells_by_arm(summarize(tickets() + narrow, recipe))
    for arm in ("narrow dense of equal FLOPs", "narrow dense of equal weights"):
        assert (rows[arm]["sparsity"], rows[arm]["notes"]) == ("as 36.0 %", "width 37")
    text = on_page(tmp_path / "run", tickets() + narrow, recipe)
    assert "A narrow dense of equal weights has no mask, and as many weights as the ticket of its level." in text


# Figures.

MANY = ("frechet", "kid", "precision", "recall", "density", "coverage", "inception_score", "discriminator_loss")


def test_figures_carry_their_direction_and_stand_in_a_telling_order(tmp_path: Path) -> None:
    results = [
        replace(r, test=dict.fromkeys(("kl", *MANY), 2.0), provenance=dict.fromkeys(MANY, HOW)) for r in tickets()
    ]
    summary = summarize(results, {"search": SEARCH})
    assert summary.figures == (
        "frechet", "coverage", "kid", "precision", "recall", "density", "inception_score", "kl", "discriminator_loss",
    )  # fmt: skip
    header = table(summary).columns
    assert header[2:4] == ["Fréchet distance ↓ ± sd (n)", "to dense"]
    assert header[4:11] == [
        "minimum",
        "maximum",
        "minus dense",
        "95 % interval",
        "ahead of dense",
        "coverage ↑",
        "KID ↓",
    ]
    assert header[-3:] == ["KL divergence", "discriminator loss", "notes"]
    assert set(summary.secondary) < set(header)
    assert len(table(summary, most=3).columns) == len(header) - 6
    assert summary.better["recall"] == "higher"
    assert (summary.better["kid"], summary.better["kl"]) == ("lower", None)
    text = on_page(tmp_path / "run", results, {"search": SEARCH})
    for part in ("Inception Score ↑", "higher is better", "says nothing of quality by itself", "Every metric"):
        assert part in text
    assert text.count(HOW) >= len(MANY)


def test_a_sweep_can_spare_every_figure_but_its_metric() -> None:
    results = [
        replace(r, test={**r.test, "coverage": 0.5}, train={**r.train, "coverage": 0.4}) for r in sweep({8: 2.0})
    ]
    summary = summarize(results, sweeping([8]))
    header = table(summary).columns
    assert set(header) - set(summary.secondary) - {"minimum", "maximum"} == {
        "width", "weights", "Fréchet distance ↓ on test", "Fréchet distance ↓ on train", "notes",
    }  # fmt: skip


def test_the_first_figure_with_a_direction_leads_where_nothing_is_claimed() -> None:
    figures = {"kl": 1.0, "discriminator_loss": 2.0, "recall": 0.5}
    results = [replace(r, valid=figures, test=figures, provenance={}) for r in tickets()]
    assert summarize(results, {"search": SEARCH}).metric == "recall"


def test_every_figure_has_its_spread_and_its_training_images() -> None:
    results = [replace(r, train={"frechet": 10.0 + r.seed}) for r in tickets()]
    header, lines = full_table(summarize(results, {"search": SEARCH}))
    assert header[:4] == ["arm", "sparsity", "Fréchet distance ↓ on test", "Fréchet distance ↓ on train"]
    assert header[4:] == ["minimum", "maximum", "minus dense", "95 % interval", "ahead of dense", "notes"]
    assert lines[0][3] == "11.00 ± 1.00 (3)"


def test_values_measured_in_another_way_stay_out_of_the_column() -> None:
    odd = [result("shuffle", s, 2, {"frechet": 5.0, "recall": 0.5}, provenance={"frechet": "N = 9", "recall": HOW})
           for s in range(3)]  # fmt: skip
    results = [replace(r, test={**r.test, "recall": 0.6}, provenance=dict.fromkeys(("frechet", "recall"), HOW))
               for r in tickets()]  # fmt: skip
    summary = summarize(results + odd, {"search": {**SEARCH, "controls": ["shuffle"]}})
    row = cells_by_arm(summary)["shuffled mask"]
    assert (row["Fréchet distance ↓ ± sd (n)"], row["to dense"]) == ("\N{EN DASH}", "\N{EN DASH}")
    assert row["recall ↑"] != "\N{EN DASH}"
    assert row["notes"] == "Fréchet distance measured in another way"
    assert summary.row("shuffle") is not None
    assert summary.provenance["frechet"] == (HOW, "N = 9")


def test_the_dense_runs_decide_how_a_figure_is_measured() -> None:
    results = [replace(r, provenance={"frechet": "N = 9"}) if r.round else r for r in tickets()]
    summary = summarize(results, {"search": SEARCH})
    assert [row.apart for row in summary.rows] == [{}, {"frechet": 3}, {"frechet": 3}]
    assert list(summary.rows[0].test) == ["frechet"]


def test_floors_do_not_keep_numbers_apart() -> None:
    results = [replace(r, provenance={"frechet": f"{HOW}; floor real against real {r.round}"}) for r in tickets()]
    assert [row.apart for row in summarize(results, {"search": SEARCH}).rows] == [{}, {}, {}]


def test_runs_that_do_not_compare_stand_in_tables_of_their_own(tmp_path: Path) -> None:
    recipe = {"search": SEARCH}
    other = [replace(r, provenance={"frechet": "features b; N = 10"}) for r in tickets()]
    for name, results in (("a", tickets()), ("b", other), ("c", tickets()), ("d", tickets("recall"))):
        on_page(tmp_path / name, results, recipe)
    page = write_report([tmp_path / name for name in "abcd"], tmp_path / "all.html").page.read_text(encoding="utf-8")
    overview = page.split('<section class="run"')[0]
    tables = overview.split("<table>")[1:]
    assert [re.findall(r'href="#run(\d)"', text) for text in tables] == [["0", "2"], ["1"], ["3"]]
    summaries = [summarize(tickets(), recipe, "a"), summarize(other, recipe, "b")]
    assert comparison_plot(summaries).count("worse than dense by (%)") == 2
    assert comparison_plot(summaries[:1] * 2).count("worse than dense by (%)") == 1


def test_a_far_control_leaves_on_the_side_that_is_worse() -> None:
    search = {"search": {**SEARCH, "controls": ["shuffle"]}}

    def drawn(figure: str, value: float) -> str:
        far = [result("shuffle", s, 2, {figure: value}) for s in range(3)]
        return quality_plot(summarize(tickets(figure) + far, search))

    assert "a control lies above" in drawn("frechet", 80.0)
    assert "a control lies below" in drawn("recall", -80.0)
    assert "a control lies" not in drawn("frechet", 17.0)
    assert "a control lies" not in drawn("recall", 80.0)
    assert "higher is better" in drawn("recall", 19.0)


def test_a_wide_range_has_plain_numbers_on_its_axis() -> None:
    results = [replace(r, test={"frechet": 100.0**r.round}) for r in tickets()]
    drawn = quality_plot(summarize(results, {"search": SEARCH}))
    assert "mathdefault" not in drawn
    assert {"1", "100", "10000"} <= set(re.findall(r">([\d.]+)</text>", drawn))


def test_ties_are_noted_in_the_row_and_on_the_page(tmp_path: Path) -> None:
    tied = {"critic": 0.61, "generator": 0.01}
    results = [replace(r, tied=tied) if r.round else r for r in tickets()]
    recipe = {"search": {**SEARCH, "criterion": "snip"}}
    summary = summarize(results, recipe)
    assert [line[-1] for line in table(summary).rows] == ["", *["critic 61.0 % tied at the cut"] * 2]
    text = on_page(tmp_path / "run", results, recipe)
    assert "Up to 61.0 % of the weights of 'critic' tie at the cut, so SNIP says little there" in text
    assert "generator' tie" not in text
