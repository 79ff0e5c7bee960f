"""Collects the image grids that the rounds of a run have stored, to be shown side by side."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from gentickets.analysis.run import Run
from gentickets.analysis.summary import Summary
from gentickets.analysis.text.format import arm_name
from gentickets.arms import BUDGET, DENSE, TICKET, TRANSFER, WIDTH, ArmName, reported_as
from gentickets.report.tables.run import size

PNG = b"\x89PNG\r\n\x1a\n"
LARGEST_IMAGE = 4 << 20
"""Bytes of one grid of images; a larger one is left out rather than making the page unreadable."""


@dataclass(frozen=True)
class Picture:
    """A grid of images, as a data URI."""

    label: str
    note: str
    uri: str


def seed_shown(run: Run) -> int | None:
    """The first seed whose ticket is there: never the prettiest."""
    level = run.summary.verdict.round
    shown = WIDTH if run.summary.is_sweep else TICKET
    done = [cell for cell in run.results if cell.arm == shown and cell.status == "done"]
    seeds = sorted(cell.seed for cell in done if level in (None, cell.round)) or sorted(cell.seed for cell in done)
    return seeds[0] if seeds else None


def pictures(run: Run, file: str, seed: int | None) -> list[Picture]:
    """The same grid of every arm at the claim's level (else at the last round), side by side."""
    rounds = [cell.round for cell in run.results if cell.seed == seed and cell.arm == "ticket"]
    level = run.summary.verdict.round or max(rounds, default=0)
    compared = _nearest(run.summary)
    compared |= _carried(run.summary, level)
    found = []
    for cell in run.results:
        arm = reported_as(cell.arm, cell.round)
        name = ArmName.of(arm)
        beside = name.at_no_level or (cell.round == level and not name.longer)
        if cell.seed != seed or cell.status != "done" or not beside:
            continue
        always = name.at_no_level or name.kind.role == "ticket" or name.kind.matched
        if not always and compared and arm not in compared:
            continue
        uri = _data_uri(run.path / f"seed-{seed}" / cell.arm / f"round-{cell.round:02d}" / file)
        if uri:
            row = run.summary.row(arm, cell.round)
            sized = row is not None and (cell.sparsity or name.kind.narrower)
            whole = "all channels" if run.summary.of_channels else "all weights"
            note = size(run.summary, row) if row and sized else whole
            label = row.name if row else arm_name(arm)
            found.append(Picture(label, f"{note}{'; collapsed' if cell.collapsed else ''}", uri))
    order = [arm_name(arm) for arm in (DENSE, TICKET, BUDGET, TRANSFER)]
    order += [row.name for row in run.summary.rows if row.arm == WIDTH]
    return sorted(found, key=lambda one: order.index(one.label) if one.label in order else len(order))


def _nearest(summary: Summary) -> set[str]:
    """Of each control's variants the one that comes nearest to the ticket."""
    short = summary.verdict.short
    controls = short.controls if short else ()
    names = {other.control for other in controls}
    own = {name: [other for other in controls if other.control == name] for name in names}
    return {max(variants, key=lambda other: other.loss.mean).arm for variants in own.values()}


def _carried(summary: Summary, level: int) -> set[str]:
    """Of a transfer, the transferred ticket and the arms shown with it; of variants the better."""
    at = summary.transfer.at(level) if summary.transfer else None
    if at is None:
        return set()
    beside = [*(at.trial.controls if at.trial else ()), *filter(None, (at.unmasked, at.mask))]
    return {TRANSFER, *(other.arm for other in beside)}


def _data_uri(path: Path) -> str:
    """The PNG as a data URI; empty where there is none, or where the file is no PNG."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_IMAGE:
            return ""
        content = path.read_bytes()
    except OSError:
        return ""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}" if content.startswith(PNG) else ""
