"""The claim of a recipe, judged over paired seeds: does the ticket hold, match or win?

A ticket *holds* at a level when the one-sided 95 % t bound of its paired loss is under the margin, a fraction of the
dense mean. A seed's loss is ticket minus dense, or dense minus ticket for a figure of which more is better. The ticket
*wins* when it is also better than every control, each by a one-sided paired t test at 5 % (an intersection-union test,
so that several controls need no correction; Berger, 1982). Fewer than three seeds decide nothing, and in a claim about
samples a ticket that collapsed never holds: it fails, or is undecided where the dense model collapsed too. Claims about
other figures are told of the collapse. Values that were measured in another way than the dense model's are compared
with nothing. The narrow network from scratch with the FLOPs of search and ticket takes more steps than they do: like
the dense model's budget it is told beside the claim, which is one at equal steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gentickets.errors import nearest
from gentickets.recipe.families import OF_SAMPLES
from gentickets.report import sentence as say
from gentickets.report.against import against
from gentickets.report.cautions import cautions, collapsed_seeds, collapses, ties
from gentickets.report.cells import MATCHED, Cells, Split
from gentickets.report.method import how_found
from gentickets.report.opponents import explained
from gentickets.report.verdict import LEAST_SEEDS, Comparison, Trial, Verdict, paired
from gentickets.report.widths import swept
from gentickets.report.words import LONGER, NARROWER, Spread, figure_name, is_higher
from gentickets.results import Result, better

Found = tuple[str, list[str]]
"""The word, and the notes that a reader needs beside it."""


def judge(results: Sequence[Result], recipe: Mapping[str, Any]) -> Verdict:
    """What the results say about the recipe's `[claim]`; never an error, also where results are missing.

    `recipe` is the resolved recipe as `run.json` keeps it. Numbers are those of the test split; validation
    only chooses the level (where the recipe leaves it to validation) and each control's better twin.
    """
    claim, cells = recipe.get("claim"), Cells(results, recipe)
    if cells.method == "widths":
        return Verdict("no claim", swept(cells), seeds=len(cells.seeds))
    found = how_found(recipe)
    if not claim or better(str(claim["metric"])) is None:
        others = _unclaimed(cells)
        text = " ".join([_no_claim(cells), *([explained(others, str(cells.metric))] if others else [])])
        return Verdict("no claim", text, found=found, explained_by=others, notes=tuple(ties(cells)))
    metric, margin = str(claim["metric"]), float(claim.get("margin", 0.02))
    budget = Spread.of(cells.values("budget", 0, metric, "test"))
    blank = Verdict("undecided", "", metric, margin, found=found, seeds=len(cells.seeds), budget=budget)
    blank = replace(blank, pruned=cells.pruned, of_channels=cells.of_channels, notes=tuple(ties(cells)))
    known = cells.figures()
    if not results or (known and metric not in known):
        why = f"no result has the figure '{metric}'. {nearest(metric, known)}" if known else "nothing is done yet."
        return replace(blank, sentence=f"The claim is undecided: {why}")
    round = claim_round(results, recipe)
    if round is None:
        return _without_level(cells, replace(blank, chosen=True))
    chosen = not _declared(claim)
    short, longer = (_trial(cells, round, metric, margin, tail) for tail in ("", LONGER))
    word, reasons = _word(cells, round, short, longer, chosen)
    # A collapse stands in the sentence itself: it may flatter the figures beside it.
    telling = word in ("fails", "undecided", "faster", "wins at equal steps")
    said = [*(reasons[:1] if telling else []), *collapses(cells, round)]
    told = short.unfinished if short and word in ("matches", "holds") else ()
    notes = tuple(dict.fromkeys([*reasons, *said, *cautions(cells, round, metric, told), *blank.notes]))
    verdict = replace(blank, word=word, round=round, level=cells.sparsity(round), chosen=chosen)
    verdict = replace(verdict, share=cells.share(round), short=short, longer=longer, notes=notes)
    if cells.of_channels:
        verdict = replace(verdict, lighter=cells.lighter(round), explained_by=_narrower(word, short))
    times = int(cells.search.get("longer") or 0)
    hollow = cells.claims_samples and any(collapsed_seeds(cells, round))
    return replace(verdict, sentence=say.sentence(verdict, times, list(dict.fromkeys(said)), hollow))


def claim_round(results: Sequence[Result], recipe: Mapping[str, Any]) -> int | None:
    """The round that the claim is about.

    A declared level: the round nearest to it. `level = "validation"`: the sparsest round whose claim holds on
    the validation figures of every seed; None while no round does, or where no claim is declared.
    """
    claim, cells = recipe.get("claim"), Cells(results, recipe)
    if not claim:
        return None
    rounds = cells.levels
    if _declared(claim):
        declared = float(claim["level"])
        return min(rounds, key=lambda round: abs(cells.sparsity(round) - declared), default=None)
    for round in sorted(rounds, key=cells.sparsity, reverse=True):
        trial = _trial(cells, round, str(claim["metric"]), float(claim.get("margin", 0.02)), split="valid")
        complete = trial is not None and trial.loss.n == len(cells.seeds)
        if trial is not None and complete and trial.holds:
            return round
    return None


def _no_claim(cells: Cells) -> str:
    """Why there is no verdict, and why a claim would not do."""
    text = "The recipe declares no claim, so there is nothing to hold or to win."
    if claim := cells.recipe.get("claim"):
        text = f"The {figure_name(str(claim['metric']))} says nothing of quality by itself, so it can carry no claim."
    return f"{text} {say.more_steps(cells.goes_on)}" if cells.goes_on else text


def _unclaimed(cells: Cells) -> tuple[str, ...]:
    """Without a claim, the controls that explain the narrowest ticket all the same (Trap 21a)."""
    round, metric = cells.last_round, cells.metric
    if not cells.of_channels or metric is None or better(metric) is None:
        return ()
    flattered = metric in OF_SAMPLES and any(collapsed_seeds(cells, round))
    return () if flattered else _narrower("no claim", _trial(cells, round, metric, 0.0))


def _declared(claim: Mapping[str, Any]) -> bool:
    return isinstance(claim.get("level"), int | float)


def _without_level(cells: Cells, verdict: Verdict) -> Verdict:
    """The verdict where validation has named no level: none will come, or the run is not that far."""
    # What every level rests on: the dense run, and where each round prunes the last one's, the first round.
    if broken := cells.first_broken([0, 1] if cells.method == "iterative" else [0]):
        return replace(verdict, word="fails", sentence=f"The claim does not hold. {say.failed(broken)}")
    undone = any(cells.ticket_troubles(round)[1] for round in [0, *cells.levels])
    if undone or len(cells.seeds) < cells.wanted_seeds:
        text = "The claim is undecided: no level holds on validation so far, and the run is not finished."
        return replace(verdict, sentence=text)
    if len(cells.seeds) < LEAST_SEEDS:
        text = f"The claim is undecided: no level holds on validation. {say.few_seeds(len(cells.seeds), LEAST_SEEDS)}"
        return replace(verdict, sentence=text)
    text = f"The claim does not hold: at no level is the ticket's {figure_name(str(verdict.metric))} "
    text += "on validation within the margin of the dense model's."
    if broken := cells.first_broken([0, *cells.levels]):
        text += f" {say.broken(broken)}."
    return replace(verdict, word="fails", sentence=f"{text} {say.with_budget(verdict)}".strip())


def _trial(cells: Cells, round: int, metric: str, margin: float, tail: str = "", split: Split = "test") -> Trial | None:
    """Ticket, dense and controls at one round (by `tail`: trained longer); None without ticket or dense."""
    dense_arm = f"dense{tail}" if tail else "ticket"
    ticket = cells.values(f"ticket{tail}", round, metric, split)
    dense = cells.values(dense_arm, cells.round_of(dense_arm, round) if tail else 0, metric, split)
    loss = paired(ticket, dense, higher=is_higher(metric))
    of_ticket, of_dense = Spread.of(ticket), Spread.of(dense)
    if loss is None or of_ticket is None or of_dense is None:
        return None
    compared: list[Comparison] = []
    unfinished: dict[str, str] = {}
    for control in cells.opponents if split == "test" else ():
        outcome = against(cells, control, tail, round, metric, ticket)
        if isinstance(outcome, Comparison):
            compared.append(outcome)
        else:
            unfinished[control] = outcome
    # The size of the mean: a negative log-likelihood of continuous data may be below zero.
    limit = margin * abs(of_dense.mean)
    beside = against(cells, MATCHED, tail, round, metric, ticket) if split == "test" else ""
    matched = beside if isinstance(beside, Comparison) else None
    return Trial(of_ticket, of_dense, loss, limit, tuple(compared), unfinished, matched)


def _narrower(word: str, short: Trial | None) -> tuple[str, ...]:
    """The controls that are as narrow as the ticket and not beaten by it, where anything is decided (Trap 21a)."""
    if short is None or word == "undecided":
        return ()
    unbeaten = [other.control for other in short.controls if other.tested and not other.beaten]
    return tuple(control for control in unbeaten if control in NARROWER)


def _word(cells: Cells, round: int, short: Trial | None, longer: Trial | None, chosen: bool) -> Found:
    failed, waiting = cells.ticket_troubles(round)
    seeds = len(cells.seeds)
    if failed:
        return "fails", [say.failed(cells.first_broken(cells.way(round)))]
    if chosen:
        # A sparser round that is still running may hold, so that the level itself is open.
        later = [place for place in cells.levels if place >= round]
        waiting = sorted({seed for place in later for seed in cells.ticket_troubles(place)[1]})
    metric = str(cells.recipe["claim"]["metric"])
    if apart := sorted({*cells.apart("ticket", 0, metric), *cells.apart("ticket", round, metric)}):
        return "undecided", [say.odd_seeds(metric, apart)]
    if waiting or seeds < cells.wanted_seeds or short is None or short.loss.n < seeds:
        return "undecided", [say.waiting(waiting, seeds, cells.wanted_seeds)]
    if seeds < LEAST_SEEDS:
        return "undecided", [say.few_seeds(seeds, LEAST_SEEDS)]
    alone, both = collapsed_seeds(cells, round) if cells.claims_samples else ([], [])
    if alone:
        # A collapsed generator can score better than a healthy one, so that the figure alone proves nothing.
        return "fails", [say.collapsed("the ticket", alone)]
    if both:
        return "undecided", [say.both_collapsed(both)]
    if not short.holds:
        return "fails", []
    notes = say.not_compared(short.unfinished)
    if any(not other.beaten for other in short.controls):
        return "matches", notes
    if short.unfinished:
        return "holds", notes
    if not short.controls:
        return "holds", ["No control was run, so whether the ticket matches or wins is not asked."]
    return _when_longer(cells, round, longer)


def _when_longer(cells: Cells, round: int, longer: Trial | None) -> Found:
    """A win at equal steps, asked again of the longer arms."""
    arms = (f"ticket{LONGER}", f"dense{LONGER}")
    there = [cell for arm in arms for place in cells.rounds(arm) for cell in cells.of(arm, place)]
    failed = [cell for cell in there if cell.arm == arms[0] and cell.status != "done"]
    if failed:
        return "faster", [say.failed(failed)]
    alone, both = collapsed_seeds(cells, round, LONGER) if cells.claims_samples else ([], [])
    if alone:
        return "faster", [say.collapsed("the ticket, trained longer,", alone)]
    if both:
        return "wins at equal steps", [say.both_collapsed(both, longer=True)]
    if longer is None or longer.loss.n < len(cells.seeds):
        return "wins at equal steps", ["The longer arms are not finished."] if there else []
    if not longer.holds or any(not other.beaten for other in longer.controls):
        return "faster", []
    notes = say.not_compared({f"{name}{LONGER}": why for name, why in longer.unfinished.items()})
    return ("wins at equal steps" if notes else "wins"), notes
