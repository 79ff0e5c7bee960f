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
AT_MOST = re.compile(rf"at most ({NUMBER}) worse than dense \(margin ({NUMBER})\)")
BETTER = re.compile(rf"at least ({NUMBER}) better than dense")
WORSE = re.compile(rf"at least ({NUMBER}) worse than dense \(margin ({NUMBER})\)")
OPEN = re.compile(rf"between ({NUMBER}) (better )?and ({NUMBER}) (worse|better) than dense \(margin ({NUMBER})\)")
EVERY_SEED = re.compile(rf"{NUMBER} (?:worse|better) than dense in every seed")
AHEAD = re.compile(rf"at least ({NUMBER}) better than (?!dense)")
LEADS = re.compile(r"leads (?:every|its) control")
NOT_AHEAD = re.compile(rf"at most ({NUMBER}) better than [^.]*?, where more than ({NUMBER}) would be a lead")
BEHIND = re.compile(rf"at least ({NUMBER}) worse than (?!dense)")
MOST_NUMBERS = 3
METRICS = (("negative_elbo", 1.0), ("kid", 1.0), ("coverage", -1.0), ("accuracy_on_samples", -1.0))
BANNED = re.compile(r"\b(looks?|figures?|word|told|beside)\b|held against|\bp of\b|\bnan\b|\binf\b|None|  ")


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
    found += [*_bounds(said), *_misplaced(word, said)]
    behind = bool(NOT_AHEAD.search(said) or BEHIND.search(said))
    if behind and word not in ("NO BETTER THAN A CONTROL", "HEAD START ONLY"):
        found.append("not ahead of a control")
    if not behind and word == "NO BETTER THAN A CONTROL":
        found.append("which control is as good")
    if len(re.findall(NUMBER, said.partition("):")[2].partition(". ")[0])) > MOST_NUMBERS:
        found.append("too many numbers before the first full stop")
    return found


def _misplaced(word: str, said: str) -> Iterator[str]:
    """Texts of which each belongs to some verdicts, and must be in those."""
    within = ("MATCHES DENSE", "WINS AT EQUAL STEPS", "WINS")
    for what, there, words in (
        ("within the margin", AT_MOST.search(said) or BETTER.search(said), within),
        ("ahead of controls", AHEAD.search(said), ("WINS AT EQUAL STEPS", "WINS")),
        ("leads the controls", LEADS.search(said), ("HEAD START ONLY", "WINS")),
        ("lasts", "This lasts:" in said, ("WINS",)),
        ("does not last", "does not last." in said, ("HEAD START ONLY",)),
    ):
        if bool(there) != (word in words):
            yield what
    if WORSE.search(said) and word not in ("WORSE THAN DENSE", "HEAD START ONLY"):
        yield "beyond the margin"
    if not WORSE.search(said) and word == "WORSE THAN DENSE":
        yield "by how much it is worse"
    if (OPEN.search(said) or EVERY_SEED.search(said)) and word != "UNDECIDED":
        yield "open against dense"


def _bounds(said: str) -> Iterator[str]:
    """Bounds on the wrong side of the margin, of what counts as a lead, or of 0."""
    for bound, margin in map(re.Match.groups, AT_MOST.finditer(said)):
        if not 0 <= number(bound) <= number(margin):
            yield f"at most {bound} worse, margin {margin}"
    for match in (*BETTER.finditer(said), *AHEAD.finditer(said), *BEHIND.finditer(said)):
        if number(match[1]) < 0:
            yield f"a bound below 0: {match[0]}"
    for bound, margin in map(re.Match.groups, WORSE.finditer(said)):
        if not number(bound) >= number(margin):
            yield f"at least {bound} worse, margin {margin}"
    for bound, lead in map(re.Match.groups, NOT_AHEAD.finditer(said)):
        if not 0 <= number(bound) <= number(lead):
            yield f"at most {bound} better, a lead from {lead}"
    for low, better, high, way, _ in map(re.Match.groups, OPEN.finditer(said)):
        if number(low) < 0 or number(high) < 0 or (not better and number(low) > number(high)):
            yield f"between {low} and {high}"
        if better and way != "worse":
            yield "between better and better"


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
    if part == 0:  # among all parts; a single one may lack the rarest
        assert len(words) == 8, f"every verdict comes about: {words}"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("WINS", "WINS AT EQUAL STEPS at 36.0 % sparsity: the ticket is at least 0.5 better than dense."),
        (
            "WINS",
            "WINS at 36.0 %: the ticket is at least 1 better than dense, and 2 than every control.",
        ),
        ("WINS AT EQUAL STEPS", "WINS AT EQUAL STEPS at 36.0 %: the ticket is at least 0.5 better than dense."),
        ("MATCHES DENSE", "MATCHES DENSE at 36.0 %: the ticket is at most 1.2 worse than dense (margin 1.1)."),
        (
            "MATCHES DENSE",
            "MATCHES DENSE at 36.0 %: the ticket is between 0 better and 0.5 worse than dense (margin 1).",
        ),
        ("UNDECIDED", "UNDECIDED at 36.0 %: the ticket is at least 0.5 better than dense."),
        ("UNDECIDED", "UNDECIDED at 36.0 %: the ticket is between 0.5 and 0.3 worse than dense (margin 1)."),
        ("WORSE THAN DENSE", "WORSE THAN DENSE at 36.0 %: the ticket is at least 0.5 worse than dense (margin 1.0)."),
        (
            "NO BETTER THAN A CONTROL",
            "NO BETTER THAN A CONTROL at 36.0 %: the ticket is at least 0.5 better than dense.",
        ),
        ("HEAD START ONLY", "HEAD START ONLY at 36.0 %: the lead does not last. It leads all."),
        ("FAILED", "FAILED at 36.0 %: the ticket is at least 3.0 worse than dense (margin 1.0)."),
        ("UNDECIDED", "UNDECIDED at 36.0 % (5 seeds): 1 2 3 4 numbers."),
        ("UNDECIDED", "UNDECIDED at look 1."),
    ],
)
def test_a_contradiction_would_be_seen(word: str, said: str) -> None:
    assert contradictions(Verdict(word=word, sentence=said), said) != []
