"""What each verdict means, and what to do now: one table for terminal, page and documents."""

from __future__ import annotations

from gentickets.statistics import (
    EQUAL_STEPS,
    FAILED,
    HEAD_START,
    MATCHES,
    NO_BETTER,
    UNDECIDED,
    WINS,
    WORSE,
)

MEANINGS: dict[str, tuple[str, str]] = {
    UNDECIDED: (
        "nothing is shown about the ticket, good or bad",
        "Run the next interim analysis, or declare a new claim with more seeds.",
    ),
    WORSE: (
        "the ticket is worse than the dense model by more than the margin",
        "Do not use this ticket: prune less, or search in another way.",
    ),
    MATCHES: (
        "the ticket is as good as the dense model, within the margin; whether it beats its controls is open",
        "Use it as a smaller model of the same quality (a mask alone makes nothing faster); to learn whether the "
        "search was needed, run the controls and the next interim analysis.",
    ),
    NO_BETTER: (
        "the ticket is as good as dense, but a control that needs no search is about as good as the ticket",
        "Take that control: it is as good, and nothing has to be searched for it.",
    ),
    EQUAL_STEPS: (
        "trained for the recipe's steps, the ticket is as good as dense and ahead of every control",
        "Use it where training is as short as here; longer training of all arms would show whether the lead lasts.",
    ),
    HEAD_START: (
        "the ticket is ahead after the recipe's steps, but no longer after longer training",
        "Use it where training must be short; with time for longer training, take dense or the control.",
    ),
    WINS: (
        "the ticket is as good as dense and ahead of every control, also where all are trained longer",
        "Use the ticket, and publish the claim's hash with it.",
    ),
    FAILED: (
        "a seed's ticket failed, diverged or collapsed where its dense model did not",
        "Inspect that seed's training: a ticket has to work in every seed.",
    ),
}  # fmt: skip
"""Verdict -> (what it means, what to do now)."""


def meaning(word: str) -> str:
    """What a verdict means; empty for what is none."""
    return MEANINGS.get(word, ("", ""))[0]


def next_step(word: str) -> str:
    """What to do now; empty for what is no verdict."""
    return MEANINGS.get(word, ("", ""))[1]
