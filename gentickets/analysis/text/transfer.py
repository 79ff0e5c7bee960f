"""Writes the verdict on a transferred ticket in English: what was measured, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gentickets.analysis.text.controls import controls_sentence
from gentickets.analysis.text.format import (
    arm_name,
    confidence,
    decimals,
    fixed,
    listed,
    metric_name,
    numbered,
    percent,
    plus_minus,
)
from gentickets.analysis.transfer_levels import HURTS, NEUTRAL, TRANSFERS, UNDECIDED, TransferLevel, TransferVerdict
from gentickets.analysis.trial import Comparison, Trial
from gentickets.recipe.families import FAMILIES
from gentickets.sparsity import in_brackets
from gentickets.statistics import LEAST_SEEDS

TICKET = "the transferred ticket"
APART = 0.01
"""From this difference in sparsity on, it is mentioned."""
_HEADS = {
    TRANSFERS: "TRANSFERS",
    NEUTRAL: "is NEUTRAL (shown neither to transfer nor to hurt)",
    HURTS: "HURTS",
}
_MOVED = {
    "weights": "the ticket",
    "mask": "the mask alone",
    "signs": "the mask with its signs",
    "trained": "the ticket with its trained weights",
}


def sentence(whole: TransferVerdict, level: TransferLevel, said: Sequence[str], times: int) -> str:
    """All of a level for a person; `said` are reasons and collapses, `times` the length of the longer training."""
    trial, decided = level.trial, level.word != UNDECIDED
    places = decimals(level.spreads.values())
    parts = [f"At {percent(level.native_sparsity)} sparsity{in_brackets(level.native_share)} {_headed(whole, level)}"]
    if trial is not None:
        parts[0] += f": {_dense_sentence(trial, str(whole.metric), places, decided)}"
    parts[0] += "."
    if trial is not None and not whole.claimed:
        parts.append(without_claim(whole))
    parts += said
    if trial is not None:
        parts += _beside(level, trial, places, decided)
    parts += [_sizes(level), _served(level)]
    if level.longer is not None:
        parts.append(_when_longer(level.longer, times, places))
    return " ".join(filter(None, parts))


def without_claim(whole: TransferVerdict) -> str:
    """What the report compares where the recipe declares no claim."""
    margin = f"{100 * whole.margin:.3g} % of the dense mean"
    return f"The recipe declares no claim: figure and margin ({margin}) are the report's choice."


def _dense_sentence(trial: Trial, metric: str, places: int, decided: bool) -> str:
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


def origin(whole: TransferVerdict, source: Mapping[str, Any]) -> str:
    """``digits_vae (VAE on digits; decoder → generator)``; less where less is known."""
    family, data = str(source.get("family") or ""), str(source.get("data") or "")
    title = FAMILIES[family].title if family in FAMILIES else ""
    model = " on ".join(filter(None, [title or family, data]))
    ways = ", ".join(f"{start} → {end}" if start != end else start for start, end in whole.routes.items())
    told = "; ".join(filter(None, [model, ways]))
    name = str(source.get("source") or "another model")
    return f"{name} ({told})" if told else name


def moved(whole: TransferVerdict) -> str:
    """What was transferred, as a subject: ``the ticket``, ``the mask alone``."""
    return _MOVED.get(whole.moves, "the ticket")


def _headed(whole: TransferVerdict, level: TransferLevel) -> str:
    subject = f"{moved(whole)} from {origin(whole, level.source or whole.source)}"
    if level.word == UNDECIDED:
        return f"it is UNDECIDED whether {subject} transfers"
    return f"{subject} {_HEADS[level.word]}"


def _beside(level: TransferLevel, trial: Trial, places: int, decided: bool) -> list[str]:
    """Against what is random, against the native ticket, and what the transfer rests on."""
    return [
        _against_random(level, trial, places, decided),
        _against_native(level, places, decided),
        _without_mask(level, places, decided),
        _mask_alone(level, places, decided),
    ]


def _against_random(level: TransferLevel, trial: Trial, places: int, decided: bool) -> str:
    if not trial.controls:
        return ""
    if not level.hurt_by or not decided:
        return controls_sentence(trial, places, decided, "every random ticket")
    worse = [other for other in trial.controls if other.arm in level.hurt_by]
    beaten = [other for other in trial.controls if other.beaten]
    text = f"It is worse than {_named(worse, places)}: a random ticket of that size would have been better."
    return f"{text} It beats {_named(beaten, places)}." if beaten else text


def _named(others: Sequence[Comparison], places: int) -> str:
    return listed([f"{arm_name(other.arm)} ({plus_minus(other.spread, places)})" for other in others])


def _against_native(level: TransferLevel, places: int, decided: bool) -> str:
    spread, native = level.spreads.get("ticket"), level.native
    if spread is None or native is None:
        return ""
    if not decided or native.n < LEAST_SEEDS:
        return f"The target's own ticket reaches {plus_minus(spread, places)}."
    joint = "from" if native.outcome == "not told apart" else "than"
    low, high = fixed(native.low, places), fixed(native.high, places)
    return (
        f"It is {native.outcome} {joint} the target's own ticket ({plus_minus(spread, places)}): paired loss "
        f"{fixed(native.mean, places)}, 95 % interval from {low} to {high}."
    )


def _without_mask(level: TransferLevel, places: int, decided: bool) -> str:
    """What the same weights do without their mask: where as well, the mask explains nothing."""
    other = level.unmasked
    if other is None:
        return ""
    text, reached = "The same weights without the mask", plus_minus(other.spread, places)
    if not decided or not other.tested:
        return f"{text} reach {reached}."
    if other.beaten:
        return f"{text} are worse ({reached}), so that the mask has a part in it."
    if level.explained_by_weights:
        return f"{text} do as well ({reached}): as far as these seeds tell, the weights explain it, not the mask."
    return f"{text} reach {reached}, and the ticket is not shown to be better."


def _mask_alone(level: TransferLevel, places: int, decided: bool) -> str:
    other = level.mask
    if other is None or (level.trial and any(one.control == other.control for one in level.trial.controls)):
        return ""
    text = f"The mask alone, on the target's own weights, reaches {plus_minus(other.spread, places)}"
    if not decided or not other.tested:
        return f"{text}."
    return f"{text}{', which is worse' if other.beaten else '; the ticket is not shown to be better'}."


def _sizes(level: TransferLevel) -> str:
    """Where the two tickets are not equally sparse, by how much and why."""
    if level.sparsity is None or abs(level.sparsity - level.native_sparsity) <= APART:
        return ""
    removed = f"{percent(level.sparsity)} of the target's prunable weights are removed{in_brackets(level.share)}"
    text = f"With it {removed}, not {percent(level.native_sparsity)}"
    return f"{text}; {percent(level.covered)} of them got something." if level.covered is not None else f"{text}."


def _served(level: TransferLevel) -> str:
    """Fewer tickets than seeds: what is judged are these tickets."""
    if level.tickets is None or level.tickets >= level.seeds:
        return ""
    many = "One ticket of the source serves" if level.tickets == 1 else f"{level.tickets} tickets of the source serve"
    return f"{many} all {level.seeds} seeds, so that nothing is said of others."


def _when_longer(trial: Trial, times: int, places: int) -> str:
    length = f"Trained {times} times as long" if times > 1 else "Trained longer"
    text = f"{length}, it reaches {plus_minus(trial.ticket, places)} and the dense model "
    text += plus_minus(trial.dense, places)
    if trial.loss.n < LEAST_SEEDS:
        return f"{text}."
    return f"{text}: the bound of its paired loss is {'under' if trial.holds else 'not under'} the margin there."
