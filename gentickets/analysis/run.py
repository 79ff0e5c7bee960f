"""Reads a run folder once: its record, its results, and the summary of both. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gentickets.analysis.first_edition import stored_verdict
from gentickets.analysis.summary import Summary, summarize
from gentickets.errors import Status, TicketError
from gentickets.recipe import Recipe, read_recipe
from gentickets.recipe.declared import edition_of, has_explored, recipe_of_record, seeds_by_hand
from gentickets.recipe.meaning import EDITION
from gentickets.results import Result, read_results
from gentickets.runs.folder import RunFolder
from gentickets.runs.record import WITHOUT_CHECKSUMS, has_checksums


@dataclass(frozen=True)
class Run:
    """What is read from one run folder."""

    path: Path
    record: Mapping[str, Any]
    recipe: Recipe
    recipe_text: str
    results: Sequence[Result]
    summary: Summary

    @property
    def checksums(self) -> bool:
        """Whether every figure is kept by checksums; else results of format 1 may be among them."""
        return has_checksums(self.record)

    @property
    def attempts(self) -> Sequence[Mapping[str, Any]]:
        """With what the run went on, as `run.json` has it."""
        found: Sequence[Mapping[str, Any]] = self.record.get("attempts", [])
        return found


def read_run(path: Path) -> Run:
    """Read a run folder, finished or not; TicketError names a folder that is no run, or a damaged file."""
    folder = RunFolder(path)
    record = folder.read_record()
    name = path.resolve().name
    if "identity" in record:
        recipe_of_record(record, where=str(folder.record))
    text = folder.recipe_text(record.get("text"))
    results = read_results(path)
    try:
        declared = record["claim"]["declared"]["seeds"] if record.get("claim") else None
    except (KeyError, TypeError) as error:
        raise TicketError(f"{folder.record} is damaged: its record of the claim", Status.TICKET) from error
    try:
        recipe = _recipe(record, name, text)
        summary = summarize(results, recipe, name, declared, path=str(path), by_hand=seeds_by_hand(record))
        if recipe.claim is not None and not recipe.explores and edition_of(record) != EDITION:
            summary = replace(summary, verdict=stored_verdict(path, summary.verdict))
        return Run(path, record, recipe, text, results, summary)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, TicketError) or has_checksums(record):
            raise
        # of format 1, whose fields nothing vouches for
        message = f"{folder.record} is damaged, or a result is: {type(error).__name__}: {error}"
        raise TicketError(message, Status.TICKET) from error


def _recipe(record: Mapping[str, Any], name: str, text: str) -> Recipe:
    recipe = read_recipe(record["recipe"], name=name, text=text)
    return recipe.exploring() if has_explored(record) else recipe.of_run(record.get("claim"))


def facts_of(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Machine, versions, seeds and command from `run.json`, flat."""
    found: list[tuple[str, str]] = []
    if not prefix and not has_checksums(record):
        found.append(("results", WITHOUT_CHECKSUMS))
    for name, value in record.items():
        if not prefix and name in ("recipe", "format", "checksum", "unchecked"):
            continue
        if name == "attempts" and isinstance(value, list):
            for attempt in value:
                found += facts_of(attempt, f"after {attempt.get('done', 0)} rounds: ")
            continue
        if isinstance(value, Mapping):
            found += facts_of(value, f"{prefix}{name}: ")
        elif value not in (None, "", []):
            joint = ", " if isinstance(value, list) and all(isinstance(one, int) for one in value) else " "
            text = joint.join(map(str, value)) if isinstance(value, list) else str(value)
            found.append((f"{prefix}{name}", text))
    return found
