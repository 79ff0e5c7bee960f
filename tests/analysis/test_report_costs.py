"""Early birds and costs in reports: what emerged, what explains a ticket, what everything cost."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import Page, made_up_run, reading, unlike

from gentickets.analysis.costs import ArmCost
from gentickets.analysis.early_bird import emergence, emergence_table
from gentickets.analysis.pareto import ParetoPoint, pareto_front
from gentickets.analysis.plain import plain
from gentickets.analysis.results import RunResults
from gentickets.analysis.text.captions import tiles
from gentickets.analysis.text.costs import search_table, sentence, size_table, work_table
from gentickets.analysis.text.format import engineering
from gentickets.analysis.text.recipe import facts, how_found
from gentickets.analysis.written import REPORT
from gentickets.report import Report, Summary, judge, summarize, table, write_report
from gentickets.report.plots.costs import pareto_plot as drawn_front
from gentickets.report.plots.costs import time_spent
from gentickets.report.plots.early_bird import distances
from gentickets.report.plots.layers import densities
from gentickets.report.plots.quality import comparison_plot
from gentickets.report.schemas import schema_of
from gentickets.results import Result

summarize, judge, how_found, facts, RunResults = map(reading, (summarize, judge, how_found, facts, RunResults))

STEPS, FOUND = 400, 100
"""Steps of a dense training, and the step at which the first level emerges."""
DENSE_STEP, TICKET_STEP = 6e9, 1.5e9
"""FLOPs of a training step: half the channels, a quarter of the FLOPs."""
EVALUATED = 1e10
GROUPS = {"encoder.0": 32, "encoder.2": 64, "decoder.0": 64, "decoder.2": 32}
CONTROLS = ("random-channels", "low-channels", "scratch", "scratch-flops")
MATCHED_STEPS = 700
"""Of the narrow network that costs as much as search and ticket: 100 dense steps are 400 narrow ones, and 300 more."""
RECIPE: dict[str, Any] = {
    "seed": 0,
    "task": {"family": "vae", "network": "conv"},
    "data": {"name": "digits", "batch_size": 64},
    "train": {"steps": STEPS},
    "search": {
        "method": "early_bird", "by": "channels", "rounds": 2, "only_rounds": [1, 2], "keep": 0.5, "every": 10,
        "patience": 5, "tolerance": 0.2, "rule": "corrected", "gamma_l1": 1e-4, "after": "continue", "multiple": 1,
        "rewind_to": 0, "seeds": 3, "controls": list(CONTROLS), "control_rounds": [1], "scope": "component",
        "budget": True, "longer": 0,
    },
    "claim": {
        "metric": "negative_elbo", "margin": 2.0, "unit": "absolute", "lead": 0.5, "level": 0.5, "looks": 1,
        "controls": ["random-channels", "low-channels", "scratch"],
    },
}  # fmt: skip
LOSSES = {
    "dense": 102.5, "ticket": 102.0, "budget": 100.8, "random-channels": 103.1, "low-channels": 103.6,
    "scratch": 104.0, "scratch-flops": 102.9,
}  # fmt: skip


def asked(**search: Any) -> dict[str, Any]:
    """The same recipe, with other keys of [search]."""
    return {**RECIPE, "search": {**RECIPE["search"], **search}}


def told(seed: int, steps: Mapping[int, int | None]) -> dict[str, Any]:
    """What the arm ``search`` says: distances that fall exponentially, faster for the encoder."""
    levels = [
        {"round": round, "density": 0.5**round, "step": step,
         "why": None if step else f"{WHY}."}
        for round, step in steps.items()
    ]  # fmt: skip
    trace = [
        {"step": look, "round": round, "component": component, "limit": 0.2, "initial": 1 - math.exp(-look / 40),
         "distance": math.exp(-look / slow) + 0.01 * seed + 0.04 * round if look >= 50 else None,
         "share": math.exp(-look / slow) + 0.02 * seed if look >= 50 else None, "share_limit": 0.4 - look / 2000}
        for round, step in steps.items()
        for look in range(10, (step or STEPS) + 1, 10)
        for component, slow in (("encoder", 35.0), ("decoder", 55.0))
    ]  # fmt: skip
    null = {
        "encoder": {"units": 96, "factor": 0.3, "vacuous": "'encoder' has 6 units to rank, too few" if seed else None},
        "decoder": {"units": 96, "factor": 0.3, "vacuous": None},
    }
    return {
        "rule": "corrected", "by": "channels", "tolerance": 0.2, "patience": 5, "every": 10, "gamma_l1": 1e-4,
        "levels": levels, "trace": trace, "null": null,
    }  # fmt: skip


def channels(density: float) -> dict[str, list[int]]:
    return {group: [round(size * density), size] for group, size in GROUPS.items()}


def cell(arm: str, seed: int, round: int, steps: int, value: float | None, **changes: Any) -> Result:
    """A finished cell of `steps` steps, compact where its round and arm say so."""
    density = 0.5**round if arm in ("ticket", *CONTROLS) else 1.0
    step = DENSE_STEP * density**2
    figures = {} if value is None else {"negative_elbo": value, "frechet": value - 90}
    made = Result(
        arm, seed, round, 1 - density, STEPS, steps, "last",
        {name: figure + 0.3 for name, figure in figures.items()}, figures,
        weights={"kept": int(40960 * density**2), "total": 40960, "all": 41800},
        channels=channels(density) if round else {},
        flops={"dense": 3e7, "masked": 3e7 * density**2, "own": 3e7 * density**2, "step": step},
        seconds={"train": steps * 0.01 * density, "evaluate": 0.5, "store": 0.1},
        spent={"train": steps * step, "evaluate": EVALUATED * density**2},
        memory=int(2e8 * density), energy=None,
    )  # fmt: skip
    return replace(made, **changes)


def searched(seed: int, steps: Mapping[int, int | None]) -> Result:
    """The arm ``search``: it ends when the last level has emerged."""
    taken = max(step or STEPS for step in steps.values())
    return cell(
        "search", seed, 0, taken, None, early_bird=told(seed, steps),
        seconds={"train": taken * 0.011, "checks": 0.2, "store": 0.1},
        spent={"train": taken * DENSE_STEP, "checks": 0.0},
    )  # fmt: skip


def early_birds(**losses: float) -> list[Result]:
    """A whole run: half the channels emerge at step 100, three quarters at step 150 (a little later by seed)."""
    means, found = {**LOSSES, **{name.replace("_", "-"): value for name, value in losses.items()}}, []
    for seed in range(3):
        jitter = (-0.05, 0.0, 0.05)[seed]
        steps = {1: FOUND, 2: 150 + 10 * seed}
        ready = {"compact": 0.05}
        found += [searched(seed, steps), cell("ticket", seed, 0, STEPS, means["dense"] + jitter)]
        found.append(cell("budget", seed, 0, 2 * STEPS, means["budget"] + jitter, selection="best on validation"))
        for round, step in steps.items():
            own = cell("ticket", seed, round, STEPS - step, means["ticket"] + 2 * (round - 1) + 1.1 * jitter)
            found.append(replace(own, seconds={**own.seconds, **ready}, spent={**own.spent, "compact": 1e6}))
        for place, arm in enumerate(CONTROLS):
            taken = {"scratch": STEPS, "scratch-flops": MATCHED_STEPS}.get(arm, STEPS - FOUND)
            span = MATCHED_STEPS if arm == "scratch-flops" else STEPS
            value = means[arm] + jitter * (1.3 + 0.1 * place)
            found.append(replace(cell(arm, seed, 1, taken, value), steps=span))
    return found


def of(summary: Summary, arm: str, round: int) -> ArmCost:
    return next(cost for cost in summary.costs if (cost.arm, cost.round) == (arm, round))


def broken(results: Sequence[Result], arm: str, seed: int, round: int, status: str, why: str) -> list[Result]:
    """The same results, with one cell that came to nothing."""
    return [
        replace(r, status=status, test={}, valid={}, why=why) if (r.arm, r.seed, r.round) == (arm, seed, round) else r
        for r in results
    ]


def without(results: Sequence[Result], arm: str, seed: int | None = None) -> list[Result]:
    return [r for r in results if r.arm != arm or seed not in (None, r.seed)]


@pytest.fixture(scope="module")
def whole() -> Summary:
    """The summary of a finished run; tests only read it."""
    return summarize(early_birds(), RECIPE, "early")


WHY = "no early bird emerged at 75.0 % sparsity in 40 looks: 'decoder' is still moving"


def half_emerged() -> list[Result]:
    """A run in which seed 1 has no early bird at three quarters of the channels."""
    results = broken(without(early_birds(), "search", 1), "ticket", 1, 2, "failed", f"{WHY}.")
    return [*results, searched(1, {1: FOUND, 2: None})]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of two finished runs; in the second a level did not emerge."""
    folder = tmp_path_factory.mktemp("runs")
    runs = [made_up_run(folder / "one", early_birds(), RECIPE), made_up_run(folder / "two", half_emerged(), RECIPE)]
    return write_report(runs, folder / "both")


@pytest.fixture(scope="module")
def page(written: Report) -> Page:
    """Its page."""
    return Page(written.page.read_text(encoding="utf-8"))


def test_a_level_of_channels_says_so_and_how_many_weights_that_is(whole: Summary) -> None:
    start = (
        "WINS AT EQUAL STEPS at 50.0 % of the channels removed [75.0 % of the weights; an early bird by channels, "
        "continued from the step at which it emerged] (3 seeds): by negative ELBO the ticket is at least"
    )
    assert whole.verdict.sentence.startswith(start)
    assert whole.verdict.of_channels
    assert whole.verdict.lighter == pytest.approx(0.75)
    narrowed = judge(early_birds(), asked(prune=["decoder"])).sentence
    assert "at 50.0 % of the decoder's channels removed [75.0 % of the prunable weights; an early" in narrowed


@pytest.mark.parametrize("control", ["random-channels", "low-channels", "scratch"])
def test_where_a_control_as_narrow_does_as_well_the_choice_of_channels_explains_nothing(control: str) -> None:
    verdict = judge(early_birds(**{control: 102.0}), RECIPE)
    name = {"random-channels": "random channels do", "low-channels": "lowest-scored channels do"}
    said = "As far as these seeds tell, a narrower network explains the ticket's negative ELBO, not the choice of "
    said += "channels: "
    assert verdict.word == "NO BETTER THAN A CONTROL"
    assert f"{said}{name.get(control, 'narrow from scratch does')} as well." in verdict.sentence
    assert verdict.explained_by == (control,)
    assert plain(verdict, REPORT)["explained_by"] == [control]


def test_all_that_explain_a_ticket_are_named_together() -> None:
    said = judge(early_birds(scratch=101.0, random_channels=101.9), RECIPE).sentence
    assert "not the choice of channels: random channels and narrow from scratch do as well." in said


def test_a_ticket_that_does_not_hold_is_explained_too() -> None:
    verdict = judge(early_birds(ticket=110.0, random_channels=110.0, low_channels=120.0, scratch=120.0), RECIPE)
    assert verdict.word == "WORSE THAN DENSE"
    assert verdict.explained_by == ("random-channels",)
    assert "not the choice of channels: random channels do as well." in verdict.sentence


def test_without_a_claim_the_ticket_is_explained_all_the_same() -> None:
    plain = {**asked(only_rounds=[1], rounds=1), "claim": None}
    results = [r for r in early_birds(scratch=102.0) if r.round < 2]
    verdict = judge(results, plain)
    assert (verdict.word, verdict.explained_by) == ("no claim", ("scratch",))
    assert verdict.sentence.endswith("not the choice of channels: narrow from scratch does as well.")
    assert judge([r for r in early_birds() if r.round < 2], plain).explained_by == ()


def test_nothing_is_explained_by_what_is_beaten_or_untested(whole: Summary) -> None:
    two = judge([r for r in early_birds(scratch=102.0) if r.seed < 2], asked(seeds=2))
    assert (whole.verdict.word, two.word) == ("WINS AT EQUAL STEPS", "UNDECIDED")
    assert not any("explains" in one.sentence for one in (whole.verdict, two))
    masked = judge(early_birds(scratch=102.0), asked(by="weights"))
    assert (masked.word, masked.explained_by) == ("NO BETTER THAN A CONTROL", ())


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (100.0, "better than the ticket"),
        (104.0, "worse than the ticket"),
        (102.0, "with no clear difference from the ticket"),
    ],
)
def test_the_narrow_network_of_equal_flops_is_told_and_decides_nothing(value: float, said: str) -> None:
    verdict = judge(early_birds(scratch_flops=value), RECIPE)
    assert verdict.word == "WINS AT EQUAL STEPS"
    text = r"trained for as many FLOPs as search and ticket together, reaches [\d.]+, " + said
    assert re.search(text, verdict.sentence)
    assert verdict.short is not None
    assert [other.control for other in verdict.short.controls] == ["random-channels", "low-channels", "scratch"]
    assert plain(verdict, REPORT)["short"]["matched"]["n"] == 3


def test_without_the_narrow_network_of_equal_flops_a_win_is_still_a_win() -> None:
    few = without(early_birds(), "scratch-flops", 2)
    verdict = judge(few, RECIPE)
    assert verdict.word == "WINS AT EQUAL STEPS"
    assert verdict.short is not None
    assert (verdict.short.matched, dict(verdict.short.unfinished)) == (None, {})
    assert summarize(few, RECIPE).missing == ("scratch-flops: 2 of 3 rounds are done",)


def test_it_is_not_trained_longer_and_a_lasting_win_does_not_wait_for_it() -> None:
    longer = {"ticket": 101.0, "random-channels": 102.0, "low-channels": 102.2, "scratch": 102.4}
    tail = [
        replace(cell(arm, seed, 1, 1900, value + 0.02 * seed * (1 + place)), arm=f"{arm}-longer", steps=2000)
        for seed in range(3)
        for place, (arm, value) in enumerate(longer.items())
    ]
    tail += [cell("dense-longer", seed, 0, 2000, 101.2 + 0.03 * seed) for seed in range(3)]
    assert judge([*early_birds(), *tail], asked(longer=5)).word == "WINS"


def test_the_table_tells_channels_and_has_no_row_for_the_search(whole: Summary) -> None:
    header, lines = table(whole)
    assert header[:2] == ["arm", "channels removed"]
    shown = {line[0]: line[1] for line in lines}
    assert shown["dense"] == "0.0 %"
    as_narrow = {"random channels", "lowest-scored channels", "narrow from scratch", "narrow from scratch, equal FLOPs"}
    assert {name for name, size in shown.items() if size == "as 50.0 %"} == as_narrow
    assert "search" not in {row.arm for row in whole.rows}
    assert not any("search" in name for name in shown)
    weights = table(summarize(early_birds(), asked(by="weights"))).columns
    assert weights[1] == "sparsity"


def test_a_search_is_awaited_but_is_no_control() -> None:
    results = without(early_birds(), "search", 2)
    assert summarize(results, RECIPE).missing == ("search: 2 of 3 rounds are done",)
    cells = RunResults(early_birds(), RECIPE)
    assert cells.controls == list(CONTROLS)
    assert cells.rounds_to(2) == [0, 2]
    assert summarize(early_birds(), RECIPE).missing == ()


def test_a_level_that_did_not_emerge_is_told_with_its_reason(page: Page) -> None:
    summary = summarize(half_emerged(), RECIPE)
    assert summary.verdict.word == "WINS AT EQUAL STEPS", "the claim's own level emerged in every seed"
    assert summary.missing == ()
    assert summary.troubles == (f"ticket at 75.0 %: failed in seed 1: {WHY}.",)
    assert summary.emergence is not None
    header, lines = emergence_table(summary.emergence)
    assert header == ["seed", "50.0 %", "75.0 %"]
    assert lines[1] == ["1", "step 100 (25.0 %)", f"did not emerge: {WHY}."]
    assert f"did not emerge: {WHY}." in page.text
    other = judge(half_emerged(), {**RECIPE, "claim": {**RECIPE["claim"], "level": 0.75}})
    assert other.word == "FAILED"
    assert f"the ticket failed in seed 1 ({WHY}); a ticket has to work in every seed." in other.sentence


def test_controls_are_awaited_only_where_their_ticket_emerged() -> None:
    missing = summarize(half_emerged(), asked(control_rounds=[1, 2])).missing
    assert missing == tuple(f"{control}: 3 of 5 rounds are done" for control in CONTROLS)


def test_a_search_that_diverged_is_a_trouble() -> None:
    results = broken(early_birds(), "search", 0, 0, "diverged", "the loss became NaN at step 31")
    for round in (1, 2):
        results = broken(results, "ticket", 0, round, "not run", "it needs search round 0 of seed 0, which is diverged")
    summary = summarize(results, RECIPE)
    assert summary.troubles[0] == "early-bird search: diverged in seed 0: the loss became NaN at step 31."
    assert summary.verdict.word == "FAILED"
    assert summary.emergence is not None
    assert summary.emergence.seeds() == [0, 1, 2]


def test_without_a_claim_the_last_level_is_told_first() -> None:
    summary = summarize(early_birds(), {**RECIPE, "claim": None})
    assert summary.verdict.word == "no claim"
    (emerged, cost) = tiles(summary)
    assert emerged[1:] == ("step 160", "in 3 of 3 seeds, mean; 40.0 % of the training")
    assert (cost[0], cost[2]) == ("search cost", "of the FLOPs of one dense training")
    assert sentence(summary).startswith("The ticket at 75.0 % of the channels removed cost 0.40 dense trainings")
    assert tiles(summarize([r for r in early_birds() if r.arm == "ticket"], {**RECIPE, "claim": None})) == []


def test_what_emerged_is_told_as_data(whole: Summary) -> None:
    seen = whole.emergence
    assert seen is not None
    assert [(level.seed, level.step, level.share) for level in seen.of(2)] == [
        (0, 150, 0.375), (1, 160, 0.4), (2, 170, 0.425),
    ]  # fmt: skip
    assert seen.vacuous == ("'encoder' has 6 units to rank, too few.",)
    assert {look.limit for look in seen.trace} == {0.2}
    assert emergence(RunResults(without(early_birds(), "search"), RECIPE)) is None


def test_a_rule_that_is_vacuous_says_so_whatever_way_it_is_told() -> None:
    result = searched(0, {1: FOUND})
    bird = {**result.early_bird, "vacuous": ["the published rule says nothing at 97.0 % sparsity"]}
    bird["null"] = {"generator": {"0.5": {"vacuous": True}}, "critic": {"vacuous": None}, "odd": 3}
    seen = emergence(RunResults([replace(result, early_bird=bird)], RECIPE))
    assert seen is not None
    assert seen.vacuous == (
        "the published rule says nothing at 97.0 % sparsity.",
        "In 'generator' the rule is vacuous: it would fire on noise.",
    )


def test_distances_have_a_panel_for_each_level_and_one_against_noise(whole: Summary) -> None:
    svg = distances(whole.emergence, True)
    for text in ("50.0 % of the channels", "75.0 % of the channels", "against noise", "encoder", "decoder", "limit"):
        assert f">{text}</text>" in svg
    assert distances(None, True) == ""
    assert whole.emergence is not None
    plain = replace(
        whole.emergence, rule="published", trace=tuple(replace(look, share=None) for look in whole.emergence.trace)
    )
    svg = distances(plain, False)
    assert "against noise" not in svg
    assert "50.0 % of the weights" in svg
    nothing = tuple(replace(look, distance=None) for look in whole.emergence.trace)
    assert distances(replace(whole.emergence, trace=nothing), True) == ""


def test_what_an_arm_took_is_the_mean_over_its_seeds(whole: Summary) -> None:
    search, ticket = of(whole, "search", 0), of(whole, "ticket", 2)
    assert (search.name, search.steps, search.n) == ("early-bird search", 160.0, 3)
    assert search.seconds["train"] == pytest.approx(160 * 0.011)
    assert search.spent["train"] == 160 * DENSE_STEP
    assert (ticket.steps, ticket.channels, ticket.memory) == (240.0, (48.0, 192.0), 5e7)
    assert of(whole, "dense", 0).channels is None


def test_the_whole_cost_of_a_ticket_has_its_search_in_it(whole: Summary) -> None:
    narrow, wide = TICKET_STEP, DENSE_STEP
    # The level's own steps of the search, its compacting, and its training; evaluations are left out.
    ticket = FOUND * wide + 1e6 + (STEPS - FOUND) * narrow
    assert of(whole, "ticket", 1).whole["flops"] == pytest.approx(ticket)
    assert of(whole, "random-channels", 1).whole["flops"] == pytest.approx(ticket)
    assert of(whole, "scratch", 1).whole["flops"] == pytest.approx(STEPS * narrow)
    assert of(whole, "scratch-flops", 1).whole["flops"] == pytest.approx(ticket, rel=1e-4)
    assert of(whole, "dense", 0).whole == {"flops": pytest.approx(STEPS * wide), "seconds": pytest.approx(STEPS * 0.01)}
    seconds = sum((FOUND / (150 + 10 * seed)) * ((150 + 10 * seed) * 0.011 + 0.2) for seed in range(3)) / 3
    assert of(whole, "ticket", 1).whole["seconds"] == pytest.approx(seconds + 0.05 + 300 * 0.005)


def test_the_front_is_what_no_other_network_beats_in_cost_and_quality(whole: Summary) -> None:
    on = {unit: [(one.arm, one.round) for one in whole.choices if unit in one.front] for unit in ("flops", "seconds")}
    # The narrow network of equal FLOPs pays for no compacting: a hair cheaper than the ticket, and worse.
    assert set(on["flops"]) == {("scratch", 1), ("scratch-flops", 1), ("ticket", 1), ("budget", 0)}
    assert "dense" not in {arm for arm, _ in on["seconds"]}
    for higher in (False, True):
        best = pareto_front(whole.choices, "flops", higher)
        for one in whole.choices:
            # Brute force: nothing is at least as cheap and better, or cheaper and as good.
            beaten = any(_beats(other, one, higher) for other in whole.choices)
            assert beaten != any(one is kept for kept in best), (one.name, higher)


def _beats(other: ParetoPoint, one: ParetoPoint, higher: bool) -> bool:
    sign = -1 if higher else 1
    loss = sign * (other.quality.mean - one.quality.mean)
    cost = (other.cost["flops"] or 0) - (one.cost["flops"] or 0)
    return loss <= 0 and cost <= 0 and (loss < 0 or cost < 0)


def test_what_collapsed_or_failed_is_not_on_the_front() -> None:
    best = [one.round for one in summarize(early_birds(), RECIPE).choices if one.arm == "ticket" and one.front]
    assert best == [1]
    about = {**RECIPE, "claim": {**RECIPE["claim"], "metric": "frechet"}}
    gone = [replace(r, collapsed="alike") if (r.arm, r.round, r.seed) == ("ticket", 1, 0) else r for r in early_birds()]
    for results, recipe in (
        (gone, about),
        (broken(early_birds(), "ticket", 0, 1, "failed", "no memory"), RECIPE),
    ):
        ticket = next(one for one in summarize(results, recipe).choices if (one.arm, one.round) == ("ticket", 1))
        assert (ticket.sound, ticket.front) == (False, ())
    assert next(one for one in summarize(gone, RECIPE).choices if (one.arm, one.round) == ("ticket", 1)).sound


def test_the_bill_in_a_sentence(whole: Summary) -> None:
    # Search 100 dense steps of 6 G and a little compacting, of a dense training of 400 steps.
    dense = STEPS * DENSE_STEP + EVALUATED
    found = (FOUND * DENSE_STEP + 1e6) / dense
    both = found + ((STEPS - FOUND) * TICKET_STEP + EVALUATED / 4) / dense
    said = sentence(whole)
    assert f"The ticket at 50.0 % of the channels removed cost {found:.2f} dense trainings in FLOPs (" in said
    assert f", and {both:.2f} dense trainings in FLOPs (" in said
    assert "it repays its search after 1 training by FLOPs and after" in said
    header, lines = search_table(whole)
    assert header[0] == "ticket at"
    assert [line[0] for line in lines] == ["50.0 %", "75.0 %"]
    assert dict(zip(header, lines[0], strict=True))["to find, by FLOPs"] == f"{found:.2f}"


def test_a_mask_never_repays_its_search() -> None:
    results = [replace(r, channels={}) for r in early_birds()]
    said = sentence(summarize(results, asked(by="weights")))
    assert "at 50.0 % sparsity cost" in said
    assert "Its mask alone saves nothing in use, so that the search is never repaid by FLOPs or by seconds." in said


def test_a_ticket_that_is_no_cheaper_never_repays_its_search() -> None:
    slow = [
        replace(r, seconds={**r.seconds, "train": 9.0}, spent={**r.spent, "train": 1e13}) if r.channels else r
        for r in early_birds()
    ]
    summary = summarize(slow, RECIPE)
    assert "no cheaper to train than the dense model, so that the search is never repaid" in sentence(summary)
    header, lines = search_table(summary)
    assert dict(zip(header, lines[0], strict=True))["repaid after, by FLOPs"] == "never"


def test_a_run_that_tells_no_flops_is_billed_in_seconds(whole: Summary) -> None:
    older = summarize([replace(r, spent={}, memory=None) for r in early_birds()], RECIPE)
    said = sentence(older)
    assert "dense trainings in seconds to find" in said
    assert "FLOPs" not in said
    header, _ = search_table(older)
    assert not any("FLOPs" in name for name in header)
    assert "FLOPs executed" not in work_table(older).columns
    assert "peak memory" not in work_table(older).columns
    assert "FLOPs executed" in work_table(whole).columns
    assert all(one.cost["flops"] is None for one in older.choices)
    assert "FLOPs executed" not in drawn_front(older)
    assert "FLOPs executed" in drawn_front(whole)
    assert "seconds to find and train it" in drawn_front(older)
    assert ">FLOPs executed, all rounds and seeds<" in time_spent(whole)
    assert ">FLOPs executed, all rounds and seeds<" not in time_spent(older)


def test_tables_of_cost_say_what_is_theoretical_and_what_was_executed(whole: Summary) -> None:
    header, lines = size_table(whole)
    row = dict(zip(header, next(line for line in lines if line[0] == "ticket at 50.0 %"), strict=True))
    assert row == {
        "arm": "ticket at 50.0 %", "channels kept": "96 of 192", "prunable weights kept": "10,240 of 40,960",
        "FLOPs dense": "30 M", "FLOPs masked, theoretical": "7.5 M", "FLOPs as trained": "7.5 M",
        "FLOPs of a training step": "1.5 G",
    }  # fmt: skip
    header, lines = work_table(whole)
    assert [line[0] for line in lines][:3] == ["early-bird search", "dense", "dense, whole budget"]
    took = dict(zip(header, lines[0], strict=True))
    assert (took["steps"], took["FLOPs executed"]) == ("160", "960 G")
    assert (took["checks"], took["peak memory"]) == ("0.20", "200 MB")
    assert "energy" not in header
    told = [replace(r, energy=2500.0) for r in early_birds()]
    header, lines = work_table(summarize(told, RECIPE))
    assert dict(zip(header, lines[0], strict=True))["energy"] == "2.5 kJ"


def test_the_page_tells_all_of_it(page: Page) -> None:
    for text in (
        "When early birds emerged", "step 100 (25.0 %)", "'encoder' has 6 units to rank, too few.", "theoretical",
        "Quality against cost", "Where the time went", "early-bird search", "What each group of channels keeps",
        "whose jobs ran side by side on this machine", "gentickets cost", "Pareto front", "50.0 % of channels",
        "50.0 % of them carry 75.0 % of the prunable weights", "700 steps", "search cost", "ticket: an early bird",
        "Random channels and lowest-scored channels: as many of each group", "cost in dense trainings",
    ):  # fmt: skip
        assert text in page.text, text
    assert len(page.ids) == len(set(page.ids))


def test_hostile_names_of_components_groups_and_phases_stay_text(tmp_path: Path) -> None:
    bad = "</text><script>alert(1)</script> {{ 7 * 7 }} $\\frac$"
    results = [
        replace(
            r,
            channels={bad: [1, 2]} if r.channels else {},
            seconds={bad: 1.0},
            spent={bad: 2.0},
            early_bird={
                **r.early_bird,
                "null": {bad: {"vacuous": bad}},
                "rule": bad,
                "levels": [{**level, "step": None, "why": bad} for level in r.early_bird["levels"]],
                "trace": [{**look, "component": bad} for look in r.early_bird["trace"]],
            }
            if r.early_bird
            else {},
        )
        for r in early_birds()
    ]
    page = Page(write_report([made_up_run(tmp_path / "run", results, RECIPE)]).page.read_text(encoding="utf-8"))
    assert page.count("script") == 0
    assert page.text.count("<script>alert(1)</script> {{ 7 * 7 }}") >= 8


def test_report_json_has_all_of_it_as_plain_data(written: Report) -> None:
    told = json.loads(written.data.read_text(encoding="utf-8"))
    assert unlike(told, schema_of("report")) == []
    run, _ = told["runs"]
    assert run["of_channels"] is True
    assert run["search_cost"][0]["break_even_trainings"]["flops"] == 1
    assert run["emergence"]["levels"][0]["step"] == FOUND
    assert {cost["arm"] for cost in run["costs"]} == {"search", "ticket", "dense", "budget", *CONTROLS}
    assert run["choices"][0]["cost"]["flops"] > 0
    assert run["spent"]["search"]["train"] == 480 * DENSE_STEP
    assert run["verdict"]["lighter"] == pytest.approx(0.75)


def test_how_an_early_bird_was_found_in_words() -> None:
    assert how_found(asked(after="rewind", rewind_to=30, rule="published")) == (
        "an early bird by channels, by the published rule, rewound to step 30"
    )
    by_weights = how_found(asked(by="weights", criterion="snip"))
    assert by_weights == "an early bird by weights (SNIP), continued from the step at which it emerged"
    chosen = dict(facts(RECIPE))
    assert chosen["channels are ranked"] == "each component by itself"
    assert chosen["tolerance"] == "0.2, of the newest of 5 masks to all others"
    assert chosen["checks"] == "every 10 steps"
    assert chosen["penalty on norm scales"] == "L1, 0.0001, while it is searched"
    assert chosen["rounds start from"] == "the step at which each level emerged"
    assert "criterion" in chosen
    assert "norm scale" in chosen["criterion"]
    other = dict(
        facts(asked(rule="published", tolerance=None, multiple=16, by="weights", after="rewind", gamma_l1=0.0))
    )
    assert other["tolerance"].startswith("0.1,")
    assert "Hamming" in other["rule"]
    assert other["channels kept"] == "multiples of 16 in each group"
    assert other["penalty on norm scales"] == "none"
    assert other["rounds start from"] == "the weights of step 0"
    assert other["weights are ranked"] == "each component by itself"


def test_compact_layers_are_mapped_by_their_channels(whole: Summary) -> None:
    results = [replace(r, densities={"encoder.0.weight": 1.0}) for r in early_birds()]
    svg = densities(results)
    assert "channels kept in each group" in svg
    assert re.search(r">\s*50\s*<", svg)
    assert "encoder.0.weight" not in svg


def test_channels_compare_with_masks_by_the_weights_they_remove() -> None:
    masked = [replace(r, channels={}, sparsity=1 - 0.5**r.round) for r in early_birds() if r.arm == "ticket"]
    other = {**RECIPE, "search": {"method": "iterative", "rounds": 2, "keep": 0.5, "seeds": 3}}
    svg = comparison_plot([summarize(early_birds(), RECIPE, "a"), summarize(masked, other, "b")])
    assert "weights removed (%)" in svg
    assert ">93.8<" in svg, "three quarters of the channels are 93.75 % of the weights"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1.12e16, "", "11.2 P"), (2.4e6, "", "2.4 M"), (45e6, "B", "45 MB"), (999.0, "J", "999 J"), (0.0, "", "0")],
)
def test_large_numbers_get_a_prefix(value: float, unit: str, text: str) -> None:
    assert engineering(value, unit) == text


if __name__ == "__main__":
    target = Path(sys.argv[1])
    print(write_report([made_up_run(target / "early", early_birds(), RECIPE)]).sentence)


# -- operators whose FLOPs are not known -----------------------------------------------------------------------

UNKNOWN = "elsewhere::twice"


def with_unknown(*phases: str) -> Summary:
    named = {phase: [UNKNOWN] for phase in phases}
    return summarize([replace(one, uncounted=named) for one in early_birds()], RECIPE, "early")


def columns(told: tuple[list[str], list[list[str]]]) -> dict[str, list[str]]:
    header, rows = told
    return {name: list(cells) for name, cells in zip(header, zip(*rows, strict=True), strict=True)}


def test_lower_bounds_are_marked_and_compared_with_nothing(tmp_path: Path) -> None:
    summary = with_unknown("forward", "step", "train")
    assert summary.uncounted == (UNKNOWN,)
    assert summary.as_dict()["uncounted"] == [UNKNOWN]
    said = f"FLOPs are at least what they say, and compared with nothing: no count is known of the operator {UNKNOWN}."
    assert any(trouble.startswith(said) for trouble in summary.troubles)
    marked = {**columns(size_table(summary)), **columns(work_table(summary))}
    for name in ("FLOPs executed", "FLOPs dense", "FLOPs masked, theoretical", "FLOPs of a training step"):
        assert all(cell.startswith("\N{GREATER-THAN OR EQUAL TO} ") for cell in marked[name]), name
    assert not any("FLOPs" in name for name in search_table(summary).columns)
    assert "FLOPs" not in sentence(summary)
    assert " in seconds to find" in sentence(summary)
    assert all(cost.whole["flops"] is None and cost.whole["seconds"] is not None for cost in summary.costs)
    assert all(choice.cost["flops"] is None and "flops" not in choice.front for choice in summary.choices)
    assert any("seconds" in choice.front for choice in summary.choices)
    for level in summary.search_cost:
        assert level["search"]["uncounted"] == level["ticket"]["uncounted"] == [UNKNOWN]
        assert level["break_even_trainings"]["flops"] is level["search_in_dense_trainings"]["flops"] is None
    unknown = [replace(one, uncounted={"train": [UNKNOWN]}) for one in early_birds()]
    write_report([made_up_run(tmp_path / "run", unknown, RECIPE)])
    assert said in Page((tmp_path / "run" / "report.html").read_text(encoding="utf-8")).text


def test_an_unknown_operator_in_evaluating_spoils_no_cost_of_training(whole: Summary) -> None:
    summary = with_unknown("evaluate")
    assert [cost.whole for cost in summary.costs] == [cost.whole for cost in whole.costs]
    assert search_table(summary) == search_table(whole)
    assert columns(size_table(summary)) == columns(size_table(whole))
    cells = columns(work_table(summary))["FLOPs executed"]
    assert all(cell.startswith("\N{GREATER-THAN OR EQUAL TO} ") for cell in cells[1:]), (
        "all but the search, without one"
    )


def test_a_run_whose_operators_are_all_known_says_nothing_of_it(whole: Summary) -> None:
    assert whole.uncounted == ()
    assert not any("at least" in trouble for trouble in whole.troubles)
