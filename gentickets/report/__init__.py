"""Writes a report on one run or several: one HTML page and one JSON file. Torch-free.

What `report.json` holds is said by its schema, which is made from `DOCUMENT` and the types of its records:
`python -m gentickets.report.schemas report` prints it, and docs/schemas/report.schema.json is that.

A loss says by how much the ticket is worse, whichever way the figure is good; sparsities are fractions; an unknown or
infinite number is null. ``seconds`` and ``spent`` of a run are sums over rounds and seeds, those of ``costs`` means
over seeds. Of operators in ``uncounted`` no count is known: FLOPs with them are lower bounds, and what compares them
(``whole``, ratios, break-evens) is null. Where ``of_channels``, sparsities are removed shares of channels, and
``lighter`` is that of the prunable weights; ``share`` is the removed share of all parameters, which stands beside every
sparsity where ``partial``, the prunable weights being under 95 % of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gentickets.analysis.claim import claim_round, judge
from gentickets.analysis.contrast import Contrast, paired
from gentickets.analysis.early_stopping import StoppingSteps, early_stop
from gentickets.analysis.plain import View, fields_of, own, plain
from gentickets.analysis.rows import Row
from gentickets.analysis.run import Run, read_run
from gentickets.analysis.summary import Summary, summarize
from gentickets.analysis.tested import LevelPart, Tested
from gentickets.analysis.text.format import Spread
from gentickets.analysis.transfer_levels import TransferLevel, TransferVerdict
from gentickets.analysis.transfer_matrix import Matrix, matrix_of
from gentickets.analysis.trial import Comparison, Trial
from gentickets.analysis.verdict import Verdict
from gentickets.analysis.written import REPORT
from gentickets.disk import write_whole
from gentickets.errors import Status, TicketError
from gentickets.report.pages.location import require_own
from gentickets.report.pages.matrix import write_matrix
from gentickets.report.pages.run import render
from gentickets.report.tables.run import table

__all__ = [
    "Comparison",
    "Contrast",
    "LevelPart",
    "Matrix",
    "Report",
    "Row",
    "Spread",
    "StoppingSteps",
    "Summary",
    "Tested",
    "TransferLevel",
    "TransferVerdict",
    "Trial",
    "Verdict",
    "claim_round",
    "early_stop",
    "judge",
    "matrix_of",
    "paired",
    "read_run",
    "summarize",
    "table",
    "write_matrix",
    "write_report",
]

FORMAT = 2


@dataclass(frozen=True)
class Document:
    """Runs side by side, as `report.json` has them."""

    runs: tuple[Run, ...]


DOCUMENT: View = {
    **REPORT,
    Document: {"format": FORMAT, **own("runs")},
    Run: {**own("path"), **fields_of(Summary, below="summary."), **own("checksums", "attempts")},
}
"""What `report.json` has of its records, in this order."""


@dataclass(frozen=True)
class Report:
    """What was written, and what it says."""

    page: Path
    data: Path
    summaries: tuple[Summary, ...]

    @property
    def sentence(self) -> str:
        """The verdict of the run, or of each run in turn."""
        if len(self.summaries) == 1:
            return self.summaries[0].verdict.sentence
        return "\n".join(f"{one.name}: {one.verdict.sentence}" for one in self.summaries)


def write_report(runs: Sequence[Path], out: Path | None = None) -> Report:
    """Write `report.html` and `report.json` of one run (into it, or into `out`) or of several (into `out`).

    `out` is a folder, or the page's own path when it ends in `.html`. Unfinished runs are reported as far as
    they are. TicketError where a folder is no run, where several runs have no `out`, or on a failed write.
    """
    if not runs:
        raise TicketError("a report needs at least one run folder")
    if out is None and len(runs) > 1:
        raise TicketError(f"a report of {len(runs)} runs needs a place of its own: give --out FOLDER")
    read = [read_run(path) for path in runs]
    page = _place(runs[0] if out is None else out)
    data = page.with_suffix(".json")
    if page.parent.exists() and not page.parent.is_dir():
        raise TicketError(f"{page.parent} is a file, not a folder for a report")
    require_own(page, data, "format", "runs", inside=out is None)
    told = plain(Document(tuple(read)), DOCUMENT)
    document = json.dumps(told, indent=1, allow_nan=False, ensure_ascii=False)
    html = render(read)
    try:
        write_whole(data, (document + "\n").encode())
        write_whole(page, html.encode())
    except OSError as error:
        raise TicketError(f"cannot write {page}: {error.strerror}", Status.STORAGE) from error
    return Report(page, data, tuple(run.summary for run in read))


def _place(out: Path) -> Path:
    return out if out.suffix.lower() in (".html", ".htm") else out / "report.html"
