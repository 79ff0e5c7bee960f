"""The verdict's tree: each node from its seeds, disjoint, and from nothing nothing."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from gentickets.statistics import (
    Arms,
    Margin,
    Terms,
    evidence,
    judge,
    margins,
    spending,
    tree,
)

NOISE = np.array([0.1, -0.2, 0.3, -0.1, 0.0, 0.2, -0.3, 0.1, 0.15, -0.25])
OTHER = NOISE[::-1]
TERMS = Terms(Margin(2.0, "absolute"), seeds=5)
"""The margin 2, the lead 0.5."""


def arms(ticket: float, control: float, dense: float = 100.0) -> Arms:
    return Arms(ticket + NOISE, dense + OTHER, {"reinit": control + np.roll(NOISE, 3)})


def verdict(one: Arms, terms: Terms = TERMS, longer: Arms | None = None) -> str:
    return str(judge([one], terms, longer=longer).verdicts[0])


@pytest.mark.parametrize("module", [evidence, margins, spending, tree])
def test_examples_are_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("ticket", "control", "longer", "expected"),
    [
        (105.0, 110.0, None, tree.WORSE),
        (100.0, 100.5, None, tree.MATCHES),
        (100.0, 100.0, None, tree.NO_BETTER),
        (100.0, 103.0, None, tree.EQUAL_STEPS),
        (100.0, 103.0, (100.0, 103.0), tree.WINS),
        (100.0, 103.0, (100.0, 100.0), tree.HEAD_START),
        (100.0, 103.0, (105.0, 110.0), tree.HEAD_START),
        (100.0, 103.0, (100.0, 100.5), tree.EQUAL_STEPS),
        (102.0, 110.0, None, tree.UNDECIDED),
    ],
)
def test_each_node_of_the_tree(
    ticket: float, control: float, longer: tuple[float, float] | None, expected: str
) -> None:
    assert verdict(arms(ticket, control), longer=arms(*longer) if longer else None) == expected
