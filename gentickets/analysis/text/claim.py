"""Writes what stands beside a verdict: what failed or is missing, what collapsed, what the budget reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gentickets.analysis.text.controls import budget_against_ticket
from gentickets.analysis.text.format import (
    arm_name,
    decimals,
    fixed,
    higher_is_better,
    listed,
    metric_name,
    percent,
)
from gentickets.analysis.verdict import Verdict
from gentickets.results import Result
from gentickets.sparsity import in_brackets


def budget_sentence(verdict: Verdict, decided: bool = True) -> str:
    """What the dense model reaches with the compute of the whole search: the honest comparison."""
    budget, trial = verdict.budget, verdict.short
    if budget is None:
        return ""
    places = decimals([trial.ticket, trial.dense, budget] if trial else [budget])
    text = f"A dense model trained with the whole search's compute reaches {fixed(budget.mean, places)}"
    if trial is None:
        return f"{text}."
    return f"{text}{budget_against_ticket(budget, trial.ticket, decided, higher_is_better(verdict.metric))}."


def more_steps(way: str) -> str:
    """Why rounds that continue from trained weights are not compared with the dense run."""
    if way == "trained":
        return (
            "With other = 'trained' the components that are not pruned go on from their trained weights, so they "
            "have trained for more steps than in the dense model, and no round is compared with it."
        )
    return (
        f"With rewind = '{way}' a round goes on from the trained weights of the last, so it has trained for more "
        "steps than the dense model and is not compared with it."
    )


def failed(results: Sequence[Result]) -> str:
    """A ticket that failed in a seed has failed, however good it is in the others."""
    return f"{broken(results)}; a ticket has to work in every seed."


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
        return "Some seeds have no value of the metric."
    return f"The run is not finished: {seeds_of(seeds)} still {'has' if len(seeds) == 1 else 'have'} rounds to go."


def few_seeds(seeds: int, least: int) -> str:
    """Why one or two seeds decide nothing."""
    return f"{seeds} seed{' is' if seeds == 1 else 's are'} too few to decide: at least {least} are needed."


def seeds_not_tested(sizes: Sequence[int], judged: int, there: int) -> str:
    """Why some of the seeds are not tested."""
    count = f"{len(sizes)} interim analys{'is' if len(sizes) == 1 else 'es'}"
    return (
        f"The claim declares {count}, at {listed([str(size) for size in sizes])} seeds: it is "
        f"judged by the first {judged} of {there} seeds, as seeds that are added until a test passes find false wins."
    )


def with_images(verdict: str) -> str:
    """The verdict on all images of which the test images are a sample is another one."""
    return (
        "The verdict is about these test images. For all images like them, with the error over test images in every "
        f"test (images = 'sample'), it would be {verdict}."
    )


def under_way(judged: int, size: int, complete: int) -> str:
    """The next interim analysis has begun."""
    return (
        f"The verdict is that of the first {judged} seeds. The interim analysis of {size} seeds is under way: "
        f"{complete} of {size} seeds are complete, and results are not read before all of them are."
    )


def collapsed(arm: str, seeds: Sequence[int]) -> str:
    """A collapsed generator can score well, so the collapse is reported with the metric."""
    return f"The samples of {arm} collapsed in {seeds_of(seeds)}."


def both_collapsed(seeds: Sequence[int], longer: bool = False, name: str = "the ticket") -> str:
    """Where both collapsed, neither metric says anything."""
    start = "Trained longer, the" if longer else "The"
    text = f"{start} samples of both {name} and the dense model collapsed in {seeds_of(seeds)}"
    return f"{text}, where metrics of samples mean nothing."


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
    return f"its metric was measured in another way in {seeds_of(seeds)} (see provenance)"


def measured_differently(metric: str, seeds: Sequence[int]) -> str:
    """Why a claim is undecided where the dense model or the ticket is not measured alike in every seed."""
    text = f"In {seeds_of(seeds)} the {metric_name(metric)} was measured in another way than in the rest"
    return f"{text} (see provenance), and such values do not compare."


def tied(group: str, fraction: float, scores: str) -> str:
    """What ties at the cut mean (Trap 11a)."""
    whose = group if group.startswith("the ") else f"'{group}'"
    return (
        f"Up to {percent(fraction)} of the weights of {whose} tie at the cut, so {scores} little "
        "there and a seeded hash decides which of them stay. Weight clipping does this."
    )


def other_level(declared: float, found: float, fraction: float | None = None) -> str:
    """The declared level is none of the schedule's; ``fraction``: of all parameters, where it is to be said."""
    return f"The claim declares {percent(declared)}; the nearest round is at {percent(found)}{in_brackets(fraction)}."


def seeds_of(seeds: Sequence[int]) -> str:
    """``seed 1``, ``seeds 0 and 2``."""
    return f"seed{'' if len(seeds) == 1 else 's'} {listed([str(seed) for seed in seeds])}"
