"""Every verdict of a level with its null hypothesis, and whether it is shown: the tree, written out."""

from __future__ import annotations

from gentickets.analysis.tested import Node
from gentickets.statistics import (
    EQUAL_STEPS,
    FAILED,
    FORKS,
    HEAD_START,
    MATCHES,
    NO_BETTER,
    UNDECIDED,
    WINS,
    WORSE,
    Nodes,
)

NULLS = {
    UNDECIDED: "none: it is the verdict where nothing else is shown",
    WORSE: "L <= 0",
    MATCHES: "L > 0",
    NO_BETTER: "L > 0, or G > 0 for every control",
    EQUAL_STEPS: "L > 0, or G <= 0 for some control",
    HEAD_START: "a null of WINS AT EQUAL STEPS, or L' <= 0 and G' > 0 for every control",
    WINS: "a null of WINS AT EQUAL STEPS, or L' > 0, or G' <= 0 for some control",
    FAILED: "none: it is observed, not tested",
}
"""What each verdict rejects. L: the mean loss against dense less the margin; G: the mean lead over a control less what
counts as one; with a dash those of arms that were trained longer."""


def nodes_of(
    word: str, tested: bool, p: Nodes, praise: float, blame: float, longer: bool, enough: bool
) -> tuple[Node, ...]:
    """The eight verdicts of a level: their p-values and sizes, and which are shown.

    ``longer``: whether longer training is a part of the claim; ``enough``: whether there are seeds enough to WIN.
    """
    sizes = {
        WORSE: (p.worse, blame), MATCHES: (p.within, praise), NO_BETTER: (p.no_better, blame),
        EQUAL_STEPS: (p.ahead, praise), HEAD_START: (p.head_start, blame), WINS: (p.whole, praise),
    }  # fmt: skip
    shown = {name: tested and bool(value <= size) for name, (value, size) in sizes.items()}
    shown[WINS] = shown[WINS] and longer and enough
    shown[HEAD_START] = shown[HEAD_START] and longer
    for parent, good, bad in FORKS[1:]:
        for name in (good, bad):
            shown[name] = shown[name] and shown[parent]
    shown |= {UNDECIDED: word == UNDECIDED, FAILED: word == FAILED}
    told = {
        name: (float(value), size)
        for name, (value, size) in sizes.items()
        if tested and (longer or name not in (HEAD_START, WINS))
    }
    order = (UNDECIDED, WORSE, MATCHES, NO_BETTER, EQUAL_STEPS, HEAD_START, WINS, FAILED)
    return tuple(Node(verdict=name, null=NULLS[name], p=told.get(name, (None, None))[0],
                      size=told.get(name, (None, None))[1], shown=shown[name]) for name in order)  # fmt: skip


def contradicting(nodes: tuple[Node, ...]) -> list[tuple[str, str]]:
    """Forks of which both sides are shown, at different interim analyses: neither is said."""
    shown = {node.verdict for node in nodes if node.shown}
    return [(good, bad) for parent, good, bad in FORKS if {good, bad} <= shown]
