"""Made-up runs by the thousand: no sentence contradicts its verdict, and every verdict follows from the tests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import reading

from gentickets.analysis.claim import judge
from gentickets.analysis.verdict import LevelVerdict, Verdict
from gentickets.results import Result

judge = reading(judge)

NUMBER = r"−?\d+(?:\.\d+)?"  # noqa: RUF001 - the true minus sign of our texts
DENSE = re.compile(rf"(better|worse) than dense by ({NUMBER})|equal to dense")
AT_MOST = re.compile(rf"worse than dense by ({NUMBER}) \(at most ({NUMBER}); margin ({NUMBER})\)")
AT_MOST_WORSE = re.compile(rf"dense(?: by {NUMBER})? \(at most ({NUMBER}) worse; margin ({NUMBER})\)")
BETTER = re.compile(rf"better than dense by ({NUMBER}) \(at least ({NUMBER}); margin ({NUMBER})\)")
WORSE = re.compile(rf"worse than dense by ({NUMBER}) \(at least ({NUMBER}); margin ({NUMBER})\)")
AHEAD = re.compile(rf"ahead of [^()]*? by ({NUMBER}) \(at least ({NUMBER})(?:; a lead counts from ({NUMBER}))?\)")
NOT_AHEAD = re.compile(rf"\(ahead by at most ({NUMBER})(?:; a lead counts from ({NUMBER}))?\)")
BETWEEN = re.compile(rf"(?:loss|lead) between ({NUMBER}) and ({NUMBER})")
PRAISE = ("MATCHES DENSE", "NO BETTER THAN A CONTROL", "WINS AT EQUAL STEPS", "HEAD START ONLY", "WINS")
AHEAD_OF_ALL = ("WINS AT EQUAL STEPS", "HEAD START ONLY", "WINS")
METRICS = (("negative_elbo", 1.0), ("kid", 1.0), ("coverage", -1.0), ("accuracy_on_samples", -1.0))
BANNED = re.compile(r"\blooks?\b|\bword\b|\bp of\b|not under the margin|nan|inf\b|None")


def number(text: str | None) -> float:
    return float((text or "0").replace("\N{MINUS SIGN}", "-"))


def made_up(rng: np.random.Generator) -> tuple[list[Result], dict[str, Any], int]:
    """Results of a run in which anything may have gone wrong, its recipe, and the seeds that were declared."""
    metric, sign = METRICS[rng.integers(len(METRICS))]
    declared = int(rng.choice([2, 3, 4, 5]))
    seeds = declared * int(rng.choice([1, 1, 2]))
    controls = [*rng.permutation(["snip", "grasp", "reinit"])][: int(rng.integers(1, 4))]
    levels = int(rng.choice([1, 2]))
    longer = bool(rng.random() < 0.5)
    level = "validation" if not longer and rng.random() < 0.2 else 0.36
    scatter, gap = float(rng.choice([0.0, 0.01, 0.3, 1.0, 4.0])), float(rng.choice([0.0, 0.5, 2.0]))
    claim: dict[str, Any] = {
        "metric": metric, "margin": 1.0, "unit": "absolute", "level": level, "looks": int(rng.choice([1, 2])),
        "controls": controls, "lead": float(rng.choice([0.0, 0.25, 0.25])),
    }  # fmt: skip
    if level != "validation":
        claim["sparsities"] = [0.2, 0.36][-levels:]
    search = {"rounds": 2, "keep": 0.8, "seeds": seeds, "controls": controls, "scaling": "both",
              "longer": 5 if longer else 0, "budget": bool(rng.random() < 0.3)}  # fmt: skip
    means = {arm: 100.0 + gap * rng.normal() for arm in ("ticket", "snip", "grasp", "reinit", "reinit-scaled")}
    results = list(_cells(rng, metric, sign, seeds, controls, longer, means, scatter))
    return results, {"search": search, "claim": claim}, declared


def _cells(
    rng: np.random.Generator, metric: str, sign: float, seeds: int, controls: list[str], longer: bool,
    means: Mapping[str, float], scatter: float,
) -> Iterator[Result]:  # fmt: skip
    arms = [arm for arm in means if arm.removesuffix("-scaled") in controls]
    places = [("ticket", round) for round in (0, 1, 2)] + [(arm, round) for arm in arms for round in (1, 2)]
    places += [("budget", 0), ("dense-twice", 0)]
    if longer:
        places += [("ticket-longer", 2), ("dense-longer", 0)]
        places += [(f"{arm}-longer", 2) for arm in arms if arm != "reinit-scaled"]
    tied = rng.random() < 0.1
    trouble = rng.random() < 0.4
    for arm, round in places:
        base = arm.removesuffix("-longer")
        mean = 100.0 if (arm, round) == ("ticket", 0) or base not in means else means[base]
        shift = rng.normal() if arm.endswith("-longer") else 0.0
        for seed in range(seeds):
            value = 100.0 if tied else mean + shift + scatter * rng.normal()
            chance = rng.random() if trouble else 1.0
            if chance < 0.01:
                continue  # not there yet
            status = "failed" if chance < 0.02 else "diverged" if chance < 0.03 else "done"
            told = {metric: sign * value} if status == "done" and not 0.03 <= chance < 0.035 else {}
            made = Result(arm, seed, round, 1 - 0.8**round, 500, 500, "last", valid=told, test=told, status=status)
            if status != "done":
                made = replace(made, why="the loss became NaN")
            yield replace(made, collapsed="alike") if 0.04 <= chance < 0.06 else made


def contradictions(level: LevelVerdict | Verdict, said: str) -> list[str]:
    """What in a sentence contradicts its verdict, or itself."""
    word, found = level.word, []
    if not said.startswith(f"{word} ") and not said.startswith(f"{word}:"):
        found.append("does not begin with the verdict")
    if match := BANNED.search(said):
        found.append(f"has '{match[0]}'")
    found += _bounds(said)
    within = AT_MOST.search(said) or AT_MOST_WORSE.search(said) or BETTER.search(said)
    if bool(within) != (word in PRAISE):
        found.append("the margin's bound and the verdict")
    if bool(WORSE.search(said)) and word not in ("WORSE THAN DENSE", "HEAD START ONLY"):
        found.append("beyond the margin")
    if bool(AHEAD.search(said)) != (word in AHEAD_OF_ALL):
        found.append("ahead of controls")
    if bool(NOT_AHEAD.search(said)) and word not in ("NO BETTER THAN A CONTROL", "HEAD START ONLY"):
        found.append("not ahead of a control")
    for text, own in (("That lasts:", "WINS"), ("does not last:", "HEAD START ONLY")):
        if (text in said) != (word == own):
            found.append(text)
    if word in ("FAILED", "UNDECIDED") and ("ahead of every" in said or "and ahead" in said):
        found.append("praise")
    if word == "FAILED" and DENSE.search(said):
        found.append("compares what has failed")
    return found


def _bounds(said: str) -> Iterator[str]:
    """Bounds on the wrong side of a mean, of the margin, or of what counts as a lead."""
    for mean, bound, margin in map(re.Match.groups, AT_MOST.finditer(said)):
        if not number(mean) <= number(bound) <= number(margin):
            yield f"worse by {mean}, at most {bound}, margin {margin}"
    for bound, margin in map(re.Match.groups, AT_MOST_WORSE.finditer(said)):
        if not number(bound) <= number(margin):
            yield f"at most {bound} worse, margin {margin}"
    for mean, bound, _ in map(re.Match.groups, BETTER.finditer(said)):
        if not number(mean) >= number(bound) > 0:
            yield f"better by {mean}, at least {bound}"
    for mean, bound, margin in map(re.Match.groups, WORSE.finditer(said)):
        if not number(mean) >= number(bound) >= number(margin):
            yield f"worse by {mean}, at least {bound}, margin {margin}"
    for mean, bound, lead in map(re.Match.groups, AHEAD.finditer(said)):
        if not number(mean) >= number(bound) >= number(lead):
            yield f"ahead by {mean}, at least {bound}, counts from {lead}"
    for bound, lead in map(re.Match.groups, NOT_AHEAD.finditer(said)):
        if not number(bound) <= number(lead):
            yield f"ahead by at most {bound}, counts from {lead}"
    for low, high in map(re.Match.groups, BETWEEN.finditer(said)):
        if number(low) > number(high):
            yield f"between {low} and {high}"


def deepest(level: LevelVerdict) -> str:
    """The verdict that a level's own list of verdicts leads to."""
    shown = {node.verdict: node.shown for node in level.nodes}
    if shown["FAILED"]:
        return "FAILED"
    word = "UNDECIDED"
    for parent, good, bad in (
        ("UNDECIDED", "MATCHES DENSE", "WORSE THAN DENSE"),
        ("MATCHES DENSE", "WINS AT EQUAL STEPS", "NO BETTER THAN A CONTROL"),
        ("WINS AT EQUAL STEPS", "WINS", "HEAD START ONLY"),
    ):
        if word == parent and shown[good] != shown[bad]:
            word = good if shown[good] else bad
    return word


PARTS, RUNS = 40, 500


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.full) for part in range(1, PARTS))])
def test_no_sentence_contradicts_its_verdict(part: int) -> None:
    """20,000 runs in 40 parts, of which the fast suite makes one."""
    rng = np.random.default_rng([part, 14])
    words: dict[str, int] = {}
    for number_ in range(RUNS):
        results, recipe, declared = made_up(rng)
        verdict = judge(results, recipe, declared)
        words[verdict.word] = words.get(verdict.word, 0) + 1
        told = [(verdict, verdict.sentence), *((level, level.sentence) for level in verdict.levels)]
        for one, said in told:
            if one.word == "WORSE THAN DENSE" and "at every one of" in said:
                continue
            assert contradictions(one, said) == [], (part, number_, said)
        for level in verdict.levels:
            assert deepest(level) == level.word, (part, number_, level.nodes)
    assert len(words) == 8, f"every verdict comes about: {words}"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("WINS", "WINS AT EQUAL STEPS at 36.0 % sparsity: it is better than dense by 1.0 (at least 0.5; margin 1.0)."),
        ("MATCHES DENSE", "MATCHES DENSE at 36.0 %: worse than dense by 1.0 (at most 1.2; margin 1.1)."),
        ("MATCHES DENSE", "MATCHES DENSE at 36.0 %: better than dense by 0.4 (at least 0.5; margin 1.1)."),
        ("UNDECIDED", "UNDECIDED at 36.0 %: better than dense by 1.0 (at least 0.5; margin 1.0)."),
        ("WORSE THAN DENSE", "WORSE THAN DENSE at 36.0 %: worse than dense by 3.0 (at least 0.5; margin 1.0)."),
        ("FAILED", "FAILED at 36.0 %: worse than dense by 3.0 (loss between 1 and 4; margin 1.0)."),
        ("UNDECIDED", "UNDECIDED at look 1."),
    ],
)
def test_a_contradiction_would_be_seen(word: str, said: str) -> None:
    assert contradictions(Verdict(word=word, sentence=said), said) != []
