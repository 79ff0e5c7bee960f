"""The verdict: a tree of statements of which two at one fork exclude each other; the verdict is the deepest one shown.

    UNDECIDED
    |- WORSE THAN DENSE               L > 0
    `- MATCHES DENSE                  L <= 0
       |- NO BETTER THAN A CONTROL    and some G_c <= 0
       `- WINS AT EQUAL STEPS         and every G_c > 0
          |- HEAD START ONLY          and L' > 0 or some G'_c <= 0
          `- WINS                     and L' <= 0 and every G'_c > 0

L and G are means over seeds (`evidence`), L' and G' those of arms trained longer. alpha is the chance of any false
verdict, over levels, controls and interim analyses: four fifths of it for praise (the statements that begin with L <= 0
and add to it), one fifth for blame (the other three).

Praise: weighted Holm over levels (Bretz and others, 2009), each level entering with its whole claim; a claim of several
parts needs all of them (intersection-union; Berger, 1982). Blame: Bonferroni over levels by the same weights, and over
the declared controls. Where both sides of a fork are shown, at different analyses, neither is said.

Example, one level with one control, five seeds:

    >>> dense = np.array([100.2, 99.9, 100.1, 99.7, 100.0])
    >>> arms = Arms(np.array([100.1, 99.8, 100.3, 99.9, 100.0]), dense, {"reinit": dense + 3})
    >>> str(judge([arms], Terms(Margin(2.0, "absolute"), seeds=5)).verdicts[0])
    'WINS AT EQUAL STEPS'
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gentickets.errors import TicketError
from gentickets.statistics.evidence import LEAST_SEEDS, Arms, Evidence, evidence, nothing
from gentickets.statistics.margins import Margin
from gentickets.statistics.spending import LINEAR, Spending

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.int8]

UNDECIDED = "UNDECIDED"
WORSE = "WORSE THAN DENSE"
MATCHES = "MATCHES DENSE"
NO_BETTER = "NO BETTER THAN A CONTROL"
EQUAL_STEPS = "WINS AT EQUAL STEPS"
HEAD_START = "HEAD START ONLY"
WINS = "WINS"
FAILED = "FAILED"
"""An observation, not a test: a ticket failed, diverged or collapsed where the dense model of its seed did not."""
VERDICTS = (UNDECIDED, WORSE, MATCHES, NO_BETTER, EQUAL_STEPS, HEAD_START, WINS)
"""What tests can show, in the order of `Judgement.codes`."""
LEAVES = (WORSE, NO_BETTER, HEAD_START, WINS)
"""What more seeds cannot deepen, where longer training is a part of the claim."""
FORKS = ((UNDECIDED, MATCHES, WORSE), (MATCHES, EQUAL_STEPS, NO_BETTER), (EQUAL_STEPS, WINS, HEAD_START))
"""(parent, its praise, its blame), from the root down."""
BAD = tuple(blame for _, _, blame in FORKS)
"""The verdicts that are blame."""

PRAISE, BLAME = 0.8, 0.2
"""The parts of alpha for praise and for blame."""
DECLARED_WEIGHT = 0.8
"""The declared level's part of each; the other levels share the rest."""
DISASTERS = 0.05
"""A declared share of disasters must be larger than what so many seeds would miss with this chance."""


@dataclass(frozen=True)
class Terms:
    """What a claim declares of its tests."""

    margin: Margin
    seeds: int = 5
    """At the first interim analysis."""
    alpha: float = 0.05
    analyses: int = 2
    spending: str = LINEAR
    disasters: float | None = None
    """The share of seeds that may be disasters unseen where the ticket WINS; None: not limited."""
    images: str = "fixed"
    """``sample``: test images count as a sample (`Arms.images` must be there). As their error does not shrink with
    seeds, interim analyses then share alpha by Bonferroni."""

    @property
    def plan(self) -> Spending:
        """The interim analyses."""
        return Spending(self.seeds, self.analyses, self.spending, self.images == "fixed")

    @property
    def praise(self) -> float:
        """The chance of any false praise, at most."""
        return PRAISE * self.alpha

    @property
    def blame(self) -> float:
        """The chance of each kind of false blame, at most."""
        return BLAME * self.alpha

    def weights(self, levels: int, declared: int | None) -> Array:
        """The levels' parts (levels): 0.8 for the declared one, equal ones where none is."""
        if declared is None or levels == 1:
            return np.full(levels, 1 / levels)
        weights = np.full(levels, (1 - DECLARED_WEIGHT) / (levels - 1))
        weights[declared] = DECLARED_WEIGHT
        return weights


@dataclass(frozen=True)
class Nodes:
    """Repeated p-values (...) of one level; those of blame with their correction over controls in them."""

    within: Array
    """Of MATCHES DENSE."""
    ahead: Array
    """Of WINS AT EQUAL STEPS: the largest of its parts."""
    whole: Array
    """Of the level's whole claim: of WINS where longer arms are a part of it, else as ``ahead``."""
    worse: Array
    """Of WORSE THAN DENSE."""
    no_better: Array
    """Of NO BETTER THAN A CONTROL, beyond MATCHES DENSE."""
    head_start: Array
    """Of HEAD START ONLY, beyond WINS AT EQUAL STEPS."""


@dataclass(frozen=True)
class Judgement:
    """The verdicts of all levels, and what they rest on (`analysis.tested` lists it part by part)."""

    codes: Codes
    """(..., levels): places in `VERDICTS`."""
    nodes: tuple[Nodes, ...]
    praise: Array
    """(..., levels): the size at which a level's praise was tested, by weighted Holm."""
    blame: Array
    """(levels): the size at which each kind of its blame was tested."""
    weights: Array
    terms: Terms
    levels: tuple[Evidence, ...]
    longer: Evidence | None
    declared: int | None

    @property
    def verdicts(self) -> NDArray[np.str_]:
        """(..., levels): the verdicts' names."""
        found: NDArray[np.str_] = np.array(VERDICTS)[self.codes]
        return found


def judge(
    levels: Sequence[Arms | None], terms: Terms, *, longer: Arms | None = None, declared: int | None = 0
) -> Judgement:
    """The verdict of each level from its arms, None for one that shows nothing; `decide_tree` says the rest."""
    there = [one for one in (*levels, longer) if one is not None]
    seeds = min((one.ticket.shape[-1] for one in there), default=0)
    taken = terms.plan.taken(seeds)
    shape = there[0].ticket.shape[:-1] if there else ()
    unknown = nothing((), len(taken), shape)
    if terms.images == "sample" and any(one.images is None and one.image_errors is None for one in there):
        raise TicketError("test images count as a sample, and the metric of single images was not stored")
    found = [unknown if one is None else evidence(one, terms.margin, taken) for one in levels]
    more = None if longer is None else evidence(longer, terms.margin, taken)
    return decide_tree(found, terms, max(taken, default=0), longer=more, declared=declared)


def decide_tree(
    levels: Sequence[Evidence],
    terms: Terms,
    seeds: int,
    *,
    longer: Evidence | None = None,
    declared: int | None = 0,
) -> Judgement:
    """The verdict of each level at the claim's terms, with ``seeds`` seeds at the last analysis so far.

    ``longer``: what the longer trained arms of the declared level show (`nothing` where they are declared and not
    there); None where they are no part of the claim. ``declared`` None: the level was left to validation.
    """
    plan = terms.plan
    nodes = [_nodes(one, plan) for one in levels]
    if longer is not None and declared is not None:
        nodes[declared] = _with_longer(nodes[declared], levels[declared], longer, plan)
    weights = terms.weights(len(levels), declared)
    whole = np.stack([one.whole for one in nodes], -1)
    praise, blame = holm_weighted(whole, weights, terms.praise), terms.blame * weights
    enough = terms.disasters is None or seeds >= seeds_without_disaster(terms.disasters)
    codes = [
        _verdict(one, praise[..., place], blame[place], longer is not None and place == declared, enough)
        for place, one in enumerate(nodes)
    ]
    found = np.stack(codes, -1)
    if seeds < LEAST_SEEDS:
        found = np.zeros_like(found)
    return Judgement(found, tuple(nodes), praise, blame, weights, terms, tuple(levels), longer, declared)


def every_level_worse(judgement: Judgement, terms: Terms) -> Flags:
    """Whether every level is shown to be WORSE THAN DENSE (...): the verdict where validation names no level.

    As all must be shown, each is tested at the whole of blame's part of alpha (intersection-union).
    """
    found: Flags = np.logical_and.reduce([one.worse <= terms.blame for one in judgement.nodes])
    return found


def holm_weighted(p: Array, weights: Array, alpha: float) -> Array:
    """The sizes (..., levels) at which Holm's procedure tests p-values (..., levels), started at ``alpha weights``.

    A level that is shown hands its part on to those left, by their weights (Holm, 1979; Bretz and others, 2009); its
    own size is the one at which it was shown.
    """
    sizes = np.broadcast_to(alpha * weights, p.shape).copy()
    done = np.zeros(p.shape, dtype=bool)
    for _ in range(p.shape[-1]):
        passed = ~done & (p <= sizes)
        if not passed.any():
            break
        done |= passed
        left = (weights * ~done).sum(-1, keepdims=True)
        with np.errstate(divide="ignore"):
            sizes = np.where(done, sizes, alpha * weights / left)
    return sizes


def seeds_without_disaster(share: float) -> int:
    """How many seeds without a disaster show, with 95 %, that no more than this share of seeds are disasters."""
    return math.ceil(math.log(DISASTERS) / math.log(1 - share) - 1e-9)


def unseen_disasters(seeds: int) -> float:
    """The largest share of disasters that so many seeds would all miss with a chance of 5 %: 1 - 0.05^(1/n)."""
    return float(1 - DISASTERS ** (1 / seeds))


def _nodes(level: Evidence, plan: Spending) -> Nodes:
    """The repeated p-values of a level without longer arms."""
    within = _no_praise(plan.repeated(level.within), level)
    ahead = np.maximum(within, _every(level, plan))
    return Nodes(within, ahead, ahead, plan.repeated(level.worse), _some(level, plan), np.ones_like(within))


def _with_longer(nodes: Nodes, level: Evidence, longer: Evidence, plan: Spending) -> Nodes:
    """The same of a level whose claim holds the longer trained arms too."""
    more = _no_praise(np.maximum(plan.repeated(longer.within), _every(longer, plan)), longer)
    lost = [plan.repeated(longer.worse), *(plan.repeated(p) for p in longer.behind.values())]
    gone = np.minimum(1.0, (len(longer.opponents) + 1) * np.minimum.reduce(lost))
    return Nodes(nodes.within, nodes.ahead, np.maximum(nodes.ahead, more), nodes.worse, nodes.no_better, gone)


def _every(level: Evidence, plan: Spending) -> Array:
    """Of being ahead of every control: 1 where one is missing, or there are none."""
    if level.missing or not level.ahead:
        return np.ones(level.within.shape[:-1])
    found: Array = np.maximum.reduce([plan.repeated(p) for p in level.ahead.values()])
    return found


def _some(level: Evidence, plan: Spending) -> Array:
    """Of not being ahead of some declared control, by Bonferroni; 1 where one is missing."""
    if level.missing or not level.behind:
        return np.ones(level.within.shape[:-1])
    least: Array = np.minimum.reduce([plan.repeated(p) for p in level.behind.values()])
    return np.minimum(1.0, len(level.opponents) * least)


def _no_praise(p: Array, level: Evidence) -> Array:
    return np.where(level.unsteady, 1.0, p)


def _verdict(nodes: Nodes, praise: Array, blame: float, longer: bool, enough: bool) -> Codes:
    """Down the tree, as far as it is shown."""
    good: Mapping[str, Flags] = {
        MATCHES: nodes.within <= praise,
        EQUAL_STEPS: nodes.ahead <= praise,
        WINS: (nodes.whole <= praise) & longer & enough,
    }
    bad: Mapping[str, Flags] = {
        WORSE: nodes.worse <= blame,
        NO_BETTER: nodes.no_better <= blame,
        HEAD_START: nodes.head_start <= blame,
    }
    found = np.zeros(nodes.within.shape, dtype=np.int8)
    for parent, yes, no in FORKS:
        here = found == VERDICTS.index(parent)
        found = np.where(here & good[yes] & ~bad[no], VERDICTS.index(yes), found)
        found = np.where(here & bad[no] & ~good[yes], VERDICTS.index(no), found)
    return found.astype(np.int8)
