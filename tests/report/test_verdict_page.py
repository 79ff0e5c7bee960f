"""The page of a verdict: the word first, every control drawn, nothing of a run runs, and its JSON says the same."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Page, unlike

from gentickets.analysis.contrast import Contrast
from gentickets.analysis.run_verdict import (
    ArmDiagnostics,
    Convergence,
    Diagnostics,
    InterimAnalysis,
    Interpolation,
    Outlook,
    RunVerdict,
)
from gentickets.analysis.tested import Analysis, LevelPart, Node, Side, Tested
from gentickets.analysis.text import verdict as words
from gentickets.analysis.text.format import Spread
from gentickets.analysis.verdict import LevelVerdict
from gentickets.errors import TicketError
from gentickets.report.pages.verdict import render
from gentickets.report.pages.verdict_files import document, write_verdict
from gentickets.report.plots.forest import forests
from gentickets.report.plots.verdict import barriers, bars
from gentickets.report.schemas import schema_of
from gentickets.report.tables.verdict import level_rows

EVIL = "<script>alert('x')</script>\"onload=\"x" + "_and_a_very_long_name" * 9
CONTROLS = {
    "reinit": "reinit",
    "shuffle": "shuffle-scaled",
    "random-erk": "random-erk",
    "narrow": "narrow",
    "snip": "snip",
}


def seen(html: str) -> Page:
    """A page, with a space between the texts of two tags."""
    return Page(html, between=" ")


def spread(*values: float) -> Spread:
    found = Spread.of(dict(enumerate(values)))
    assert found is not None
    return found


def estimate(mean: float, half: float = 0.2, p: float = 0.001, n: int = 3, bound: float = -1.0) -> Contrast:
    losses = (mean - 0.1, mean, mean + 0.1)[:n]
    found = Contrast(
        mean=mean, se=half / 4, n=n, p=p, bound=bound, low=mean - half, high=mean + half, losses=losses
    )  # fmt: skip
    vars(found)["bootstrap"] = (mean - half / 2, mean + half / 3)
    return found


def side(shown: bool, limit: float = 0.9) -> Side:
    return Side(p=(0.001,), repeated=0.001 if shown else 0.5, size=0.04, nominal=(0.04,), limit=limit)


def comparison(arm: str, loss: Contrast, good: bool, bad: bool = False, of: Spread | None = None) -> Tested:
    control = arm.removesuffix("-longer").removesuffix("-scaled")
    return Tested(
        arm=arm, control=control, declared=True, spread=of or spread(102, 103, 104), loss=loss, mean=loss.mean, se=0.1,
        n=loss.n, analyses=(Analysis(loss.n, loss.mean, 0.1),), good=side(good), bad=side(bad),
    )  # fmt: skip


def stage(names: Mapping[str, str] = CONTROLS, **changes: Any) -> LevelPart:
    controls = tuple(
        comparison(arm, estimate(-2.0 - place), place != 1, place == 1, spread(102, 103, 104 + place))
        for place, arm in enumerate(names.values())
    )
    dense = changes.get("dense", spread(99.5, 100, 100.5))
    whole = LevelPart(
        ticket=spread(99, 100, 101),
        dense=dense,
        margin=2.0,
        lead=0.5,
        against=comparison("dense", changes.pop("loss", estimate(0.5)), True, of=dense),
        controls=controls,
        unfinished={"grasp": "it diverged"},
        opponents=len(names),
    )
    return replace(whole, **changes)


def one_level(word: str, declared: bool, sentence: str, short: LevelPart | None = None, **changes: Any) -> LevelVerdict:
    """A level at round 5."""
    own = {"round": 5, "sparsity": 0.672, **changes}
    return LevelVerdict(word=word, declared=declared, sentence=sentence, short=short, **own)


def judged(**changes: Any) -> RunVerdict:
    """A verdict with all that there can be, at three levels."""
    levels = tuple(
        LevelVerdict(
            round=round,
            sparsity=sparsity,
            word=word,
            declared=word == "WINS",
            sentence=f"The sentence of {round}.",
            short=stage(),
            longer=longer,
            tested=True,
            size=0.032,
            blame=0.008,
            nodes=(Node(verdict="WINS", null="L > 0", p=0.012, size=0.032, shown=True),),
        )
        for round, sparsity, word, longer in (
            (3, 0.488, "NO BETTER THAN A CONTROL", None),
            (5, 0.672, "WINS", stage()),
            (7, 0.79, "UNDECIDED", None),
        )
    )
    beside = Diagnostics(
        (
            ArmDiagnostics("dense", spread(0.9, 0.8), None, "11 of 16", 1.02, 0.012),
            ArmDiagnostics("ticket", copies=0.07),
        ),
        {"dense": (0.5, 0.5), "ticket": (0.8, 0.2)},
        (0.5, 0.5),
        (
            Interpolation(0, {0: 0.3, 1: math.inf}, (0.0, 0.5, 1.0), {0: (100.0, 130.0, 100.0)}),
            Interpolation(50, {0: 0.001}, (0.0, 0.5, 1.0), {0: (100.0, 100.1, 100.0)}),
        ),
        50,
        50,
    )
    whole = RunVerdict(
        name="digits_vae",
        path="runs/digits_vae",
        metric="negative_elbo",
        margin=0.02,
        claim={"metric": "negative_elbo", "margin": 0.02, "level": 0.672, "alpha": 0.05, "sparsities": (0.488, 0.672)},
        hash="ab12" * 16,
        stored=True,
        look=InterimAnalysis(2, 2, 0.05, (3, 6)),
        word="WINS",
        sentence="The ticket WINS by the headline.",
        next_step="Do as the verdict says.",
        levels=levels,
        more=Outlook(False, 12, 12.4, "gentickets verdict digits_vae --more", ((12, {"WINS": 0.81, "WORSE": 0.001}),)),
        trained=Convergence(estimate(-0.3), -0.003, -0.0012, True),
        beside=beside,
        missing=("synflow", "longer"),
        facts=(("machine", "2 cores"),),
        notes=("A note at the end.",),
    )
    return replace(whole, **changes)


def bare(**changes: Any) -> RunVerdict:
    """A verdict with nothing but what there must be."""
    return replace(
        judged(metric=None, hash=None, levels=(), more=None, trained=None, beside=None, missing=(), facts=(), notes=()),
        **changes,
    )


@cache
def page_of_all() -> str:
    """The page of a verdict with everything."""
    return render(judged())


def every(judgement: RunVerdict) -> str:
    """All plots of losses."""
    return "".join(str(svg) for _, _, svg in forests(judgement))


def test_the_page_tells_verdict_then_plot_then_table_then_the_rest() -> None:
    text = seen(page_of_all()).text
    told = (
        "digits_vae Is this a winning ticket? 3 seeds",
        "The ticket WINS by the headline.",
        "What to do now: Do as the verdict says.",
        "The sentence of 3.",
        "The sentence of 5.",
        "Losses with their intervals",
        "67.2 %, equal steps",
        "67.2 %, trained longer",
        "48.8 %, equal steps",
        "The arms at 67.2 %",
        "All verdicts, and what each would have to reject",
        "Is the dense model trained?",
        "What more seeds would say",
        "WINS 81 %",
        "gentickets verdict digits_vae --more",
        "What was declared beforehand",
        "ab12" * 16,
        "Diagnostics",
        "Instability",
        "Arms that were not run",
        "SynFlow and longer training of all arms",
        "A note at the end.",
        "2 cores",
    )
    places = [text.index(part) for part in told]
    assert places == sorted(places)


def test_the_verdict_stands_in_its_colour() -> None:
    tones = {"WINS": "wins", "WINS AT EQUAL STEPS": "equal", "HEAD START ONLY": "faster", "MATCHES DENSE": "matches"}
    tones |= {"NO BETTER THAN A CONTROL": "matches", "WORSE THAN DENSE": "fails", "FAILED": "fails"}
    for word, tone in {**tones, "UNDECIDED": "undecided", "anything": "none"}.items():
        assert f'<div class="verdict {tone}">\n<div class="word">{word}</div>' in render(bare(word=word))


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = page_of_all()
    assert "@media (prefers-color-scheme: dark)" in page
    assert not re.search(r'(?:src|href)="(?!#)', page.replace("xlink:", ""))
    assert "http" not in re.sub(r'xmlns(?::xlink)?="[^"]*"|http-equiv', "", page)
    assert seen(page).count("script") == 0


def test_nothing_that_a_run_brings_is_markup() -> None:
    own = stage({EVIL: EVIL}, unfinished={EVIL: EVIL})
    level = one_level(EVIL, False, EVIL, own, longer=own, reasons=(EVIL,))
    beside = Diagnostics(
        (ArmDiagnostics(EVIL, latents=EVIL),), {EVIL: (1.0,)}, (), (Interpolation(0, {0: 0.1}, metric=EVIL),)
    )
    changes: dict[str, Any] = dict.fromkeys(("name", "path", "metric", "hash", "word", "sentence"), EVIL)
    whole = judged(
        **changes,
        claim={EVIL: EVIL},
        levels=(level,),
        more=Outlook(False, 9, command=EVIL, chances=((9, {EVIL: 0.5}),)),
        trained=Convergence(estimate(0.25)),
        beside=beside,
        missing=(EVIL,),
        facts=((EVIL, EVIL),),
        notes=(EVIL,),
    )
    page = seen(render(whole))
    assert page.count("script") == 0
    assert "onload" not in {name for _, attributes in page.tags for name in attributes}
    assert page.text.count("alert('x')") >= 15


@pytest.mark.parametrize("word", ["sentence", "name", "notes"])
def test_a_page_without_escaping_would_be_seen(word: str) -> None:
    page = render(bare(**{word: (EVIL,) if word == "notes" else EVIL}))
    assert seen(page.replace("&lt;", "<").replace("&gt;", ">")).count("script") > 0


def test_the_plot_draws_every_control_dense_and_the_margin() -> None:
    panels = forests(judged())
    assert [(level.round, longer) for level, longer, _ in panels] == [(5, False), (5, True), (3, False), (7, False)]
    for level, longer, svg in panels:
        own = f"forest-{level.round}{'-longer' if longer else ''}-"
        drawn = [*(f"control-{place}" for place in range(len(CONTROLS))), "dense", "margin", "lead", "zero"]
        for gid in (*drawn, "control-0-bootstrap", "control-4-mean"):
            assert f'id="{own}{gid}"' in svg
        for text in ("dense", "re-initialized", "scaled", "random (ERK)", "SNIP", "margin 2 %"):
            assert f">{text}</text>" in svg
        assert svg.count(" % ahead</text>") == len(CONTROLS) - 1
        assert svg.count(" % not ahead</text>") == 1
        assert svg.count(" % within the margin</text>") == 1


def test_a_control_that_is_not_there_is_not_drawn() -> None:
    level = replace(judged().levels[0], short=stage({"reinit": "reinit"}))
    svg = every(judged(levels=(level,)))
    assert 'id="forest-3-control-0"' in svg
    assert "control-1" not in svg


def test_losses_are_drawn_in_percent_of_the_dense_mean() -> None:
    level = replace(judged().levels[0], short=stage({"reinit": "reinit"}, dense=spread(49, 50, 51), margin=1.0))
    svg = every(judged(levels=(level,)))
    assert ">+1.00 % within the margin</text>" in svg, "0.5 of 50"
    assert ">\N{MINUS SIGN}4.00 % ahead</text>" in svg, "2.0 of 50"
    assert ">margin 2 %</text>" in svg


def test_where_more_is_better_the_plot_is_that_of_the_mirrored_figure() -> None:
    """Losses are losses: seeds are drawn on the side on which the ticket is worse, whichever way the figure is good."""

    def mirrored(one: Spread) -> Spread:
        return spread(*(-value for value in one.values.values()))

    level = judged().levels[0]
    own = stage()
    controls = tuple(replace(other, spread=mirrored(other.spread)) for other in own.controls)
    against = replace(own.against, spread=mirrored(own.against.spread))
    other = replace(
        level,
        short=replace(
            own, ticket=mirrored(own.ticket), dense=mirrored(own.dense), against=against, controls=controls
        ),
    )  # fmt: skip
    lower, higher = judged(levels=(level,)), judged(levels=(other,), metric="coverage")
    assert every(lower) == every(higher)
    assert every(lower) != every(replace(higher, metric="negative_elbo"))


def test_a_longer_arm_is_named_as_its_control() -> None:
    level = replace(judged().levels[1], longer=stage({"narrow": "narrow-longer", "shuffle": "shuffle-scaled-longer"}))
    svg = str(forests(judged(levels=(level,)))[1][2])
    assert "equal FLOPs</text>" in svg
    assert "longer<" not in svg, "the title of the panel says so"


def test_what_lies_far_off_leaves_the_plot_with_an_arrow() -> None:
    def shown(mean: float) -> str:
        (far, *rest) = stage({"reinit": "reinit", "shuffle": "shuffle"}).controls
        controls = (replace(far, loss=estimate(mean)), *rest)
        return every(judged(levels=(replace(judged().levels[0], short=stage(controls=controls)),)))

    near, far = shown(-3.0), shown(-400.0)
    assert ">\N{MINUS SIGN}400.0 % ahead</text>" in far
    assert 'id="forest-3-control-0-beyond"' in far
    assert "beyond" not in near
    assert all(f">\N{MINUS SIGN}{tick}</text>" not in far for tick in (100, 200, 400)), "the axis stays with the others"


def test_the_table_has_every_arm_of_the_declared_level_and_what_is_shown() -> None:
    whole = judged()
    assert whole.declared is not None
    header, rows = level_rows(whole, whole.declared)
    assert list(header) == [
        "arm", "negative ELBO \N{DOWNWARDS ARROW}", "seeds", "minimum", "maximum", "ticket's loss", "ticket ahead",
        "95 % interval", "95 % bootstrap", "p", "bound", "shown",
    ]  # fmt: skip
    assert [row[0] for row in rows[:4]] == ["ticket", "dense", "re-initialized", "shuffled mask, scaled"]
    assert rows[1] == (
        "dense", "100.0 ± 0.5", "3", "99.5", "100.5", "0.5", "0 of 3", "0.3 to 0.7", "0.4 to 0.6", "0.001", "0.9",
        "within the margin",
    )  # fmt: skip
    assert [row[-1] for row in rows[2:8]] == ["ahead", "not ahead", *["ahead"] * 3, "not compared: it diverged"]
    assert [row[6] for row in rows[2:4]] == ["3 of 3", "3 of 3"]
    assert [row[0] for row in rows[8:11]] == ["ticket, longer", "dense, longer", "re-initialized, longer"]
    assert rows[11][0] == "shuffled mask, scaled, longer"
    assert {len(row) for row in rows} == {len(header)}


def test_bootstrap_intervals_have_no_column_where_seeds_are_few() -> None:
    own = stage({"reinit": "reinit"})
    few = [replace(one.loss) for one in own.tests]
    level = one_level("WINS", True, "Few.", replace(
        own, against=replace(own.against, loss=few[0]), controls=(replace(own.controls[0], loss=few[1]),)
    ))  # fmt: skip
    assert few[0].bootstrap is None
    header, rows = level_rows(judged(levels=(level,)), level)
    assert "95 % bootstrap" not in header
    assert {len(row) for row in rows} == {len(header)}


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [(True, False, "within the margin"), (False, True, "worse"), (False, False, "open"), (True, True, "open")],
)
def test_what_is_shown_against_dense_is_said_in_table_and_plot(good: bool, bad: bool, said: str) -> None:
    own = stage()
    level = replace(judged().levels[0], short=replace(own, against=comparison("dense", estimate(0.5), good, bad)))
    whole = judged(levels=(level,))
    assert level_rows(whole, level).rows[1][-1] == said
    assert (f">+0.50 % {said}</text>" in every(whole)) == (said != "open")


def names_and_values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [inner for one in value.values() for inner in names_and_values(one)]
    if isinstance(value, list):
        return [inner for one in value for inner in names_and_values(one)]
    return [value]


def test_the_json_holds_everything_as_plain_finite_values(tmp_path: Path) -> None:
    whole = judged()
    page = write_verdict(whole, tmp_path / "out")
    assert page == tmp_path / "out" / "verdict.html"
    told = json.loads((tmp_path / "out" / "verdict.json").read_text("utf-8"))
    assert told == document(whole)
    assert unlike(told, schema_of("verdict")) == []
    assert told["format"] == 2
    assert list(told)[:5] == ["format", "run", "path", "word", "edition"]
    assert set(told) == {field.name for field in fields(RunVerdict)} - {"name"} | {"format", "run", "table"}
    for value in names_and_values(told):
        assert value is None or isinstance(value, str | bool | int) or math.isfinite(value)
    short = told["levels"][1]["short"]
    assert short["ticket"] == {
        "mean": 100.0, "sd": 1.0, "n": 3, "minimum": 99, "maximum": 101, "values": {"0": 99, "1": 100, "2": 101},
    }  # fmt: skip
    assert [other["good"]["shown"] for other in short["controls"]] == [True, False, True, True, True]
    assert told["beside"]["paths"][0]["relative"] == {"0": 0.3, "1": None}, "infinite"
    assert told["more"]["sentence"] == (whole.more and words.outlook_text(whole.more))
    assert told["trained"]["sentence"]
    assert len(told["beside"]["sentences"]) == 2


def test_one_seed_has_no_interval_in_the_json_and_draws_none() -> None:
    alone = Contrast(mean=-0.5, se=math.inf, n=1, p=1.0, bound=math.inf, low=-math.inf, high=math.inf)
    own = stage({}, ticket=spread(99.0), dense=spread(100.0), loss=alone)
    whole = judged(levels=(one_level("UNDECIDED", True, "One.", own),))
    assert document(whole)["levels"][0]["short"]["against"]["loss"] == {
        "mean": -0.5, "se": None, "low": None, "high": None, "n": 1, "bootstrap": None,
    }  # fmt: skip
    svg = every(whole)
    assert 'id="forest-5-dense-mean"' in svg
    assert 'id="forest-5-dense"' not in svg


def test_numbers_of_arrays_become_plain_ones(tmp_path: Path) -> None:
    (first, *_) = stage().controls
    odd: Any = replace(first, declared=np.bool_(True), loss=replace(first.loss, mean=np.float64("nan"), n=np.int64(3)))
    whole = judged(levels=(replace(judged().levels[1], short=stage(controls=(odd,))),))
    write_verdict(whole, tmp_path)
    told = json.loads((tmp_path / "verdict.json").read_text())["levels"][0]["short"]["controls"][0]
    assert (told["declared"], told["loss"]["mean"], told["loss"]["n"]) == (True, None, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"claim": {}, "stored": False},
        {"levels": (one_level("UNDECIDED", False, "Nothing."),)},
        {"levels": (one_level("MATCHES DENSE", True, "Alone.", stage({}, unfinished={})),)},
        {"levels": (one_level("MATCHES DENSE", True, "Zero.", stage(dense=spread(0.0, 0.0))),)},
        {
            "levels": (
                one_level(
                    "MATCHES DENSE", True, "No margin.", stage({}, margin=None, lead=None, loss=estimate(0.0, 0.0))
                ),
            )
        },
        {"more": Outlook(True)},
        {"more": Outlook(False)},
        {"more": Outlook(False, 500)},
        {"trained": Convergence()},
        {"trained": Convergence(slope=0.01)},
        {"beside": Diagnostics()},
        {"beside": Diagnostics((ArmDiagnostics("ticket"),))},
        {"beside": Diagnostics(classes={"ticket": (0.2, 0.8)})},
        {"beside": Diagnostics(paths=(Interpolation(0, {}),))},
        {"beside": Diagnostics(paths=(Interpolation(0, {0: math.nan}, (0.0, 1.0), {}),))},
        {"look": InterimAnalysis(1, 1, 0.05)},
        {"look": InterimAnalysis(0, 2, 0.05, (3, 6))},
    ],
)
def test_nothing_that_is_missing_raises(changes: dict[str, Any], tmp_path: Path) -> None:
    whole = bare(**changes)
    page = write_verdict(whole, tmp_path)
    assert "None" not in seen(page.read_text("utf-8")).text
    told = json.loads((tmp_path / "verdict.json").read_text("utf-8"))
    assert told["word"] == "WINS"
    assert unlike(told, schema_of("verdict")) == []


def test_what_is_missing_has_no_heading() -> None:
    text = seen(render(bare())).text
    for heading in ("Losses", "The arms", "Is the dense", "What more", "Beside the", "Instability", "not run", "Notes"):
        assert heading not in text


def test_nothing_is_said_twice() -> None:
    (first, second, third) = judged().levels
    same = replace(second, sentence="The ticket WINS by the headline.", reasons=("A reason.",))
    whole = judged(
        levels=(first, same, third), sentence=f"To be run. {same.sentence} A note.", notes=("A note.", "Another note.")
    )
    text = seen(render(whole)).text
    for once in (same.sentence, "A note.", "A reason.", "Another note."):
        assert text.count(once) == 1


def test_interim_analyses_are_told() -> None:
    first = "Interim analysis 1 of 2, at 3 seeds (next: 6); the chance of any false verdict is at most 5 %"
    first += " over all of them."
    assert words.interim_analysis_text(InterimAnalysis(1, 2, 0.05, (3, 6))) == first
    second = words.interim_analysis_text(InterimAnalysis(2, 2, 0.05, (3, 6)))
    assert second.startswith("Interim analysis 2 of 2, at 6 seeds (before: 3);")
    before = words.interim_analysis_text(InterimAnalysis(0, 2, 0.05, (3, 6)))
    assert before == "Before the first interim analysis, at 3 seeds: nothing is tested yet."


def test_no_text_of_a_verdict_speaks_of_looks_or_words() -> None:
    text = seen(page_of_all()).text
    assert not re.search(r"\b(looks?|words?) \d|\blook \d|\bdeclared look|\bp of WINS", text)


def test_what_more_seeds_would_say_is_told_by_three_cases() -> None:
    assert words.outlook_text(Outlook(True)) == "Decided: no further analysis is needed, and none is made."
    chances = {"HEAD START ONLY": 0.91, "WINS AT EQUAL STEPS": 0.088, "WINS": 0.002}
    assert words.outlook_text(Outlook(False, 10, 9.2, "", ((10, chances),))) == (
        "The next interim analysis has 10 seeds in all and takes about 9 minutes. Its chances: HEAD START ONLY 91 %, "
        "WINS AT EQUAL STEPS 9 %."
    )
    assert words.outlook_text(Outlook(False)) == "No declared interim analysis is left."
    assert words.outlook_text(Outlook(False, chances=((20, {"WINS": 0.7, "MATCHES DENSE": 0.3}),))) == (
        "No declared interim analysis is left. The chances of a new claim with 20 new seeds: WINS 70 %, "
        "MATCHES DENSE 30 %."
    )
    close = words.outlook_text(Outlook(False, chances=((40, {"WINS": 0.3, "MATCHES DENSE": 0.7}),)))
    assert close.endswith("close to the boundary between two verdicts, where more seeds hardly help.")
    for open_ in (Outlook(False, 10), Outlook(False), Outlook(False, 10, chances=((10, chances),))):
        assert "no further" not in words.outlook_text(open_), "where another verdict is likely"
    assert [words.duration(minutes) for minutes in (0.4, 1.2, 210)] == [
        "under a minute", "about 1 minute", "about 3.5 hours",
    ]  # fmt: skip


def test_whether_dense_is_trained_is_told() -> None:
    assert words.convergence_text(Convergence(estimate(-0.3), -0.003, 0.002, False, 0.2, True), "negative_elbo") == (
        "The dense model is not fully trained, so a ticket that is ahead of it may only learn faster: one trained "
        "twice as long is better by 0.3 % of its mean (3 seeds); that is more than the ticket's lead, 0.2; over the "
        "last quarter of its training it lost 0.2 %."
    )
    assert words.convergence_text(Convergence(estimate(0.25)), "negative_elbo").endswith(
        "worse by 0.25 in negative ELBO (3 seeds)."
    )


def test_copies_and_classes_are_told() -> None:
    copies, classes = words.diagnostics_text(judged().beside or Diagnostics())
    assert copies.endswith("of which 1 % is expected: ticket (7.0 %).")
    assert classes.endswith("dense 0.0 % and ticket 30.0 %."), "half of |0.8 - 0.5| + |0.2 - 0.5|"
    assert words.diagnostics_text(Diagnostics((ArmDiagnostics("ticket", copies=0.01),)))[0].startswith(
        "In no arm are 5 % or more"
    )
    assert words.class_distance((1.0,), (0.5, 0.5)) is None


def test_connected_trainings_are_told() -> None:
    beside = judged().beside or Diagnostics()
    assert "from step 50 on; tried: 0 and 50. The ticket is rewound to step 50." in words.connected_text(beside)
    assert "from no step on" in words.connected_text(replace(beside, connected=None))
    assert words.connected_text(Diagnostics()) == ""


def test_the_barrier_plot_shows_its_steps_and_marks() -> None:
    whole = judged()
    assert whole.beside is not None
    svg = barriers(whole.beside)
    assert [f'id="barriers-{gid}"' in svg for gid in ("step-0", "step-50", "connected", "step-1")] == [True] * 3 + [
        False
    ]
    assert barriers(Diagnostics(paths=(Interpolation(0, {0: math.inf}),))) == ""


def test_bars_are_as_tall_as_the_shares() -> None:
    svg = bars((0.25, 0.5), (0.5, 0.25), 0.5)
    heights: Sequence[str] = re.findall(r'height="([\d.]+)"/>', svg)
    assert [float(height) for height in heights] == [15.0, 30.0]
    assert re.findall(r'd="M(-?\d+) ([\d.]+)h', svg) == [("-1", "0.0"), ("10", "15.0")], "ticks of the real shares"
    assert bars((), (0.5,), 1.0) == ""


def test_the_page_is_the_same_twice() -> None:
    assert render(judged()) == page_of_all()


def test_the_verdict_needs_no_torch() -> None:
    code = "import gentickets.report.pages.verdict_files, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_page_of_somebody_else_is_kept(tmp_path: Path) -> None:
    (tmp_path / "verdict.html").write_text("mine")
    with pytest.raises(TicketError, match=r"verdict.html is no page of gentickets, and is not overwritten"):
        write_verdict(judged(), tmp_path)
    assert (tmp_path / "verdict.html").read_text() == "mine"
    assert not (tmp_path / "verdict.json").exists()
