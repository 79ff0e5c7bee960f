"""The report: what stands in it, that nothing in it runs, and that half a run is reported as half."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Page, made_up_run, reading, unlike
from scipy import stats

from gentickets.analysis.text.format import arm_name, decimals, difference, fixed, percent, plus_minus
from gentickets.errors import Status, TicketError
from gentickets.recipe import read_recipe
from gentickets.report import Report, Spread, summarize, table, write_report
from gentickets.report.plots.layers import densities
from gentickets.report.plots.quality import comparison_plot, quality_plot
from gentickets.report.schemas import schema_of
from gentickets.results import Result

(summarize,) = map(reading, (summarize,))

LAYERS = ("encoder.0.weight", "encoder.2.weight", "decoder.0.weight", "decoder.2.weight")
PROVENANCE = {
    "negative_elbo": "mean over 500 test images, one draw of the latent each",
    "frechet": "64 features of the digits classifier (98.2 %, sha 1f2e), 500 against 500, floor 0.9",
}
RECIPE: dict[str, Any] = {
    "seed": 0,
    "task": {"family": "vae", "network": "mlp"},
    "data": {"name": "digits"},
    "train": {"steps": 500},
    "search": {
        "rounds": 6,
        "keep": 0.8,
        "rewind_to": 50,
        "seeds": 3,
        "controls": ["reinit", "shuffle"],
        "scaling": "both",
        "budget": True,
        "longer": 0,
    },
    "claim": {
        "metric": "negative_elbo",
        "margin": 2.0,
        "unit": "absolute",
        "level": 0.672,
        "looks": 1,
        "controls": ["reinit", "shuffle"],
    },
}
GAIN = (0.0, -0.2, -0.4, -0.6, -0.75, -0.72, 1.9)
"""Ticket minus dense by round: better up to 67 %, then worse."""


def png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """A grey PNG, written by hand: signature, header, one zlib stream, end."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape
    lines = b"".join(b"\0" + bytes(line) for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def cell(arm: str, seed: int, round: int, value: float, **changes: Any) -> Result:
    """One finished cell with figures around `value`."""
    sparsity = 0.0 if arm in ("budget", "dense-longer") else 1 - 0.8**round
    rng = np.random.default_rng([seed, round, len(arm)])
    falling = {step: 60 * np.exp(-step / 80) + value + rng.normal(0, 1) for step in range(0, 500, 5)}
    figures = {"negative_elbo": value, "frechet": 8 + value - 102.5, "reconstruction": 0.02 + value / 1e4}
    full = Result(
        arm, seed, round, sparsity, 500, 500, "last",
        {name: figure + 0.3 for name, figure in figures.items()}, figures, PROVENANCE,
        losses=[{"step": step, "vae": float(loss)} for step, loss in falling.items()],
        densities={layer: min(1.0, 0.8**round * (0.7 + 0.2 * place)) for place, layer in enumerate(LAYERS)},
        weights={"kept": int(40960 * 0.8**round), "total": 40960, "all": 41800},
        flops={"dense": 2.4e6, "masked": 2.4e6 * 0.8**round},
        seconds={"train": 2.6 + 0.1 * seed, "score": 0.05, "evaluate": 0.6, "store": 0.1},
    )  # fmt: skip
    return replace(full, **changes)


def results_of(seeds: int = 3) -> list[Result]:
    """A whole run with known figures: dense 102.56, ticket better up to 67 %, controls worse, budget 99."""
    found = []
    for seed in range(seeds):
        jitter = (-0.02, 0.0, 0.02)[seed % 3]
        found += [cell("ticket", seed, r, 102.56 + jitter + gain * (1 + 4 * jitter)) for r, gain in enumerate(GAIN)]
        found.append(cell("budget", seed, 0, 99 + jitter, steps=3200, selection="best on validation"))
        for r, worse in ((5, 0.0), (6, 2.2)):
            for arm, value in (("reinit", 102.98), ("reinit-scaled", 103.1), ("shuffle", 103.31)):
                found.append(cell(arm, seed, r, value + worse + 2 * jitter))
            found.append(cell("shuffle-scaled", seed, r, 103.25 + worse - jitter))
    return found


def make_run(
    path: Path,
    results: list[Result] | None = None,
    recipe: Mapping[str, Any] = RECIPE,
    text: str = "seed = 0\n",
) -> Path:
    """A run folder as `find` leaves it, with pictures."""
    results = results_of() if results is None else results
    versions = {"gentickets": "0.1.0", "torch": "2.10"}
    command = "gentickets find digits_vae"
    made_up_run(path, results, recipe, device="cpu", threads=1, versions=versions, command=command)
    (path / "recipe.toml").write_text(text, encoding="utf-8")
    for one in results:
        if one.status == "done":
            folder = path / f"seed-{one.seed}" / one.arm / f"round-{one.round:02d}"
            pixels = np.random.default_rng(len(one.arm)).integers(0, 255, (64, 64), dtype=np.uint8)
            (folder / "samples.png").write_bytes(png(pixels))
            (folder / "reconstructions.png").write_bytes(png(pixels // 2))
    return path


def page_of(path: Path) -> Page:
    """Report on one run and read the page."""
    return Page(write_report([path]).page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of a finished run; tests only read it."""
    return write_report([make_run(tmp_path_factory.mktemp("runs") / "digits_vae")])


@pytest.mark.usefixtures("plotless")
def test_a_page_of_somebody_else_is_kept_in_the_run_too(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "report.html").write_text("mine")
    with pytest.raises(
        TicketError, match=r"report.html is no page of gentickets, and is not overwritten; move it away"
    ):
        write_report([run])
    assert (run / "report.html").read_text() == "mine"
    assert not (run / "report.json").exists()
    (run / "report.html").rename(run / "mine")
    write_report([run])
    (run / "report.json").write_text("cut")
    assert json.loads(write_report([run]).data.read_text())["runs"], "damaged beside our page: written anew"
    with pytest.raises(TicketError, match="mine is a file, not a folder for a report"):
        write_report([run], run / "mine")


def test_a_whole_run_becomes_one_page_and_one_json(whole: Report) -> None:
    run, report = whole.page.parent, whole
    assert report.page == run / "report.html"
    assert report.data == run / "report.json"
    page = Page(report.page.read_text(encoding="utf-8"))
    assert report.sentence.replace(" ", "") in page.text.replace("\xa0", "").replace(" ", "")
    assert report.sentence.startswith("WINS AT EQUAL STEPS at 67.2 % sparsity")
    for title in ("Sparsity against quality", "All arms", "Other metrics", "Samples", "Reconstructions",
                  "What each layer keeps", "Training", "Where the time went", "Size and cost",
                  "How each number was measured", "Machine, versions, command"):  # fmt: skip
        assert title in page.text
    for part in (
        PROVENANCE["frechet"],
        "gentickets find digits_vae",
        "theoretical",
        "compute-matched",
        "seed = 0",
    ):
        assert part in page.text
    assert page.count("svg") == 6
    assert {path.name for path in run.iterdir() if path.is_file()} == {
        "run.json", "recipe.toml", "report.html", "report.json",
    }  # fmt: skip


def test_the_page_needs_nothing_from_outside(whole: Report) -> None:
    page = Page(whole.page.read_text(encoding="utf-8"))
    addresses = [value or "" for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href")]
    assert len([address for address in addresses if address.startswith("data:image/png;base64,")]) == 10
    assert [address for address in addresses if not address.startswith(("data:image/png;base64,", "#"))] == []
    assert page.count("script") == page.count("link") == page.count("iframe") == 0
    assert page.count("metadata") == 0


def test_ids_of_a_page_are_unique_and_references_meet(tmp_path: Path) -> None:
    few = [r for r in results_of() if r.round != 6]
    runs = [make_run(tmp_path / name, few) for name in ("a", "b")]
    page = Page(write_report(runs, tmp_path / "both").page.read_text(encoding="utf-8"))
    ids = page.ids
    assert len(ids) == len(set(ids))
    wanted = {str(v)[1:] for _, attrs in page.tags for k, v in attrs.items() if "href" in k and str(v)[:1] == "#"}
    wanted |= {str(attrs["clip-path"])[5:-1] for _, attrs in page.tags if "clip-path" in attrs}
    assert wanted
    assert wanted <= set(ids)


def test_figures_follow_the_theme_and_the_same_run_gives_the_same_page(whole: Report) -> None:
    first = whole.page.read_text(encoding="utf-8")
    assert "var(--ticket)" in first.split("<svg", 1)[1]
    assert "prefers-color-scheme: dark" in first
    assert write_report([whole.page.parent]).page.read_text(encoding="utf-8") == first


def test_hostile_names_and_texts_stay_text(tmp_path: Path) -> None:
    bad = "</pre></text><script>alert('x')</script><img src=x onerror=alert(1)>"
    bad += '" onload="alert(1) {{ 7 * 7 }} $\\frac$'
    recipe = {**RECIPE, "claim": {**RECIPE["claim"], "metric": bad}}
    recipe["search"] = {**RECIPE["search"], "controls": [bad]}
    results = [
        replace(
            r,
            arm=r.arm if r.arm in ("ticket", "budget") else bad,
            test={**r.test, bad: r.test["negative_elbo"]},
            valid={**r.valid, bad: r.valid["negative_elbo"]},
            provenance={bad: bad},
            losses=[{"step": 1, bad: 2.0}, {"step": 2, bad: 1.0}],
            densities={bad: 0.5},
            seconds={bad: 1.0},
            selection=bad,
            why=bad,
            collapsed=bad,
        )
        for r in results_of()
        if r.arm in ("ticket", "budget", "reinit")
    ]
    run = make_run(tmp_path / "run", [r for r in results if r.arm != bad], recipe, text=bad)
    for place, one in enumerate(r for r in results if r.arm == bad):
        folder = run / f"seed-{one.seed}" / "other" / f"round-{place:02d}"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(one.to_json(), encoding="utf-8")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "command": bad, bad: bad}))
    page = page_of(run)
    assert page.count("script") == 0
    assert [attrs for tag, attrs in page.tags if tag == "img" and attrs.get("src") == "x"] == []
    assert [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)] == []
    assert "{{ 7 * 7 }}" in page.text
    assert page.text.count("<script>alert('x')</script>") >= 12


def test_a_hostile_folder_name_stays_text(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "<script>alert(1)<script>", []))
    assert page.count("script") == 0
    assert "<script>alert(1)<script>" in page.text


@pytest.mark.usefixtures("plotless")
def test_only_png_files_are_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "seed-0" / "ticket" / "round-00" / "samples.png").write_text("<svg onload='alert(1)'/>")
    assert page_of(run).count("img") == 9


@pytest.mark.usefixtures("plotless")
def test_an_unfinished_run_says_what_is_missing(tmp_path: Path) -> None:
    results = [r for r in results_of(2) if r.arm == "ticket" and r.round < 4]
    run = make_run(tmp_path / "half", results)
    report = write_report([run])
    missing = report.summaries[0].missing
    assert missing[:2] == ("2 of 3 seeds have started", "ticket: 8 of 14 rounds are done")
    assert {line.split(":")[0] for line in missing[2:]} == {"reinit", "shuffle", "budget"}
    assert report.summaries[0].verdict.word == "UNDECIDED"
    text = Page(report.page.read_text(encoding="utf-8")).text
    assert "Unfinished: 2 of 3 seeds have started" in text


def test_a_run_without_any_result_is_reported_too(tmp_path: Path) -> None:
    report = write_report([make_run(tmp_path / "new", [])])
    assert report.summaries[0].rows == ()
    assert "nothing is done yet" in report.sentence
    assert tuple(table(report.summaries[0])) == (
        ["arm", "sparsity", "negative ELBO ↓ ± sd (n)", "to dense", "notes"],
        [],
    )


def test_a_finished_run_misses_nothing() -> None:
    assert summarize(results_of(), RECIPE).missing == ()


@pytest.mark.usefixtures("plotless")
def test_failed_cells_are_listed_with_their_reason(tmp_path: Path) -> None:
    results = [
        replace(r, status="failed", test={}, valid={}, why="the loss became NaN at step 31")
        if (r.arm, r.seed, r.round) == ("ticket", 1, 5)
        else r
        for r in results_of()
    ]
    run = make_run(tmp_path / "run", results)
    report = write_report([run])
    row = report.summaries[0].row("ticket", 5)
    assert row is not None
    assert (row.n, row.failed) == (2, 1)
    assert report.summaries[0].verdict.word == "FAILED"
    assert "seed 1: the loss became NaN at step 31" in Page(report.page.read_text(encoding="utf-8")).text


def broken(results: list[Result], arm: str, seed: int, round: int, status: str, why: str) -> list[Result]:
    """The same results, with one cell that came to nothing."""
    return [
        replace(r, status=status, test={}, valid={}, why=why) if (r.arm, r.seed, r.round) == (arm, seed, round) else r
        for r in results
    ]


@pytest.mark.usefixtures("plotless")
def test_troubles_name_arm_level_seeds_and_reason(tmp_path: Path) -> None:
    results = results_of()
    for seed in (0, 2):
        results = broken(results, "ticket", seed, 6, "diverged", "the loss became NaN at step 31.")
        for arm in ("reinit", "shuffle"):
            why = f"it needs ticket round 6 of seed {seed}, which is diverged"
            results = broken(results, arm, seed, 6, "not run", why)
    results = broken(results, "budget", 1, 0, "failed", "no memory")
    report = write_report([make_run(tmp_path / "run", results)])
    summary = report.summaries[0]
    assert summary.troubles == (
        "ticket at 73.8 %: diverged in seeds 0 and 2: the loss became NaN at step 31.",
        "dense, whole budget: failed in seed 1: no memory.",
        "Not run behind them: re-initialized (2 cells) and shuffled mask (2 cells).",
    )
    row = summary.row("ticket", 6)
    assert row is not None
    assert (row.n, row.failed, row.diverged) == (1, 0, 2)
    lines = {(line[0], line[1]): line for line in table(summary).rows}
    assert lines["ticket", "73.8 %"][-1] == "2 diverged"
    text = Page(report.page.read_text(encoding="utf-8")).text
    assert all(trouble in text for trouble in summary.troubles)
    assert summarize(results_of(), RECIPE).troubles == ()


def test_a_narrow_dense_model_is_as_small_as_its_ticket(tmp_path: Path) -> None:
    narrow = [cell("narrow", seed, 5, 103.0, sparsity=0.0) for seed in range(3)]
    recipe = {**RECIPE, "search": {**RECIPE["search"], "controls": ["reinit", "shuffle", "narrow"]}}
    lines = {line[0]: line for line in table(summarize(results_of() + narrow, recipe)).rows}
    assert lines["narrow dense of equal FLOPs"][1] == "as 67.2 %"
    text = page_of(make_run(tmp_path / "run", results_of() + narrow, recipe)).text
    assert "narrow dense of equal FLOPs · as 67.2 %" in text


@pytest.mark.usefixtures("plotless")
def test_rounds_that_go_on_from_trained_weights_have_no_column_against_dense(tmp_path: Path) -> None:
    search = {**RECIPE["search"], "rewind": "lr", "controls": []}
    recipe = {**RECIPE, "search": search, "claim": None}
    results = [r for r in results_of() if r.arm == "ticket"]
    header, lines = table(summarize(results, recipe))
    assert "to dense" not in header
    assert all(len(line) == len(header) for line in lines)
    note = "With rewind = 'lr' a round goes on from the trained weights of the last"
    assert page_of(make_run(tmp_path / "run", results, recipe)).text.count(note) == 2


@pytest.mark.usefixtures("plotless")
def test_a_narrowed_pruning_is_said_on_the_page(tmp_path: Path) -> None:
    recipe = {**RECIPE, "search": {**RECIPE["search"], "prune": ["decoder"]}}
    text = page_of(make_run(tmp_path / "run", recipe=recipe)).text.replace("\xa0", " ")
    assert "only the decoder's weights are pruned" in text
    share = (40960 - int(40960 * 0.8**5)) / 41800
    said = (
        f"Sparsity is the removed share of the decoder's weights; 67.2 % of them are {percent(share)} of all parameters"
    )
    assert said in text


@pytest.mark.usefixtures("plotless")
def test_a_divergence_is_called_no_merit(tmp_path: Path) -> None:
    results = [replace(r, test={**r.test, "kl": 12.0 + r.seed}) for r in results_of()]
    text = page_of(make_run(tmp_path / "run", results)).text
    assert "KL divergence is a part of the negative ELBO and no merit of its own" in text
    assert "says nothing of quality by itself" in text
    assert "KL divergence" not in page_of(make_run(tmp_path / "other")).text


@pytest.mark.usefixtures("plotless")
def test_one_seed_is_not_called_seeds(tmp_path: Path) -> None:
    recipe = {**RECIPE, "search": {**RECIPE["search"], "seeds": 1}}
    assert "1 seeds" not in page_of(make_run(tmp_path / "run", results_of(1), recipe)).text


def test_layers_stand_in_the_order_of_the_network() -> None:
    names = ("out.10.weight", "in.0.weight", "a.weight")
    results = [replace(r, densities=dict.fromkeys(names, 0.5)) for r in results_of()]
    svg = densities(results)
    assert sorted(names, key=svg.index) == list(names)


def test_sparsities_of_several_runs_are_all_on_the_axis() -> None:
    other = [replace(r, sparsity=1 - 0.5**r.round) for r in results_of() if r.arm == "ticket" and r.round < 4]
    axis = comparison_plot([summarize(results_of(), RECIPE, "a"), summarize(other, RECIPE, "b")])
    shown = set(re.findall(r">([\d.]+)</text>", axis))
    assert {"20", "36", "73.8", "87.5"} <= shown  # 50 is too close to 48.8 for both to be written


def test_the_note_about_a_far_control_stands_beside_the_axes() -> None:
    far = [replace(r, test={"negative_elbo": 500.0}) if r.arm == "reinit" else r for r in results_of()]
    said = "a control lies above"
    assert said in quality_plot(summarize(far, RECIPE))
    assert said not in quality_plot(summarize(results_of(), RECIPE))


def test_rows_start_with_dense_and_the_honest_budget() -> None:
    rows = summarize(results_of(), RECIPE).rows
    assert [(row.arm, row.round) for row in rows[:4]] == [
        ("dense", 0),
        ("budget", 0),
        ("ticket", 1),
        ("ticket", 2),
    ]
    assert [row.arm for row in rows if row.honest] == ["budget"]
    assert {row.round for row in rows if row.at_level} == {5}


def test_numbers_of_a_row_are_those_of_the_seeds() -> None:
    row = summarize(results_of(), RECIPE).row("dense")
    assert row is not None
    spread = row.test["negative_elbo"]
    assert spread.mean == pytest.approx(102.56)
    assert spread.sd == pytest.approx(0.02)
    assert (spread.n, sorted(spread.values)) == (3, [0, 1, 2])
    assert row.valid["negative_elbo"].mean == pytest.approx(102.86)


def spread_out(seeds: int, metric: str = "negative_elbo") -> list[Result]:
    """Results whose arms differ from seed to seed."""
    rng = np.random.default_rng(4)
    return [replace(r, test={metric: 100 - r.round + float(rng.normal())}, valid={}) for r in results_of(seeds)]


@pytest.mark.parametrize("explores", [False, True])
@pytest.mark.parametrize("seeds", [3, 10])
def test_every_run_shows_paired_differences_from_dense_with_intervals(seeds: int, explores: bool) -> None:
    """Without a claim and of a run that explores; against SciPy's paired t interval."""
    recipe = {**RECIPE, "search": {**RECIPE["search"], "seeds": seeds}, "claim": RECIPE["claim"] if explores else None}
    results = spread_out(seeds)
    told = read_recipe(recipe, name="run")
    summary = summarize(results, told.exploring() if explores else told)
    assert summary.verdict.word == ("no verdict" if explores else "no claim")
    by = {(r.arm, r.round, r.seed): r.test["negative_elbo"] for r in results}
    own = np.array([by["ticket", 5, seed] for seed in range(seeds)])
    losses = own - [by["ticket", 0, seed] for seed in range(seeds)]
    low, high = stats.ttest_1samp(losses, 0).confidence_interval(0.95)
    row = summary.row("ticket", 5)
    assert row is not None
    assert row.difference is not None
    assert (row.difference.mean, row.difference.low) == (pytest.approx(losses.mean()), pytest.approx(low))
    header, lines = table(summary)
    line = next(dict(zip(header, one, strict=True)) for one in lines if one[:2] == ["ticket", "67.2 %"])
    assert (line["minimum"], line["maximum"]) == (f"{own.min():.2f}", f"{own.max():.2f}")
    assert line["95 % interval"] == f"{low:.2f} to {high:.2f}".replace("-", "\N{MINUS SIGN}")
    assert line["ahead of dense"] == f"{(losses < 0).sum()} of {seeds}"
    assert ("95 % bootstrap" in header) == (row.difference.bootstrap is not None) == (seeds >= 10)
    data = summary.as_dict()["rows"]
    there = next(one for one in data if (one["arm"], one["round"]) == ("ticket", 5))
    assert there["difference"]["ahead"] == (losses < 0).sum()
    assert there["test"]["negative_elbo"]["minimum"] == own.min()
    assert summary.row("dense") is not None
    assert next(one for one in data if one["arm"] == "dense")["difference"] is None


def test_where_more_is_better_a_seed_above_dense_is_ahead() -> None:
    results = spread_out(3, "coverage")
    row = summarize(results, {**RECIPE, "claim": None}).row("ticket", 5)
    assert row is not None
    assert row.difference is not None
    assert (row.difference.mean < 0, row.difference.ahead) == (True, 0)


def test_a_single_seed_has_no_such_columns() -> None:
    recipe = {**RECIPE, "search": {**RECIPE["search"], "seeds": 1}, "claim": None}
    header, _ = table(summarize(spread_out(1), recipe))
    assert "minimum" not in header
    assert "95 % interval" not in header


def test_the_table_of_the_terminal() -> None:
    header, lines = table(summarize(results_of(), RECIPE))
    assert header[:4] == ["arm", "sparsity", "negative ELBO ↓ ± sd (n)", "to dense"]
    assert header[4:9] == ["minimum", "maximum", "minus dense", "95 % interval", "ahead of dense"]
    assert header[9:] == ["Fréchet distance ↓", "reconstruction ↓", "notes"]
    by_arm = {(line[0], line[1]): line for line in lines}
    assert by_arm["dense", "0.0 %"][2:4] == ["102.56 ± 0.02 (3)", "\N{EN DASH}"]
    assert by_arm["ticket", "67.2 %"][3] == "\N{MINUS SIGN}0.70 %"
    assert by_arm["ticket", "67.2 %"][-1] == "claim"
    assert by_arm["dense, whole budget", "0.0 %"][-1] == "compute-matched"
    assert all(len(line) == len(header) for line in lines)


def test_longer_arms_are_held_against_the_longer_dense_run() -> None:
    tail = [cell("dense-longer", s, 0, 99.0 + s) for s in range(3)]
    tail += [cell("ticket-longer", s, 5, 99.99 + s) for s in range(3)]
    lines = {line[0]: line for line in table(summarize(results_of() + tail, RECIPE)).rows}
    assert lines["dense, longer"][3] == "\N{EN DASH}"
    assert lines["ticket, longer"][3] == "+0.99 %"


def test_seconds_are_summed_by_arm_and_phase() -> None:
    seconds = summarize(results_of(), RECIPE).seconds
    assert seconds["dense"]["train"] == pytest.approx(2.6 + 2.7 + 2.8)
    assert seconds["ticket"]["train"] == pytest.approx(6 * (2.6 + 2.7 + 2.8))
    assert list(seconds)[:3] == ["dense", "budget", "ticket"]


def test_report_json_is_plain_and_versioned(whole: Report) -> None:
    data = json.loads(whole.data.read_text(encoding="utf-8"))
    assert data["format"] == 2
    assert unlike(data, schema_of("report")) == []
    (run,) = data["runs"]
    assert run["verdict"]["word"] == "WINS AT EQUAL STEPS"
    assert run["verdict"]["short"]["against"]["good"]["shown"] is True
    assert [other["good"]["shown"] for other in run["verdict"]["short"]["controls"]] == [True] * 4
    assert run["rows"][0]["arm"] == "dense"
    assert run["rows"][0]["test"]["negative_elbo"]["values"]["0"] == pytest.approx(102.54)


@pytest.mark.usefixtures("plotless")
def test_one_seed_gives_a_json_without_infinities(tmp_path: Path) -> None:
    recipe = {**RECIPE, "search": {**RECIPE["search"], "seeds": 1}}
    report = write_report([make_run(tmp_path / "run", results_of(1), recipe)])
    run = json.loads(report.data.read_text(encoding="utf-8"))["runs"][0]
    assert run["verdict"]["short"]["against"]["loss"]["bound"] is None
    assert "1 seed is too few" in report.sentence


def test_numbers_that_are_not_finite_become_null() -> None:
    odd = [replace(r, flops={"dense": float("nan")}) for r in results_of()]
    text = json.dumps(summarize(odd, RECIPE).as_dict(), allow_nan=False)
    assert json.loads(text)["rows"][0]["flops"] == {"dense": None}


@pytest.mark.usefixtures("plotless")
def test_several_runs_share_a_page_and_need_a_place(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "one"), make_run(tmp_path / "two", results_of(2))]
    with pytest.raises(TicketError, match="--out"):
        write_report(runs)
    report = write_report(runs, tmp_path / "both.html")
    assert (report.page, report.data) == (tmp_path / "both.html", tmp_path / "both.json")
    page = Page(report.page.read_text(encoding="utf-8"))
    assert "2 runs compared" in page.text
    assert {"one", "two"} <= set(page.text.split())
    assert not (tmp_path / "one" / "report.html").exists()


@pytest.mark.usefixtures("plotless")
def test_a_run_without_a_claim_still_has_its_figures(tmp_path: Path) -> None:
    recipe = {name: value for name, value in RECIPE.items() if name != "claim"}
    report = write_report([make_run(tmp_path / "run", recipe=recipe)])
    assert report.summaries[0].metric == "negative_elbo"
    assert report.summaries[0].verdict.word == "no claim"


@pytest.mark.usefixtures("plotless")
def test_a_collapse_is_flagged_in_table_and_pictures(tmp_path: Path) -> None:
    flagged = [replace(r, collapsed="all alike") if r.arm == "reinit" and r.seed == 0 else r for r in results_of()]
    run = make_run(tmp_path / "run", flagged)
    text = page_of(run).text
    assert "1 collapsed" in text
    assert "67.2 %; collapsed" in text


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(TicketError, match=r"nothing-here is no run"):
        write_report([tmp_path / "nothing-here"])
    with pytest.raises(TicketError, match="at least one"):
        write_report([])


@pytest.mark.usefixtures("plotless")
def test_damaged_files_are_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "seed-1" / "ticket" / "round-03" / "result.json").write_text('{"format": 1, "arm"')
    with pytest.raises(TicketError, match=r"round-03/result\.json is damaged") as caught:
        write_report([run])
    assert caught.value.status == Status.TICKET
    (run / "run.json").write_text('{"format": 1}')
    with pytest.raises(TicketError, match=r"run\.json is damaged"):
        write_report([run])


@pytest.mark.usefixtures("plotless")
def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(TicketError, match="cannot write") as caught:
        write_report([run], tmp_path / "file" / "out")
    assert caught.value.status == Status.STORAGE


def test_reports_never_import_torch_or_pyplot() -> None:
    code = "import sys, gentickets.report; print({'torch', 'matplotlib.pyplot'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_rounding_follows_the_spread() -> None:
    spread = Spread.of({0: 101.73, 1: 101.84, 2: 101.95})
    assert spread is not None
    assert plus_minus(spread, decimals([spread])) == "101.84 ± 0.11"
    wide = Spread.of({0: 7.7, 1: 8.7, 2: 9.7})
    assert plus_minus(wide, decimals([wide])) == "8.70 ± 1.00"
    small = Spread.of({0: 0.02134})
    assert plus_minus(small, decimals([small])) == "0.02134"
    assert plus_minus(None, 2) == "\N{EN DASH}"
    assert fixed(-0.001, 2) == "0.00"
    assert percent(0.99625) == "99.62 %"
    assert difference(98.0, 100.0) == "\N{MINUS SIGN}2.00 %"
    assert difference(-98.0, -100.0) == "+2.00 %"
    assert difference(0.0, 0.0) == "\N{EN DASH}"


def test_arms_have_names() -> None:
    assert arm_name("reinit-scaled-longer") == "re-initialized, scaled, longer"
    assert arm_name("my-own") == "my-own"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    longer = [
        cell(f"{arm}-longer", seed, 5 if arm != "dense" else 0, value + 0.05 * seed, steps=2500)
        for seed in range(3)
        for arm, value in (("dense", 99.3), ("ticket", 99.5), ("reinit", 99.9), ("shuffle", 99.95))
    ]
    recipe = {**RECIPE, "search": {**RECIPE["search"], "longer": 5}}
    make_run(target / "digits_vae")
    make_run(target / "longer", [*results_of(), *longer], recipe)
    make_run(target / "half", [one for one in results_of() if one.round < 4 and one.arm == "ticket"])
    for name in ("digits_vae", "longer", "half"):
        print(write_report([target / name]).sentence)
    write_report([target / name for name in ("digits_vae", "longer", "half")], target / "all.html")


def test_axes_carry_plain_numbers_and_no_offset() -> None:
    from matplotlib.figure import Figure

    from gentickets.report.plots.svg import styled, to_svg

    with styled():
        figure = Figure()
        figure.subplots().plot([1, 2], [1.000080, 1.000115])
        text = to_svg(figure, "near one", "near")
    assert ">1.0001" in text
    assert "1e" not in re.sub(r"<(?!text)[^>]*>", "", text)
