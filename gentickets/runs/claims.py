"""The log of claims beside the runs: a line for each claim that has begun, and how many are like a run's. Torch-free.

A claim that is declared again and again, with a margin or a level that was changed a little, wins at last. Nobody can
forbid that; but the log says how often it was done on the same task and data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gentickets.disk import append_line
from gentickets.recipe.declared import edition_of, seeds_by_hand, task_and_data
from gentickets.runs.folder import RunFolder

LOG = "claims.jsonl"
MOST_BYTES = 64 << 20
FIELDS = ("time", "hash", "about", "metric", "run")


@dataclass(frozen=True)
class LoggedClaim:
    """One claim that has begun."""

    time: str
    hash: str
    about: str
    """SHA-256 of its task and data."""
    metric: str
    run: str
    """The run's folder, beside the log."""
    by_hand: bool = False
    """Whether its seeds were chosen by hand."""


def log_of(run: RunFolder) -> Path:
    """Where claims of runs in the same folder are logged."""
    return run.path.resolve().parent / LOG


def log_claim(run: RunFolder, record: Mapping[str, Any]) -> str | None:
    """Append the claim of a run, unless it stands there already; why that was not possible, in a sentence, or None.

    One write of one line, so that claims that begin at the same time do not mix.
    """
    if edition_of(record) is None:
        return None
    claim, metric = record["claim"], record["claim"]["declared"]["metric"]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    hand = seeds_by_hand(record)
    about, name = task_and_data(record["recipe"]), run.path.resolve().name
    told = LoggedClaim(now, claim["hash"], about, metric, name, hand)
    if any((one.hash, one.run) == (told.hash, told.run) for one in read_log(log_of(run))):
        return None
    try:
        append_line(log_of(run), json.dumps(asdict(told), sort_keys=True))
    except OSError as error:
        return f"the claim could not be logged in {log_of(run)}: {error.strerror or error}"
    return None


def read_log(path: Path) -> list[LoggedClaim]:
    """The claims in a log, oldest first; lines that are none are passed over. A log that cannot be read is empty."""
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return []
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [claim for line in lines if (claim := _parsed(line)) is not None]


def claims_like(run: RunFolder) -> tuple[int, int, list[LoggedClaim]]:
    """Which of the claims on the same task and data a run's is: its number, of how many, and the others.

    Claims with the same hash are one. (1, 1, []) for a claim that no log has. Raises TicketError where this is no run.
    """
    record = run.read_record()
    if edition_of(record) is None:
        return 1, 1, []
    own, fingerprint = str(record["claim"]["hash"]), task_and_data(record["recipe"])
    like = [one for one in read_log(log_of(run)) if one.about == fingerprint]
    hashes = list(dict.fromkeys([*(one.hash for one in like), own]))
    firsts = {one.hash: one for one in reversed(like)}
    return hashes.index(own) + 1, len(hashes), [firsts[one] for one in hashes if one != own]


def _parsed(line: str) -> LoggedClaim | None:
    try:
        told = json.loads(line)
        found = [told[key] for key in FIELDS]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not all(isinstance(one, str) and one.isprintable() for one in found):
        return None
    time, digest, what, metric, run = found
    return LoggedClaim(time, digest, what, metric, run, told.get("by_hand") is True)
