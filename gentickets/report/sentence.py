"""The verdict in English, and the notes beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gentickets.report.verdict import Comparison, Trial, Verdict
from gentickets.report.words import (
    Spread,
    arm_name,
    decimals,
    figure_name,
    fixed,
    listed,
    percent,
    plus_minus,
)

_HEADS = {
    "wins": "the ticket wins, also when trained longer",
    "wins at equal steps": "the ticket wins at equal steps",
    "faster": "the ticket is FASTER, not better: it wins at equal short steps only",
    "matches": "the ticket matches the dense model, and so does a control",
    "holds": "the claim holds",
    "fails": "the claim does not hold",
    "undecided": "the claim is undecided",
}


def sentence(verdict: Verdict, times: int) -> str:
    """The whole verdict for a person: level, metric, means, bound, seeds, controls, the dense model's budget.

    `times` is how many times longer the longer arms train.
    """
    how = " (the sparsest that holds on validation)" if verdict.chosen else ""
    parts = [f"At {percent(verdict.level or 0.0)} sparsity{how} {_HEADS[verdict.word]}"]
    places = _places(verdict)
    if verdict.short is not None:
        parts[0] += f": {_against_dense(verdict.short, str(verdict.metric), places)}"
    parts[0] += "."
    if verdict.word in ("fails", "undecided"):
        parts += verdict.notes[:1]
    if verdict.short is not None and verdict.short.controls:
        parts.append(_against_controls(verdict.short, places))
    if verdict.longer is not None:
        parts.append(_when_longer(verdict.longer, times, places))
    elif verdict.word == "wins at equal steps":
        parts.append("Whether the lead lasts in longer training was not tried.")
    if verdict.budget is not None:
        parts.append(with_budget(verdict.budget, verdict.short))
    return " ".join(parts)


def _places(verdict: Verdict) -> int:
    short = verdict.short
    return decimals([short.ticket, short.dense, verdict.budget] if short else [verdict.budget])


def _against_dense(trial: Trial, metric: str, places: int) -> str:
    spread = " (mean ± sd on test)" if trial.ticket.sd is not None else " (on test)"
    seeds = f"{trial.loss.n} seed{'s' if trial.loss.n != 1 else ''}"
    text = (
        f"{figure_name(metric)} {plus_minus(trial.ticket, places)} against {plus_minus(trial.dense, places)} "
        f"for the dense model{spread} over {seeds}"
    )
    if trial.loss.n < 2:
        return text
    side = "under" if trial.holds else "not under"
    bound, limit = fixed(trial.loss.bound, places), fixed(trial.limit, places)
    return f"{text}; the one-sided 95 % bound of its paired loss, {bound}, is {side} the margin of {limit}"


def _against_controls(trial: Trial, places: int) -> str:
    beaten = [other for other in trial.controls if other.beaten]
    level = [other for other in trial.controls if not other.beaten]

    def names(others: Sequence[Comparison], joint: str = "and") -> str:
        return listed([f"{arm_name(other.arm)} ({plus_minus(other.spread, places)})" for other in others], joint)

    if not level:
        every = "every control" if not trial.unfinished else "the controls that have run"
        return f"It beats {every}: {names(beaten)}."
    if not beaten:
        return f"It does not beat {names(level, 'or')}."
    return f"It beats {names(beaten)}, but not {names(level, 'or')}."


def _when_longer(trial: Trial, times: int, places: int) -> str:
    length = f"Trained {times} times as long" if times > 1 else "Trained longer"
    lost = [arm_name(other.control) for other in trial.controls if not other.beaten]
    outcome = "holds there" if trial.holds else "does not hold there"
    if trial.holds and trial.ticket.mean > trial.dense.mean:
        outcome += " within its margin, though the dense model is ahead"
    text = f"{length}, the ticket reaches {plus_minus(trial.ticket, places)} and the dense model "
    text += f"{plus_minus(trial.dense, places)}: the claim {outcome}"
    if lost:
        return f"{text}{', but' if trial.holds else ', and'} the ticket no longer beats {listed(lost, 'or')}."
    return f"{text}{', and every control is still beaten' if trial.controls and trial.holds else ''}."


def with_budget(budget: Spread | None, trial: Trial | None = None) -> str:
    """What the dense model reaches with the compute of the whole search: the honest comparison."""
    if budget is None:
        return ""
    places = decimals([trial.ticket, trial.dense, budget] if trial else [budget])
    text = f"A dense model given the whole search's compute reaches {plus_minus(budget, places)}"
    if trial is None:
        return f"{text}."
    return f"{text}, {'better than' if budget.mean < trial.ticket.mean else 'no better than'} the ticket."


def failed(seeds: Sequence[int]) -> str:
    """Why a claim cannot hold when a ticket failed."""
    return f"The ticket failed in {_seeds(seeds)}, and a claim cannot hold when a seed fails."


def waiting(seeds: Sequence[int], started: int, wanted: int) -> str:
    """Why an unfinished run decides nothing."""
    if started < wanted:
        return f"{started} of {wanted} seeds have started."
    if not seeds:
        return "The metric is not there for every seed."
    return f"The run is not finished: {_seeds(seeds)} still {'has' if len(seeds) == 1 else 'have'} rounds to go."


def few_seeds(seeds: int, least: int) -> str:
    """Why one or two seeds decide nothing."""
    return f"{seeds} seed{' is' if seeds == 1 else 's are'} too few to decide: at least {least} are needed."


def collapsed(arm: str, seeds: Sequence[int]) -> str:
    """A collapsed generator can score well, so the flag stands beside the figure."""
    return f"The samples of the {arm} collapsed in {_seeds(seeds)}."


def not_compared(unfinished: Mapping[str, str]) -> list[str]:
    """Which controls (control -> why) stand outside the verdict, a sentence for each reason."""
    reasons = dict.fromkeys(unfinished.values())
    groups = {why: [f"'{name}'" for name, own in unfinished.items() if own == why] for why in reasons}
    texts = {why: f"control{'s' if len(names) > 1 else ''} {listed(names)}" for why, names in groups.items()}
    return [f"No comparison with the {text}: {why}." for why, text in texts.items()]


def incomparable(metric: str, arms: Sequence[str]) -> str:
    """Figures compare only under one extractor and one N."""
    how = "was measured in another way than the dense model's (see provenance)"
    return f"The {figure_name(metric)} of {listed(arms)} {how}."


def other_level(declared: float, found: float) -> str:
    """The declared level is none of the schedule's."""
    return f"The claim declares {percent(declared)}; the nearest round is at {percent(found)}."


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {listed([str(seed) for seed in seeds])}"
