"""`verdict.json` is enough: from its tests every verdict is worked out anew, with nothing but SciPy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from test_verdict import edited, make_run, recipe

from gentickets.analysis.judge import judge_run
from gentickets.recipe.asked import complete
from gentickets.report.pages.verdict_files import write_verdict

pytestmark = pytest.mark.usefixtures("without_plots")

Told = Mapping[str, Any]
PRAISE, BLAME, DECLARED = 0.8, 0.2, 0.8


def tail(mean: float, se: float | None, n: int, below: bool) -> float:
    """One-sided p-value of a t test by SciPy; where nothing scatters, 0 or 1."""
    if se is None or n < 3:
        return 1.0
    return float(stats.t.cdf(mean / se, n - 1) if below else stats.t.sf(mean / se, n - 1))


def check_side(side: Told, analyses: Sequence[Told], offset: float, below: bool) -> None:
    """p, bound, and what is shown of one direction of a test."""
    for p, nominal, one in zip(side["p"], side["nominal"], analyses, strict=True):
        assert p == pytest.approx(tail(one["mean"], one["se"], one["n"], below), abs=1e-12)
        assert nominal <= side["size"]
    assert side["shown"] == (side["repeated"] <= side["size"])
    assert side["shown"] == any(p <= nominal for p, nominal in zip(side["p"], side["nominal"], strict=True))
    way = 1 if below else -1
    ends = [
        offset + one["mean"] + way * stats.t.isf(nominal, one["n"] - 1) * one["se"]
        for nominal, one in zip(side["nominal"], analyses, strict=True)
    ]
    assert side["limit"] == pytest.approx(min(ends) if below else max(ends))
    if len(side["p"]) == 1 and side["p"][0] <= 0.02:
        assert side["repeated"] == pytest.approx(2 * side["p"][0], rel=2e-3, abs=1e-9), "linear spending: half at first"


def check_part(part: Told, size: float, blame: float, longer: bool) -> None:
    """Every comparison of a part, at the sizes that follow from the level's."""
    dense = part["against"]
    blamed = part["opponents"] + longer
    assert dense["good"]["size"] == pytest.approx(size)
    assert dense["bad"]["size"] == pytest.approx(blame / (blamed if longer else 1))
    check_side(dense["good"], dense["analyses"], part["margin"], below=True)
    check_side(dense["bad"], dense["analyses"], part["margin"], below=False)
    assert dense["mean"] == pytest.approx(dense["loss"]["mean"] - part["margin"])
    for other in part["controls"]:
        assert other["mean"] == pytest.approx(-other["loss"]["mean"] - part["lead"])
        assert other["good"]["size"] == pytest.approx(size)
        check_side(other["good"], other["analyses"], part["lead"], below=False)
        if other["declared"]:
            assert other["bad"]["size"] == pytest.approx(blame / blamed)
            check_side(other["bad"], other["analyses"], part["lead"], below=True)


def holm(whole: Sequence[float], weights: Sequence[float], alpha: float) -> list[float]:
    """The sizes at which weighted Holm tests the levels."""
    sizes, done = [alpha * weight for weight in weights], [False] * len(whole)
    while passed := [place for place, p in enumerate(whole) if not done[place] and p <= sizes[place]]:
        for place in passed:
            done[place] = True
        left = sum(weight for weight, there in zip(weights, done, strict=True) if not there)
        sizes = [
            size if there else alpha * weight / left for size, weight, there in zip(sizes, weights, done, strict=True)
        ]
    return sizes


def complete_part(part: Told | None) -> bool:
    """Whether every declared arm is there."""
    return part is not None and sum(other["declared"] for other in part["controls"]) == part["opponents"]


def ahead(part: Told) -> float:
    """The p-value of praise at one length of training: the largest of all."""
    every = [part["against"], *part["controls"]]
    return max(one["good"]["repeated"] for one in every) if complete_part(part) and not part["unfinished"] else 1.0


def not_ahead(part: Told) -> bool:
    """Whether some declared control is shown not to be behind by what counts, by Bonferroni."""
    declared = [other for other in part["controls"] if other["declared"]]
    return complete_part(part) and any(other["bad"]["shown"] for other in declared)


def worked_out(level: Told, size: float) -> str:
    """The verdict on a level from its tests."""
    short, longer, steady = level["short"], level["longer"], not level["unsteady"]
    good = steady and short["against"]["good"]["shown"]
    if good == short["against"]["bad"]["shown"]:
        return "UNDECIDED"
    if not good:
        return "WORSE THAN DENSE"
    wins = steady and ahead(short) <= size
    if wins == not_ahead(short):
        return "MATCHES DENSE"
    if not wins:
        return "NO BETTER THAN A CONTROL"
    if longer is None or longer["against"]["good"] is None:
        return "WINS AT EQUAL STEPS"
    lasts, lost = ahead(longer) <= size, longer["against"]["bad"]["shown"] or not_ahead(longer)
    return "WINS AT EQUAL STEPS" if lasts == lost else "WINS" if lasts else "HEAD START ONLY"


def whole_claim(level: Told) -> float:
    """The p-value of the deepest verdict that a level's claim holds."""
    if level["unsteady"]:
        return 1.0
    if not level["declared"]:
        return ahead(level["short"])
    longer = level["longer"]
    tested = longer is not None and longer["against"]["good"] is not None
    return max(ahead(level["short"]), ahead(longer)) if tested else 1.0


CASES: list[tuple[int, dict[str, float]]] = [
    (5, {}),
    (3, {}),
    (5, {"shuffle_longer": 100.0}),
    (5, {"random_erk": 101.0, "random_erk_scaled": 101.0}),
    (5, {"ticket": 110.0}),
    (5, {"ticket": 105.1}),
    (5, {"reinit": 102.6, "dense_longer": 99.4}),
]


@pytest.mark.parametrize("grown", [False, True])
@pytest.mark.parametrize(("seeds", "means"), CASES)
def test_every_verdict_follows_from_its_tests(tmp_path: Path, seeds: int, means: dict[str, float], grown: bool) -> None:
    path = make_run(tmp_path / "run", complete(recipe(seeds)), **means)
    if grown:
        path = grown_run(tmp_path / "grown", seeds, means)
    write_verdict(judge_run(path), path)
    told = json.loads((path / "verdict.json").read_text())
    alpha, levels = told["look"]["alpha"], told["levels"]
    weights = [DECLARED if level["declared"] else (1 - DECLARED) / (len(levels) - 1) for level in levels]
    sizes = holm([whole_claim(level) for level in levels], weights, PRAISE * alpha)
    for level, weight, size in zip(levels, weights, sizes, strict=True):
        assert (level["weight"], level["size"]) == (pytest.approx(weight), pytest.approx(size))
        assert level["blame"] == pytest.approx(BLAME * alpha * weight)
        check_part(level["short"], size, level["blame"], longer=False)
        if level["longer"] is not None:
            check_part(level["longer"], size, level["blame"], longer=True)
        assert level["word"] == worked_out(level, size)
    assert told["word"] == next(level["word"] for level in levels if level["declared"])


def grown_run(path: Path, seeds: int, means: dict[str, float], **changes: str) -> Path:
    """The same run with twice the seeds, as its second interim analysis has it."""
    made = make_run(path, complete(recipe(2 * seeds, **changes)), **means)
    record = json.loads((made / "run.json").read_text())
    record["claim"]["declared"]["seeds"], record["claim"]["seeds"] = seeds, [seeds, 2 * seeds]
    from gentickets.recipe.declared import recipe_of_record
    from gentickets.recipe.meaning import claim_hash
    from gentickets.runs.folder import RunFolder

    record["claim"]["hash"] = claim_hash(recipe_of_record(record, where="run.json"))
    (made / "run.json").write_bytes(RunFolder(made).record_text(record))
    return made


def test_a_changed_number_would_be_seen(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(5)))
    edited(path, 0, "shuffle", 5, test={"negative_elbo": 102.5})
    write_verdict(judge_run(path), path)
    level = next(one for one in json.loads((path / "verdict.json").read_text())["levels"] if one["declared"])
    level["short"]["controls"][0]["mean"] += 0.01
    with pytest.raises(AssertionError):
        check_part(level["short"], level["size"], level["blame"], longer=False)
