"""Writes what a verdict page says besides the verdict: interim analyses, more seeds, convergence, diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gentickets.analysis.run_verdict import Convergence, Diagnostics, InterimAnalysis, Outlook, RunVerdict
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
from gentickets.statistics import (
    LEAVES,
)

EXPECTED_COPIES = 0.01
"""Share of samples that would lie nearer to a training image than 99 % of test images do, were they test images."""
LIKELY, WORTH_SAYING = 0.5, 0.01
"""From which chance on a verdict is said to be likely, and from which on it is said at all."""
UNTRAINED = "The dense model is not fully trained"
COPYING = 5 * EXPECTED_COPIES
"""From this share on samples are said to lie close to training images."""


def interim_analysis_text(analysis: InterimAnalysis) -> str:
    """Which interim analysis this is, and what chance of error all of them share."""
    text = f"Interim analysis {analysis.number} of {analysis.of}"
    if 1 <= analysis.number <= len(analysis.seeds):
        text += f", at {numbered(analysis.seeds[analysis.number - 1], 'seed')}{_other_analyses(analysis)}"
    if analysis.number < 1:
        first = analysis.seeds[0] if analysis.seeds else 0
        return f"Before the first interim analysis, at {numbered(first, 'seed')}: nothing is tested yet."
    return f"{text}; the chance of any false verdict is at most {rate(analysis.alpha)} over all of them."


def _other_analyses(analysis: InterimAnalysis) -> str:
    """At how many seeds the claim was judged before, and will be next."""
    before, after = analysis.seeds[: analysis.number - 1], analysis.seeds[analysis.number :]
    found = [f"before: {listed([str(count) for count in before])}"] if before else []
    found += [f"next: {after[0]}"] if after else []
    return f" ({'; '.join(found)})" if found else ""


def outlook_text(value: Outlook) -> str:
    """What the next interim analysis will say: nothing more where the verdict is the deepest there is."""
    if value.decided:
        return "Decided: no further analysis is needed, and none is made."
    if value.next is not None:
        chances = dict(value.chances).get(value.next)
        said = f" Its chances: {_chances(chances)}." if chances else ""
        time = f" and takes {duration(value.minutes)}" if value.minutes is not None else ""
        return f"The next interim analysis has {numbered(value.next, 'seed')} in all{time}.{said}"
    text = "No declared interim analysis is left."
    if not value.chances:
        return text
    seeds, chances = value.chances[-1]
    again = f"{text} The chances of a new claim with {seeds} new seeds: {_chances(chances)}."
    if max((chance for verdict, chance in chances.items() if verdict in LEAVES), default=0.0) < LIKELY:
        again += " The truth is probably close to the boundary between two verdicts, where more seeds hardly help."
    return again


def _chances(chances: Mapping[str, float]) -> str:
    """``WINS 81 %, HEAD START ONLY 9 %``: the likely ones, the likeliest first."""
    likely = sorted(((chance, verdict) for verdict, chance in chances.items() if chance >= WORTH_SAYING), reverse=True)
    return ", ".join(f"{verdict} {_chance(chance)}" for chance, verdict in likely)


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
        True: "The dense model is fully trained",
        False: f"{UNTRAINED}, so a ticket that is ahead of it may only learn faster",
        None: "Whether the dense model is fully trained is not known",
    }
    found = [*_twice(value, metric), *_held_against(value), *_slope(value)]
    return f"{heads[value.trained]}{': ' if found else ''}{'; '.join(found)}."


def untrained_text(value: Convergence) -> str:
    """The same in a verdict's sentence, where the dense model is not fully trained."""
    lead = "the ticket's lead" if value.has_lead else "what counts as a lead"
    gain = f": twice its steps gain more than {lead}" if value.better_by is not None else ""
    return f"{UNTRAINED}{gain}, so the ticket may only learn faster."


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


def _held_against(value: Convergence) -> list[str]:
    """What the gain of twice the steps is held against."""
    if value.lead is None or value.trained is None:
        return []
    gain = "less" if value.trained else "more"
    lead = "the ticket's lead" if value.has_lead else "what counts as a lead"
    return [f"that is {gain} than {lead}, {value.lead:.3g}"]


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
        return [f"In no arm are {rate(COPYING)} or more of the samples {_NEARER}."]
    return [f"Samples {_NEARER}, of which {rate(EXPECTED_COPIES)} is expected: {listed(close)}."]


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
    end = f"tried: {tried}."
    if value.rewind_to is not None:
        end += f" The ticket is rewound to step {value.rewind_to}."
    text = f"Two trainings of the ticket's mask in two orders of data are connected (a barrier under {rate(CONNECTED)})"
    if value.connected is None:
        return f"{text} from no step on; {end}"
    return f"{text} from step {value.connected} on; {end}"


def not_run_text(arms: Sequence[str]) -> str:
    """Which declared arms were not run."""
    names = listed(["longer training of all arms" if arm == "longer" else arm_name(arm) for arm in arms])
    return f"Not run: {names}."


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
        rows.append(("hash of the claim (SHA-256)", judged.hash))
    if judged.exploratory:
        rows.append(("seeds", "chosen by hand, not by the claim's hash: exploratory"))
    return [*rows, ("interim analysis", interim_analysis_text(judged.look))]


_CLAIM = {
    "level": "declared level",
    "alpha": "chance of any false verdict",
    "sparsities": "levels that get a verdict",
    "looks": "interim analyses",
    "disasters": "share of seeds that may be disasters",
    "images": "test images",
}
_RATES = ("alpha", "disasters")
_PLAIN = ("margin", "lead")


def _declared(name: str, value: object) -> str:
    if value is None or value in ((), []):
        return "not declared"
    if isinstance(value, list | tuple):
        return listed([arm_name(str(one)) if name == "controls" else _declared(name, one) for one in value])
    if isinstance(value, float) and name in _PLAIN:
        return f"{value:g}"
    if isinstance(value, float):
        return rate(value) if name in _RATES else percent(value)
    return metric_name(str(value)) if name == "metric" else str(value)


def margin_text(judged: RunVerdict) -> str:
    """``5 % of dense less 85.94``: the margin as it was declared."""
    if judged.unit == "absolute":
        return f"{judged.margin:g}"
    share = f"{100 * judged.margin:.3g} %"
    if judged.unit is None:
        return f"{share} of the dense value"
    floor = "its floor" if judged.floor is None else f"{judged.floor:.4g}"
    return f"{share} of the dense model's distance to {floor}"


def loss_caption(metric: str | None) -> str:
    """What a loss is, for the caption of a plot."""
    way = "other minus ticket" if higher_is_better(metric) else "ticket minus other"
    return f"By how much the ticket is worse ({way}, paired over seeds)"


def p_value(p: float | None) -> str:
    """``0.013``, ``< 0.001``; a dash where it is not known."""
    if p is None or p != p:
        return signed_percent(None)
    return "<\N{NO-BREAK SPACE}0.001" if p < 0.001 else fixed(p, 3)


def rate(alpha: float) -> str:
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
