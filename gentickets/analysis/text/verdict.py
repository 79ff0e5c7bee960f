"""Writes what a verdict page says besides the verdict: interim analyses, more seeds, convergence, diagnostics."""

from __future__ import annotations

from collections.abc import Sequence

from gentickets.analysis.run_verdict import Convergence, Diagnostics, InterimAnalysis, PowerForecast, RunVerdict
from gentickets.analysis.stability import CONNECTED
from gentickets.analysis.text.format import (
    arm_name,
    confidence,
    fixed,
    higher_is_better,
    listed,
    metric_name,
    numbered,
    percent,
    signed_percent,
)
from gentickets.arms import DENSE, TICKET

EXPECTED_COPIES = 0.01
"""Share of samples that would lie nearer to a training image than 99 % of test images do, were they test images."""
COPYING = 5 * EXPECTED_COPIES
"""From this share on samples are said to lie close to training images."""


def interim_analysis_text(analysis: InterimAnalysis) -> str:
    """Which interim analysis this is, and at what error rate it tests."""
    text = f"Look {analysis.number} of {analysis.of}"
    if 1 <= analysis.number <= len(analysis.seeds):
        text += f", at {numbered(analysis.seeds[analysis.number - 1], 'seed')}{_other_looks(analysis)}"
    if analysis.number > analysis.of:
        return f"{text}: no more were declared, so that nothing is left to test with."
    if analysis.of == 1:
        return f"{text}; it tests at {_rate(analysis.alpha)}."
    whole = _rate(analysis.alpha * analysis.of)
    return f"{text}; each tests at {_rate(analysis.alpha)}, so that all of them together stay under {whole}."


def _other_looks(analysis: InterimAnalysis) -> str:
    """At how many seeds the claim was judged before, and will be next."""
    before, after = analysis.seeds[: analysis.number - 1], analysis.seeds[analysis.number :]
    found = [f"before: {listed([str(count) for count in before])}"] if before else []
    found += [f"next: {after[0]}"] if after else []
    return f" ({'; '.join(found)})" if found else ""


def power_text(value: PowerForecast, seeds: int, still_open: bool = True) -> str:
    """How many more seeds would decide it, how long they take, and the chances of WINS and of any decision.

    ``seeds``: those so far. Of a claim that is decided, not ``still_open``: what as many new seeds would say.
    """
    known = dict(value.curve)
    if not still_open:
        chances = _chances(value, seeds) if seeds in known else ""
        again = f": judged again with {numbered(seeds, 'new seed')}, {chances}" if chances else ""
        return f"No more seeds are needed{again}."
    total = seeds + value.seeds if value.seeds is not None else None
    if total is None:
        text = (
            "How many more seeds would decide it cannot be said: what was seen is too close to a margin or a control."
        )
    else:
        text = f"About {numbered(total - seeds, 'more seed')} would decide it, {total} in all"
        text += f": {duration(value.minutes)} by the ledger." if value.minutes is not None and not value.next else "."
    if value.next is None:
        text += " The claim declares no further look."
    else:
        text += f" The next declared look has {numbered(value.next, 'seed')} in all"
        text += f": {duration(value.minutes)} by the ledger." if value.minutes is not None else "."
    at = value.next or (total if total in known else max(known, default=None))
    return text if at is None else f"{text} With {numbered(at, 'seed')} {_chances(value, at)}."


def _chances(value: PowerForecast, seeds: int) -> str:
    """``the chance of WINS is 81 %, of any decision 90 %``, with so many seeds."""
    decided = dict(value.decided)
    text = f"the chance of WINS is {_chance(dict(value.curve)[seeds])}"
    return text + (f", of any decision {_chance(decided[seeds])}" if seeds in decided else "")


def duration(minutes: float) -> str:
    """``about 12 minutes``, ``about 3.5 hours``, ``under a minute``."""
    if minutes < 1:
        return "under a minute"
    if minutes < 100:
        return f"about {numbered(round(minutes), 'minute')}"
    return f"about {fixed(minutes / 60, 1).removesuffix('.0')} hours"


def convergence_text(value: Convergence, metric: str | None) -> str:
    """Whether the dense model has converged: compared with one trained twice as long, and by its last quarter."""
    heads = {
        True: "The dense model is trained",
        False: "The dense model is not trained to its end, so that a ticket ahead of it may only be quicker",
        None: "Whether the dense model is itself trained is not known",
    }
    found = [*_twice(value, metric), *_slope(value)]
    return f"{heads[value.trained]}{': ' if found else ''}{'; '.join(found)}."


def _twice(value: Convergence, metric: str | None) -> list[str]:
    loss, share = value.better_by, value.relative
    gain = share if share is not None else loss.mean if loss is not None else None
    if gain is None:
        return []
    if share is not None:
        amount = f"{percent(abs(share))} of its mean"
    else:
        amount = f"{abs(gain):.3g}" + (f" in {metric_name(metric)}" if metric else "")
    seeds = f" ({numbered(loss.n, 'seed')})" if loss is not None else ""
    return [f"one trained twice as long is {'better' if gain < 0 else 'worse'} by {amount}{seeds}"]


def _slope(value: Convergence) -> list[str]:
    if value.slope is None:
        return []
    how = "gained" if value.slope < 0 else "lost"
    return [f"over the last quarter of its training it {how} {percent(abs(value.slope))}"]


def diagnostics_text(value: Diagnostics) -> tuple[str, ...]:
    """The diagnostics in sentences: samples close to training images, and classes off the real ones."""
    return (*_copies(value), *_classes(value))


def _copies(value: Diagnostics) -> list[str]:
    known = {arm_name(one.arm): one.copies for one in value.arms if one.copies is not None}
    close = [f"{name} ({percent(share)})" for name, share in known.items() if share >= COPYING]
    if not known:
        return []
    if not close:
        return [f"In no arm are {_rate(COPYING)} or more of the samples {_NEARER}."]
    return [f"Samples {_NEARER}, of which {_rate(EXPECTED_COPIES)} is expected: {listed(close)}."]


_NEARER = "nearer to a training image than 99 % of the test images are"


def _classes(value: Diagnostics) -> list[str]:
    told = {arm: class_distance(value.classes.get(arm, ()), value.real) for arm in (DENSE, TICKET)}
    found = [f"{arm_name(arm)} {percent(off)}" for arm, off in told.items() if off is not None]
    if not found:
        return []
    return [f"Samples that would have to change class to be spread as the test images are: {listed(found)}."]


def class_distance(fractions: Sequence[float], real: Sequence[float]) -> float | None:
    """Half the sum of differences between two sets of class fractions; None where the classes differ."""
    if not fractions or len(fractions) != len(real):
        return None
    return sum(abs(one - other) for one, other in zip(fractions, real, strict=True)) / 2


def connected_text(value: Diagnostics) -> str:
    """From which step on two trainings of the ticket's mask are connected; empty where it was not examined."""
    if not value.paths:
        return ""
    tried = listed([str(step) for step in sorted({path.step for path in value.paths})])
    end = f"looked at: {tried}."
    if value.rewind_to is not None:
        end += f" The ticket is rewound to step {value.rewind_to}."
    text = (
        f"Two trainings of the ticket's mask in two orders of data are connected (a barrier under {_rate(CONNECTED)})"
    )
    if value.connected is None:
        return f"{text} from no step on; {end}"
    return f"{text} from step {value.connected} on; {end}"


def not_run_text(arms: Sequence[str]) -> str:
    """Which standard arms a verdict was made without."""
    names = listed(["longer training of all arms" if arm == "longer" else arm_name(arm) for arm in arms])
    return f"Not run: {names}. What they would say is not in this verdict."


def declaration(judged: RunVerdict) -> list[tuple[str, str]]:
    """What was declared beforehand, how that is known, and which analysis this is: name and text."""
    rows = [(_CLAIM.get(name, name), _declared(name, value)) for name, value in judged.claim.items()]
    how = (
        "stored when the run began"
        if judged.stored
        else "not stored: nothing shows that it was there before the results"
    )
    rows.append(("claim", how))
    if judged.hash is not None:
        rows.append(("hash of claim and recipe (SHA-256)", judged.hash))
    return [
        *rows,
        ("look", interim_analysis_text(judged.look)),
        ("exit status", f"{judged.status} (0 where the declared level WINS)"),
    ]


_CLAIM = {
    "margin": "margin, of the dense mean",
    "level": "declared level",
    "alpha": "error rate of all looks",
    "sparsities": "levels that get a word",
}


def _declared(name: str, value: object) -> str:
    if value is None or value in ((), []):
        return "not declared"
    if isinstance(value, list | tuple):
        return listed([_declared(name, one) for one in value])
    if isinstance(value, float):
        return _rate(value) if name in ("margin", "alpha") else percent(value)
    return metric_name(str(value)) if name == "metric" else str(value)


def loss_caption(metric: str | None) -> str:
    """What a loss is, for the caption of a plot."""
    way = "other minus ticket" if higher_is_better(metric) else "ticket minus other"
    return f"By how much the ticket is worse ({way}, paired over seeds)"


def p_value(p: float | None) -> str:
    """``0.013``, ``< 0.001``; a dash where it is not known."""
    if p is None or p != p:
        return signed_percent(None)
    return "<\N{NO-BREAK SPACE}0.001" if p < 0.001 else fixed(p, 3)


def _rate(alpha: float) -> str:
    """``0.025`` as ``2.5 %``."""
    return confidence(1 - alpha)


def _chance(chance: float) -> str:
    return f"{fixed(100 * chance, 0)} %"


def column_notes(value: Diagnostics) -> str:
    """What the columns of the diagnostics table mean, those that are there."""
    found = []
    if any(one.nearest is not None for one in value.arms):
        found.append(
            "To nearest training image: mean distance of samples as a multiple of that of as many test images."
        )
    if any(one.copies is not None for one in value.arms):
        found.append(
            f"That close: samples nearer to one than 99 % of test images are; test images: {percent(EXPECTED_COPIES)}."
        )
    if value.classes:
        found.append(
            "Classes: shares among the samples by the data's own classifier, the ticks those of the test images."
        )
    return " ".join(found)
