"""Writes the verdict on a claim in English, and the notes beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from gentickets.analysis.text.controls import (
    budget_against_ticket,
    controls_sentence,
    explained_sentence,
    matched_sentence,
)
from gentickets.analysis.text.format import (
    arm_name,
    confidence,
    decimals,
    fixed,
    higher_is_better,
    listed,
    metric_name,
    numbered,
    percent,
    plus_minus,
)
from gentickets.analysis.verdict import Trial, Verdict
from gentickets.results import Result
from gentickets.sparsity import in_brackets, of_all
from gentickets.statistics import EQUAL_STEPS, FASTER, HOLDS, LEAST_SEEDS, LOSES, MATCHES, UNDECIDED, WINS

_HEADS = {
    WINS: "the ticket WINS, also when trained longer",
    EQUAL_STEPS: "the ticket WINS AT EQUAL STEPS",
    FASTER: "the ticket is FASTER, not better: it wins at equal short steps only",
    MATCHES: "the ticket MATCHES the dense model, and a control does as well",
    HOLDS: "the claim HOLDS",
    LOSES: "the ticket LOSES",
    UNDECIDED: "the claim is UNDECIDED",
}


def sentence(verdict: Verdict, times: int, said: Sequence[str] = (), hollow: bool = False) -> str:
    """The whole verdict for a person: level, metric, means, bound, seeds, controls, the dense model's budget.

    `times` is how many times longer the longer arms train; `said` are reasons and cautions that belong into it.
    `hollow`: the ticket's samples collapsed, so that its metric is degenerate.
    """
    parts = [f"At {_level(verdict)} {_HEADS[verdict.word]}"]
    places, decided = _places(verdict), verdict.tested
    if verdict.short is not None:
        parts[0] += f": {dense_sentence(verdict.short, str(verdict.metric), places, decided)}"
    parts[0] += "."
    parts += said
    if verdict.short is not None and not hollow:
        parts += _beside_controls(verdict, verdict.short, places, decided)
    if verdict.longer is not None and not hollow:
        beaten = {other.control for other in verdict.short.controls if other.beaten} if verdict.short else set()
        parts.append(_when_longer(verdict.longer, times, places, decided, beaten))
    elif verdict.word == EQUAL_STEPS:
        parts.append("Whether the lead lasts in longer training was not tried.")
    if verdict.budget is not None:
        parts.append(budget_sentence(replace(verdict, short=None) if hollow else verdict, decided))
    return " ".join(parts)


def _level(verdict: Verdict) -> str:
    """The level; where not all weights are pruned, whose they are and how much of all; how the ticket was found."""
    level, share = percent(verdict.level or 0.0), ""
    if verdict.of_channels:
        text = f"{level} of {verdict.pruned or 'the channels'} removed"
        weights = "the prunable weights" if verdict.pruned else "the weights"
        told = [f"{percent(verdict.lighter)} of {weights}"] if verdict.lighter is not None else []
        share = ", ".join([*told, *([of_all(verdict.share)] if verdict.partial and verdict.share is not None else [])])
    else:
        text = f"{level} sparsity" + (f" of {verdict.pruned}" if verdict.pruned else "")
        share = of_all(verdict.share) if verdict.pruned or verdict.partial else ""
    chosen = "the sparsest that holds on validation" if verdict.chosen else ""
    beside = "; ".join(filter(None, [share, verdict.found, chosen]))
    return text + (f" ({beside})" if beside else "")


def _beside_controls(verdict: Verdict, trial: Trial, places: int, decided: bool) -> list[str]:
    found = [controls_sentence(trial, places, decided)] if trial.controls else []
    found += [explained_sentence(verdict.explained_by, str(verdict.metric))] if verdict.explained_by else []
    return [*found, *filter(None, [matched_sentence(trial, places, decided, higher_is_better(verdict.metric))])]


def _places(verdict: Verdict) -> int:
    short = verdict.short
    return decimals([short.ticket, short.dense, verdict.budget] if short else [verdict.budget])


def dense_sentence(trial: Trial, metric: str, places: int, decided: bool) -> str:
    """Both means with their spreads, and where it is decided the bound of the loss beside the margin."""
    spread = " (mean ± sd on test)" if trial.ticket.sd is not None else " (on test)"
    text = (
        f"{metric_name(metric)} {plus_minus(trial.ticket, places)} against {plus_minus(trial.dense, places)} "
        f"for the dense model{spread} over {numbered(trial.loss.n, 'seed')}"
    )
    if not decided or trial.loss.n < LEAST_SEEDS:
        return text
    side = "under" if trial.holds else "not under"
    bound, limit = fixed(trial.bound, places), fixed(trial.limit, places)
    text += f"; the one-sided {confidence(trial.loss.size)} bound of its paired loss, {bound}, is {side} the margin"
    return f"{text} of {limit}"


def _when_longer(trial: Trial, times: int, places: int, decided: bool, beaten: Collection[str]) -> str:
    length = f"Trained {times} times as long" if times > 1 else "Trained longer"
    if trial.loss.n < LEAST_SEEDS:
        text = f"{length}, the ticket reaches {plus_minus(trial.ticket, places)} and the dense model "
        return f"{text}{plus_minus(trial.dense, places)}; with {numbered(trial.loss.n, 'seed')} that is not tested."
    if not decided:
        text = f"{length}, the ticket reaches {plus_minus(trial.ticket, places)} and the dense model "
        return f"{text}{plus_minus(trial.dense, places)}."
    level = [other for other in trial.controls if other.tested and not other.beaten]
    lost = [arm_name(other.control) for other in level if other.control in beaten]
    outcome = "holds there" if trial.holds else "does not hold there"
    if trial.holds and trial.loss.mean > 0:
        outcome += " within its margin, though the dense model is ahead"
    text = f"{length}, the ticket reaches {plus_minus(trial.ticket, places)} and the dense model "
    text += f"{plus_minus(trial.dense, places)}: the claim {outcome}"
    if lost:
        joint = ", but" if trial.holds else ", and"
        return f"{text}{joint} the ticket is no longer shown to be better than {listed(lost, 'or')}."
    return f"{text}{', and every control is still beaten' if trial.controls and trial.holds and not level else ''}."


def budget_sentence(verdict: Verdict, decided: bool = True) -> str:
    """What the dense model reaches with the compute of the whole search: the honest comparison."""
    budget, trial = verdict.budget, verdict.short
    if budget is None:
        return ""
    places = decimals([trial.ticket, trial.dense, budget] if trial else [budget])
    text = f"A dense model given the whole search's compute reaches {plus_minus(budget, places)}"
    if trial is None:
        return f"{text}."
    return f"{text}{budget_against_ticket(budget, trial.ticket, decided, higher_is_better(verdict.metric))}."


def more_steps(way: str) -> str:
    """Why rounds that continue from trained weights are not compared with the dense run."""
    if way == "trained":
        return (
            "With other = 'trained' the components that are not pruned go on from their trained weights, so that they "
            "have more steps behind them than in the dense model, and no round is held against it."
        )
    return (
        f"With rewind = '{way}' a round goes on from the trained weights of the last, so that it has more steps behind "
        "it than the dense model and is not held against it."
    )


def failed(results: Sequence[Result]) -> str:
    """Why a claim cannot hold when a ticket, or the dense run before it, failed."""
    return f"{broken(results)}, and a claim cannot hold when a seed fails."


def broken(results: Sequence[Result]) -> str:
    """Which arm failed or diverged in which seeds, and why; no full stop."""
    by_arm: dict[str, list[Result]] = {}
    for cell in results:
        by_arm.setdefault(_subject(cell), []).append(cell)
    text = "; ".join(f"{name} {status(own)}" for name, own in by_arm.items())
    return text[:1].upper() + text[1:]


def status(results: Sequence[Result]) -> str:
    """``diverged in seeds 0 and 2 (the loss became NaN)``, for the results of one arm that are not done."""
    groups: dict[tuple[str, str], list[int]] = {}
    for cell in results:
        groups.setdefault((cell.status, reason(cell.why)), []).append(cell.seed)
    found = [
        f"{word.replace('not run', 'was not run')} in {seeds_of(seeds)}{f' ({why})' if why else ''}"
        for (word, why), seeds in groups.items()
    ]
    return listed(found)


def reason(why: str | None) -> str:
    """A result's reason on one line, to stand inside a sentence."""
    return " ".join((why or "").split()).rstrip(".")


def _subject(cell: Result) -> str:
    if cell.arm == "ticket":
        return "the ticket" if cell.round else "the dense model"
    return f"'{arm_name(cell.arm)}'"


def seeds_missing(seeds: Sequence[int], started: int, wanted: int) -> str:
    """Why an unfinished run decides nothing."""
    if started < wanted:
        return f"{started} of {wanted} seeds have started."
    if not seeds:
        return "The metric is not there for every seed."
    return f"The run is not finished: {seeds_of(seeds)} still {'has' if len(seeds) == 1 else 'have'} rounds to go."


def few_seeds(seeds: int, least: int) -> str:
    """Why one or two seeds decide nothing."""
    return f"{seeds} seed{' is' if seeds == 1 else 's are'} too few to decide: at least {least} are needed."


def seeds_not_tested(sizes: Sequence[int], judged: int, there: int) -> str:
    """Why some of the seeds are not tested."""
    return (
        f"The claim declares {numbered(len(sizes), 'look')}, at {listed([str(size) for size in sizes])} seeds: it is "
        f"judged by the first {judged} of {there} seeds, as seeds that are added until a test passes find false wins."
    )


def collapsed(arm: str, seeds: Sequence[int]) -> str:
    """A collapsed generator can score well, so the collapse is reported with the metric."""
    return f"The samples of {arm} collapsed in {seeds_of(seeds)}."


def both_collapsed(seeds: Sequence[int], longer: bool = False, name: str = "the ticket") -> str:
    """Where both collapsed, neither metric says anything."""
    start = "Trained longer, the" if longer else "The"
    text = f"{start} samples of both {name} and the dense model collapsed in {seeds_of(seeds)}"
    return f"{text}: their figures of samples mean nothing there."


def not_compared(unfinished: Mapping[str, str]) -> list[str]:
    """Which controls (control -> why) the verdict leaves out, a sentence for each reason."""
    reasons = dict.fromkeys(unfinished.values())
    groups = {why: [f"'{name}'" for name, own in unfinished.items() if own == why] for why in reasons}
    texts = {why: f"control{'s' if len(names) > 1 else ''} {listed(names)}" for why, names in groups.items()}
    return [f"No comparison with the {text}: {why}." for why, text in texts.items()]


def incomparable(metric: str, arms: Sequence[str]) -> str:
    """Metrics are comparable only under one extractor and one N."""
    how = "was measured in another way than the dense model's (see provenance)"
    return f"The {metric_name(metric)} of {listed(arms)} {how}."


def not_comparable(seeds: Sequence[int]) -> str:
    """Why a control is not compared: its metric was measured in another way."""
    return f"its figure was measured in another way in {seeds_of(seeds)} (see provenance)"


def measured_differently(metric: str, seeds: Sequence[int]) -> str:
    """Why a claim is undecided where the dense model or the ticket is not measured alike in every seed."""
    text = f"In {seeds_of(seeds)} the {metric_name(metric)} was measured in another way than in the rest"
    return f"{text} (see provenance), and such values do not compare."


def tied(group: str, fraction: float, scores: str) -> str:
    """What ties at the cut mean (Trap 11a)."""
    whose = group if group.startswith("the ") else f"'{group}'"
    return (
        f"Up to {percent(fraction)} of the weights of {whose} tie at the cut, so that {scores} little "
        "there and a seeded hash decides which of them stay. Weight clipping does this."
    )


def other_level(declared: float, found: float, fraction: float | None = None) -> str:
    """The declared level is none of the schedule's; ``fraction``: of all parameters, where it is to be said."""
    return f"The claim declares {percent(declared)}; the nearest round is at {percent(found)}{in_brackets(fraction)}."


def seeds_of(seeds: Sequence[int]) -> str:
    """``seed 1``, ``seeds 0 and 2``."""
    return f"seed{'' if len(seeds) == 1 else 's'} {listed([str(seed) for seed in seeds])}"
