"""Writes the numbers of a page's first screen, and the captions that explain its tables."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator

from gentickets.analysis.summary import Summary
from gentickets.analysis.text.claim import more_steps
from gentickets.analysis.text.costs import search_cost_of
from gentickets.analysis.text.format import (
    decimals,
    fixed,
    higher_is_better,
    numbered,
    percent,
    plus_minus,
)
from gentickets.analysis.transfer_levels import TransferVerdict
from gentickets.arms import KINDS, MASK_ALONE, MATCHED, UNMASKED, ArmName, kind_of
from gentickets.metrics import known
from gentickets.sparsity import in_brackets, of_all


def tiles(summary: Summary) -> list[tuple[str, str, str]]:
    """The numbers of the first screen: (title, number, note)."""
    verdict, short = summary.verdict, summary.verdict.short
    if short is None:
        return list(_emerged(summary))
    places = decimals([short.ticket, short.dense, verdict.budget])
    of = verdict.pruned or ("the channels" if verdict.of_channels else "")
    found = [
        ("dense", plus_minus(short.dense, places), numbered(short.dense.n, "seed")),
        (
            f"ticket at {percent(verdict.level or 0)}{in_brackets(verdict.share if verdict.partial else None)}",
            plus_minus(short.ticket, places),
            numbered(short.ticket.n, "seed") + (f"; of {of}" if of else ""),
        ),
    ]
    good = short.against.good
    if good is not None and short.margin is not None:
        loss = "dense minus ticket" if higher_is_better(verdict.metric) else "ticket minus dense"
        note = f"of {loss}, at the size at which it was tested; the margin is {fixed(short.margin, places)}"
        found.append(("bound", fixed(good.limit, places), note))
    found += _emerged(summary)
    if verdict.budget is not None:
        note = "a dense model given the whole search's compute"
        found.append(("dense, whole budget", plus_minus(verdict.budget, places), note))
    return found


def captions(summary: Summary) -> list[str]:
    """What must be known to read the table, sentence by sentence."""
    where = "" if summary.is_sweep else "Test split. "
    found = [f"{where}Mean ± standard deviation over (n) finished seeds; an arrow says which way a metric is good."]
    found += [row.remark for figure in summary.figures if (row := known(figure)) and row.remark]
    if summary.of_channels:
        found.append(_of_channels(summary))
    elif summary.pruned is not None or summary.partial:
        level, share = summary.verdict.level, summary.verdict.share
        also = ""
        if level is not None and share is not None:
            also = f"; {percent(level)} of them are {of_all(share)}"
        found.append(f"Sparsity is the removed share of {summary.pruned or 'the prunable weights'}{also}.")
    if summary.search_method.remark:
        found.append(summary.search_method.remark)
    if summary.goes_on:
        found.append(more_steps(summary.goes_on))
    names = [ArmName.of(row.arm) for row in summary.rows]
    arms = {name.base for name in names if not name.scaled}
    if any(name.longer for name in names):
        found.append("Longer arms are compared with the longer dense run.")
    if steps := {row.steps for row in summary.rows if kind_of(row.arm).whole}:
        most = f"{max(steps):,}" if len(steps) == 1 else f"up to {max(steps):,}"
        found.append(f"Arms of equal total steps take {most}: as many as the ticket of their level and its search.")
    for kind in (kind for kind in KINDS.values() if kind.equal and kind.name in arms and not kind.whole):
        what = "FLOPs" if kind.equal == "flops" else "weights"
        found.append(f"A {kind.title} has no mask, and as many {what} as the ticket of its level.")
    found += _narrower(summary, arms)
    if summary.transfer is not None:
        found += _transferred(summary.transfer, arms)
    if any(row.stops for row in summary.rows):
        found.append(
            "A training that the early-stopping rule did not stop before the end counts with its last step; "
            "\N{GREATER-THAN OR EQUAL TO} stands before such a mean."
        )
    if any(row.apart for row in summary.rows):
        found.append("Values measured in another way than the dense model's are left out of their column.")
    return found


def _emerged(summary: Summary) -> Iterator[tuple[str, str, str]]:
    """When the claim's early bird emerged (else the last level's), and what finding it cost."""
    if summary.emergence is None:
        return
    levels = summary.emergence.of(summary.verdict.round or max(summary.emergence.rounds(), default=0))
    steps = [level.step for level in levels if level.step is not None]
    if steps:
        share = statistics.mean(steps) / summary.emergence.steps if summary.emergence.steps else None
        note = f"in {len(steps)} of {numbered(len(levels), 'seed')}, mean"
        note += f"; {percent(share)} of the training" if share is not None else ""
        yield "early bird emerged at", f"step {statistics.mean(steps):,.0f}", note
    bill = search_cost_of(summary)
    if bill and (ratio := bill["search_in_dense_trainings"]["flops"]) is not None:
        yield "search cost", f"{fixed(100 * ratio, 1)} %", "of the FLOPs of one dense training"


def _of_channels(summary: Summary) -> str:
    """What a level of channels is a share of, and how many weights that is."""
    verdict = summary.verdict
    text = f"A level is the removed share of {summary.pruned or 'the channels'}"
    if verdict.level is not None and verdict.lighter is not None:
        text += f"; {percent(verdict.level)} of them carry {percent(verdict.lighter)} of the prunable weights"
        text += (
            f", {of_all(verdict.share)}" if (summary.pruned or summary.partial) and verdict.share is not None else ""
        )
    return f"{text}."


def _transferred(transfer: TransferVerdict, arms: Collection[str]) -> Iterator[str]:
    """What steps lie behind transferred arms, and what is not charged to them."""
    if transfer.moves in ("weights", "trained"):
        behind = "whole training lies" if transfer.moves == "trained" else "early steps lie"
        yield (
            "Transferred arms start at step 0 with the source's weights, so that the source's "
            f"{behind} behind them, and take all steps of the target."
        )
    elif transfer.moves == "signs":
        yield "Transferred arms start at step 0, from new weights with the signs of the source's trained ones."
    else:
        yield "Transferred arms start from the target's own early weights, as its ticket does."
    for told in transfer.notes:
        yield f"{told[:1].upper()}{told[1:]}."
    if MASK_ALONE in arms:
        yield "The transferred mask alone starts from the target's own early weights."
    if UNMASKED in arms:
        yield "Without mask: the source's dense weights of the same step, none of them removed."
    yield "What finding the source's ticket cost is no part of this run's bill."


def _narrower(summary: Summary, arms: Collection[str]) -> Iterator[str]:
    """What the controls of a ticket of channels are."""
    own = [kind for kind in KINDS.values() if kind.of_channels and kind.name in arms]
    names = [kind.title for kind in own if not kind.own_start]
    if names:
        does = " and ".join(names)
        yield f"{does[:1].upper()}{does[1:]}: as many of each group as the ticket has, from the same state."
    if any(kind.own_start and not kind.matched for kind in own):
        yield "Narrow from scratch: the ticket's own shapes from initialization, in as many steps as a dense training."
    level = summary.verdict.round
    if steps := [cost.steps for cost in summary.costs if cost.arm == MATCHED and level in (None, cost.round)]:
        yield (
            "Its twin of equal FLOPs trains on until it has cost as much as search and ticket together (on average "
            f"{steps[-1]:,.0f} steps); no claim at equal steps is judged by it."
        )
