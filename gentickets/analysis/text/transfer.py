"""Writes the verdict on a transferred ticket in English: what was measured, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gentickets.analysis.text.bounds import apart
from gentickets.analysis.text.format import (
    arm_name,
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
_MOVED = {
    "weights": "the ticket",
    "mask": "the mask alone",
    "signs": "the mask with its signs",
    "trained": "the ticket with its trained weights",
}


def sentence(whole: TransferVerdict, level: TransferLevel, said: Sequence[str], times: int) -> str:
    """A level for a person: the answer, what shows it, and what it rests on; means and spreads stand in the table.

    ``said`` are reasons and collapses, ``times`` the length of the longer training.
    """
    trial, decided = level.trial, level.word != UNDECIDED
    parts = [_headed(whole, level)]
    if not decided:
        parts += said
    if trial is not None:
        parts += _compared(whole, level, trial, decided)
    if decided:
        parts += said
    if trial is not None and not whole.claimed:
        parts.append(without_claim(whole))
    if trial is not None and decided:
        parts += [_against_native(level), _without_mask(level), _mask_alone(level)]
    parts += [_sizes(level), _served(level)]
    if level.longer is not None:
        parts.append(_when_longer(level.longer, times))
    return " ".join(filter(None, parts))


def _headed(whole: TransferVerdict, level: TransferLevel) -> str:
    """The answer, at which sparsity, and about which ticket."""
    seeds = f" ({numbered(level.seeds, 'seed')})" if level.seeds else ""
    where = f"{level.word} at {percent(level.native_sparsity)} sparsity{in_brackets(level.native_share)}{seeds}"
    subject = f"{moved(whole)} from {origin(whole, level.source or whole.source)}"
    if level.word == UNDECIDED:
        return f"{where}: whether {subject} transfers is open."
    return f"{where}: {subject} {_OUTCOMES[level.word]}."


_OUTCOMES = {
    TRANSFERS: "is as good as the dense model and better than every random ticket",
    NEUTRAL: "is shown neither to transfer nor to hurt",
    HURTS: "is worse than a random ticket of its size",
}


def without_claim(whole: TransferVerdict) -> str:
    """What the report compares where the recipe declares no claim."""
    margin = f"{100 * whole.margin:.3g} % of the dense mean"
    return f"The recipe declares no claim, so metric and margin ({margin}) are defaults."


def _compared(whole: TransferVerdict, level: TransferLevel, trial: Trial, decided: bool) -> list[str]:
    """Against dense and against what is random."""
    metric, places = metric_name(str(whole.metric)), decimals(level.spreads.values())
    if not decided or trial.loss.n < LEAST_SEEDS:
        values = f"{plus_minus(trial.ticket, places)} against {plus_minus(trial.dense, places)} for dense"
        return [f"So far its {metric} is {values}; nothing is tested."]
    return [f"By {metric} it is {_to_dense(trial, places)}.", _against_random(level, trial)]


def _to_dense(trial: Trial, places: int) -> str:
    """The bound of the paired loss, with the margin where it does not speak for itself."""
    bound, limit = trial.bound, trial.limit
    digits = apart([bound, limit, 0.0], places)
    if bound < 0:
        return f"at least {fixed(-bound, digits)} better than dense"
    text = f"{fixed(bound, digits)} worse than dense (margin {fixed(limit, digits)})"
    return f"at most {text}" if trial.holds else f"up to {text}"


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


def _against_random(level: TransferLevel, trial: Trial) -> str:
    """Which random tickets it beats, and which not."""
    if not trial.controls:
        return ""
    beaten = [other for other in trial.controls if other.beaten]
    if level.hurt_by:
        worse = [other for other in trial.controls if other.arm in level.hurt_by]
        return f"It is worse than {_named(worse)}{f', and better than {_named(beaten)}' if beaten else ''}."
    level_with = [other for other in trial.controls if not other.beaten]
    if not level_with:
        return f"It is better than {_named(beaten)}."
    unshown = f"is not shown to be better than {_named(level_with, 'or')}"
    return f"It is better than {_named(beaten)}, but {unshown}." if beaten else f"It {unshown}."


def _named(others: Sequence[Comparison], joint: str = "and") -> str:
    return listed([arm_name(other.arm) for other in others], joint)


def _against_native(level: TransferLevel) -> str:
    native = level.native
    if level.spreads.get("ticket") is None or native is None or native.n < LEAST_SEEDS:
        return ""
    if native.outcome in ("better", "worse"):
        return f"It is {native.outcome} than the target's own ticket."
    return "It does not differ clearly from the target's own ticket."


def _without_mask(level: TransferLevel) -> str:
    """What the same weights do without their mask: where as well, the mask explains nothing."""
    other = level.unmasked
    if other is None or not other.tested:
        return ""
    text = "Without the mask the same weights"
    if other.beaten:
        return f"{text} are worse, so the mask matters."
    if level.explained_by_weights:
        return f"{text} do as well, as far as these seeds show, so the weights explain it, not the mask."
    return f"{text} are not shown to be worse."


def _mask_alone(level: TransferLevel) -> str:
    other = level.mask
    if other is None or not other.tested:
        return ""
    if level.trial and any(one.control == other.control for one in level.trial.controls):
        return ""
    return f"The mask alone, on the target's own weights, {'is worse' if other.beaten else 'is not shown to be worse'}."


def _sizes(level: TransferLevel) -> str:
    """Where the two tickets are not equally sparse, by how much and why."""
    if level.sparsity is None or abs(level.sparsity - level.native_sparsity) <= APART:
        return ""
    removed = f"{percent(level.sparsity)} of the target's prunable weights{in_brackets(level.share)}"
    text = f"It removes {removed}, not {percent(level.native_sparsity)}"
    return f"{text}; it covers {percent(level.covered)} of them." if level.covered is not None else f"{text}."


def _served(level: TransferLevel) -> str:
    """Fewer tickets than seeds: what is judged are these tickets."""
    if level.tickets is None or level.tickets >= level.seeds:
        return ""
    many = "One ticket of the source serves" if level.tickets == 1 else f"{level.tickets} tickets of the source serve"
    return f"{many} all {level.seeds} seeds, so this says nothing about others."


def _when_longer(trial: Trial, times: int) -> str:
    length = f"Trained {times} times as long" if times > 1 else "Trained longer"
    if trial.loss.n < LEAST_SEEDS:
        return f"{length}, it is not tested."
    return f"{length}, it is {'' if trial.holds else 'not shown to be '}within the margin of dense."
