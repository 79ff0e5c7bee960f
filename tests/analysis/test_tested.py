"""The record of tested comparisons: the tree's rule over it gives every verdict, with SciPy's t distribution alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from helpers import HOUSE
from scipy import stats

from gentickets.analysis import tested
from gentickets.analysis.gathered import Gathered
from gentickets.analysis.parts import PartMaker
from gentickets.analysis.terms import ClaimTerms
from gentickets.simulation import Level, World, draw_runs
from gentickets.statistics import (
    EQUAL_STEPS,
    HEAD_START,
    MATCHES,
    NO_BETTER,
    UNDECIDED,
    WINS,
    WORSE,
    Arms,
    Evidence,
    Judgement,
    Margin,
    Terms,
    contrasts,
    judge,
)

TERMS = Terms(Margin(2.0, "absolute"), seeds=5)
DENSE = np.array([100.2, 99.9, 100.1, 99.7, 100.0])
TICKET = np.array([100.1, 99.8, 100.3, 99.9, 100.0])
REINIT = np.array([103.0, 102.6, 103.4, 102.9, 103.2])


def part_of(
    arms: Arms, terms: Terms, judgement: Judgement, seen: Evidence, place: int, *, longer: bool
) -> tested.LevelPart:
    """The record of one part of a judged level."""

    def values(of: np.ndarray) -> dict[int, float]:
        return dict(enumerate(of.tolist()))

    controls = {name: values(arm) for name, arm in arms.controls.items()}
    found = Gathered(values(arms.ticket), values(arms.dense), controls, tuple(controls))
    claim = ClaimTerms("negative_elbo", False, terms, terms.margin, tuple(controls), tuple(controls), True)
    praise, blame = float(judgement.praise[..., place]), float(judgement.blame[place])
    made = PartMaker(found, claim, praise, blame, longer=longer).part(seen, terms.plan.taken(len(arms.ticket)))
    assert made is not None
    return made


def single(runs: object, row: int) -> list[Arms]:
    """One run's levels and longer arms, in arrays (seeds)."""
    found = [*runs.levels, runs.longer]  # type: ignore[attr-defined]
    return [Arms(a.ticket[row], a.dense[row], {name: arm[row] for name, arm in a.controls.items()}) for a in found]


def test_a_verdict_by_hand() -> None:
    """Five seeds, one control, margin 2, so lead 0.5; alpha 5 %, two analyses: praise at 2 % in the first of them."""
    against_dense = stats.ttest_1samp(TICKET - DENSE - 2, 0, alternative="less").pvalue
    against_control = stats.ttest_1samp(REINIT - TICKET - 0.5, 0, alternative="greater").pvalue
    assert max(against_dense, against_control) < 0.05 * 0.8 / 2
    arms = Arms(TICKET, DENSE, {"reinit": REINIT})
    found = judge([arms], TERMS)
    assert str(found.verdicts[0]) == EQUAL_STEPS
    record = part_of(arms, TERMS, found, found.levels[0], 0, longer=False)
    (control,) = record.controls
    sides = record.against.good, record.against.bad, control.good, control.bad
    assert all(side is not None and len(side.p) == 1 for side in sides)
    p = [side.p[0] for side in sides if side is not None]
    expected = [against_dense, 1 - against_dense, against_control, 1 - against_control]
    assert p == pytest.approx(expected, rel=1e-9)
    sizes = [side.nominal[0] for side in sides if side is not None]
    assert sizes == pytest.approx([0.02, 0.005, 0.02, 0.005])


def test_verdicts_follow_from_their_records() -> None:
    """The tree's rule over the record's own p-values and sizes gives the verdict of every drawn run."""
    level = Level(-0.6, (0.3, 0.6))
    world = World((level, Level(0.1, (0.0, -0.4))), longer=Level(-0.6, (-0.2, 0.5)), deviation=0.3)
    drawn = draw_runs(world, 300, 10, seed=1)
    terms = Terms(world.margin, 5)
    words = set()
    for row in range(300):
        *levels, longer = single(drawn, row)
        found = judge(levels, terms, longer=longer)
        for place, arms in enumerate(levels):
            short = part_of(arms, terms, found, found.levels[place], place, longer=False)
            more = None
            if place == 0 and found.longer is not None:
                more = part_of(longer, terms, found, found.longer, place, longer=True)
            words.add(recomputed(short, more))
            assert str(found.verdicts[place]) == recomputed(short, more), (row, place)
    assert len(words) >= 5


def by_size(side: tested.Side | None) -> bool:
    """Whether some analysis' p-value is at most its size: what `Side.shown` says by repeated p-values."""
    assert side is not None
    found = any(p <= size for p, size in zip(side.p, side.nominal, strict=True))
    assert found == side.shown
    return found


def good(tests: Iterable[tested.Tested]) -> bool:
    return all(list(map(by_size, (one.good for one in tests))))


def bad(tests: Iterable[tested.Tested]) -> bool:
    return any(list(map(by_size, (one.bad for one in tests))))


def recomputed(short: tested.LevelPart, longer: tested.LevelPart | None) -> str:
    matches, worse = good([short.against]), bad([short.against])
    if matches == worse:
        return UNDECIDED
    if worse:
        return WORSE
    ahead, even = matches and good(short.controls), bad(short.controls)
    if ahead == even:
        return MATCHES
    if even:
        return NO_BETTER
    if longer is None:
        return EQUAL_STEPS
    every = [longer.against, *longer.controls]
    wins, gone = good(every), bad(every)
    return EQUAL_STEPS if wins == gone else WINS if wins else HEAD_START


def test_the_verdict_by_hand_in_the_documents_is_what_the_program_says() -> None:
    """Its table of seeds, its contrasts, and the bounds of its last lines."""
    text = (HOUSE / "docs" / "verdict.md").read_text(encoding="utf-8")
    own = text[text.index("### A verdict by hand") : text.index("### Limits")]
    lines = [line.split("|")[2:7] for line in own.splitlines() if line.startswith("| ") and line[2].isdigit()]
    dense, ticket, control, loss, lead = np.array(lines, dtype=float).T
    terms = Terms(Margin(0.05, "share", 85.94), seeds=5)
    arms = Arms(ticket, dense, {"reinit": control})
    found = contrasts(arms, terms.margin)
    np.testing.assert_allclose([found["dense"], found["reinit"]], [loss, lead], atol=6e-5)
    judged = judge([arms], terms)
    assert str(judged.verdicts[0]) == EQUAL_STEPS
    assert EQUAL_STEPS in own
    record = part_of(arms, terms, judged, judged.levels[0], 0, longer=False)
    (other,) = record.controls
    assert record.against.good is not None
    assert other.good is not None
    bounds = -record.against.good.limit, other.good.limit
    assert [f"= {bound:.2f}" in " ".join(own.split()) for bound in bounds] == [True, True], bounds
