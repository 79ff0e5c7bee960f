"""Summarizes a run: one row per arm and round, what it cost, and what is still missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gentickets.analysis.claim import judge
from gentickets.analysis.costs import ArmCost, costs_of, swept_name, ticket_costs, totals, uncounted_in
from gentickets.analysis.early_bird import Emergence, emergence
from gentickets.analysis.pareto import ParetoPoint, pareto_points
from gentickets.analysis.pending import pending_results
from gentickets.analysis.plain import plain
from gentickets.analysis.results import RunResults
from gentickets.analysis.rows import Row, row_of
from gentickets.analysis.text.cautions import failure_sentences
from gentickets.analysis.text.format import heading
from gentickets.analysis.text.recipe import facts
from gentickets.analysis.transfer import judge_transfer
from gentickets.analysis.transfer_levels import TransferVerdict
from gentickets.analysis.verdict import Verdict
from gentickets.analysis.written import REPORT
from gentickets.arms import SEARCH, TICKET, WIDTH, ArmName, reported_as
from gentickets.ledger import lower_bound
from gentickets.methods import ITERATIVE, METHODS, Method
from gentickets.metrics import better, known, way
from gentickets.provenance import comparable
from gentickets.recipe import Recipe
from gentickets.results import Result
from gentickets.sparsity import is_partial


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The outcome of a run; `as_dict` gives plain JSON."""

    name: str
    metric: str | None
    """The claim's, or without a claim the first figure that says something of quality."""
    figures: tuple[str, ...]
    """All figures: the metric, what must stand beside it, and last what says nothing of quality by itself."""
    rows: tuple[Row, ...]
    """Dense first, then the budget, the ticket by round, the controls and the longer arms."""
    verdict: Verdict
    seconds: Mapping[str, Mapping[str, float]]
    """Arm -> phase -> seconds, over all rounds and seeds; the dense run apart from the ticket's."""
    provenance: Mapping[str, tuple[str, ...]]
    """Figure -> how it was measured; several sentences where arms differ."""
    missing: tuple[str, ...]
    """What the recipe asks for and no result tells of yet."""
    seeds: tuple[int, ...]
    troubles: tuple[str, ...] = ()
    """Sentences about results that failed or diverged, and about those that were not run because of it."""
    pruned: str | None = None
    """Whose weights or channels a sparsity is of, where not all are pruned, e.g. ``the generator's weights``."""
    goes_on: str | None = None
    """``lr``, ``none`` or ``trained`` where rounds go on from trained weights, so that none is compared with dense."""
    method: str = ITERATIVE
    """The recipe's: ``iterative``, ``one_shot``, ``at_start``, ``early_bird`` or ``widths``."""
    widened: str = WIDTH
    """The keyword that a sweep varies."""
    facts: tuple[tuple[str, str], ...] = ()
    """What the recipe chose, in words: (what, which)."""
    better: Mapping[str, str | None] = field(default_factory=dict)
    """Figure -> ``lower``, ``higher``, or None for one that says nothing of quality by itself."""
    of_channels: bool = False
    """Whether a sparsity is the removed share of channels, rather than of weights."""
    spent: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Arm -> phase -> FLOPs executed, as `seconds`; empty where nothing is reported."""
    costs: tuple[ArmCost, ...] = ()
    """What each arm took at each round, the search of early birds among them."""
    search_cost: tuple[Mapping[str, Any], ...] = ()
    """What a ticket of each level cost to find and to train, as `ledger.json` has it."""
    choices: tuple[ParetoPoint, ...] = ()
    """Quality against the whole cost, and what stands on the Pareto fronts."""
    emergence: Emergence | None = None
    """When early birds emerged; None of another method."""
    uncounted: tuple[str, ...] = ()
    """Operators of which no count is known: where there are any, FLOPs are lower bounds."""
    transfer: TransferVerdict | None = None
    """What came of a ticket from another model; None of a run that was given none."""
    excluded: tuple[Mapping[str, Any], ...] = ()
    """Parameters that no mask covers, by reason: ``{"why", "parameters", "names"}``; empty where it is not known."""

    @property
    def partial(self) -> bool:
        """Whether prunable weights are so few that the fraction of all parameters is given with every sparsity."""
        return any(is_partial(row.weights) for row in self.rows)

    @property
    def search_method(self) -> Method:
        """The search method, as a row of `gentickets.methods`."""
        return METHODS[self.method]

    @property
    def is_sweep(self) -> bool:
        """Whether widths were swept, so that nothing was pruned."""
        return not self.search_method.prunes

    @property
    def how_measured(self) -> str:
        """The provenance of the metric; empty where none is reported."""
        return " · ".join(self.provenance.get(str(self.metric), ()))

    @property
    def secondary(self) -> tuple[str, ...]:
        """The headings of `table` that a narrow terminal can do without: every metric but the claim's."""
        others = [heading(figure) for figure in self.figures[1:]]
        if not self.is_sweep:
            return tuple(others)
        return tuple(f"{name} on {split}" for name in others for split in ("test", "train"))

    @property
    def own_rows(self) -> list[Row]:
        """The rows of the dense run and of the ticket, which give a level its sparsity."""
        return [row for row in self.rows if row.arm == reported_as(TICKET, row.round)]

    def row(self, arm: str, round: int | None = None) -> Row | None:
        """The row of an arm (at a round); None where there is none."""
        found = (row for row in self.rows if row.arm == arm and round in (None, row.round))
        return next(found, None)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; sparsities, means and sds are numbers, missing ones null."""
        told: dict[str, Any] = plain(self, REPORT)
        return told


def summarize(
    results: Sequence[Result],
    recipe: Recipe,
    name: str = "run",
    declared: int | None = None,
    *,
    path: str = "RUN",
    by_hand: bool = False,
) -> Summary:
    """Gather a run's results, finished or not, under its recipe; the other arguments are those of `judge`."""
    run = RunResults(results, recipe, path)
    verdict = judge(results, recipe, declared, path=path, by_hand=by_hand)
    figures = _ordered(run.figures(), run.metric)
    places = [(arm, round) for arm in run.arms() for round in run.rounds(arm)]
    rows = [row_of(run, arm, round, figures, verdict.round) for arm, round in places]
    rows.sort(key=lambda row: (*_place(row.arm), row.width or 0 if row.arm == WIDTH else 0))
    billed = ticket_costs(run)
    uncounted = tuple(sorted({name for names in uncounted_in(results).values() for name in names}))
    costs = costs_of(run, billed)
    return Summary(
        name=name,
        metric=run.metric,
        figures=figures,
        rows=tuple(rows),
        verdict=verdict,
        seconds=_in_order(totals(run, "seconds"), run),
        provenance=_provenance(results, figures),
        missing=tuple(pending_results(run, verdict.round)),
        seeds=tuple(run.seeds),
        troubles=(*failure_sentences(run), *_lower_bound(uncounted)),
        pruned=run.pruned,
        goes_on=run.goes_on,
        method=recipe.search.method,
        widened=run.search.widen,
        facts=tuple(facts(recipe)),
        better={figure: way(figure) for figure in figures},
        of_channels=run.of_channels,
        spent=_in_order(totals(run, "spent"), run),
        costs=costs,
        search_cost=tuple(level.as_dict() for level in billed),
        choices=pareto_points(rows, costs, run.metric),
        emergence=emergence(run),
        uncounted=uncounted,
        transfer=judge_transfer(results, recipe),
        excluded=next((tuple(result.excluded) for result in results if result.excluded), ()),
    )


def _lower_bound(uncounted: Iterable[str]) -> list[str]:
    why = lower_bound(uncounted)
    return [f"{why}. Networks of equal FLOPs are equal in what is counted."] if why else []


def comparable_groups(summaries: Sequence[Summary]) -> list[list[Summary]]:
    """The runs in groups whose numbers are comparable: the same metric, measured in the same way."""
    groups: list[list[Summary]] = []
    for summary in summaries:
        for group in groups:
            same = summary.metric == group[0].metric
            if same and comparable(summary.how_measured, group[0].how_measured):
                group.append(summary)
                break
        else:
            groups.append([summary])
    return groups


def _ordered(there: Sequence[str], metric: str | None) -> tuple[str, ...]:
    """The metric first; coverage right after what a collapse flatters (Trap 30e); figures without a direction last."""
    telling = list(dict.fromkeys([*([metric] if metric else []), *filter(better, there)]))
    for figure in telling:
        row = known(figure)
        if row is not None and row.guard in telling[1:]:
            telling.remove(row.guard)
            telling.insert(telling.index(figure) + 1, row.guard)
            break
    return tuple(dict.fromkeys([*telling, *there]))


def _place(arm: str) -> tuple[bool, int]:
    """Where an arm stands among the others."""
    name = ArmName.of(arm)
    return name.longer, name.kind.place


def _in_order(total: Mapping[str, Mapping[str, float]], results: RunResults) -> dict[str, Mapping[str, float]]:
    """Arms as the rows have them, the search of early birds among the first; a sweep by width."""
    known = ["dense", SEARCH, *results.arms()]
    arms = sorted(total, key=lambda arm: (*_place(arm), known.index(arm) if arm in known else len(known)))
    order = [*(swept_name(results, width) for width, _ in results.widths), *arms]
    return {arm: total[arm] for arm in dict.fromkeys(order) if arm in total}


def _provenance(results: Sequence[Result], figures: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for figure in figures:
        texts = dict.fromkeys(cell.provenance[figure] for cell in results if figure in cell.provenance)
        if texts:
            found[figure] = tuple(texts)
    return found
