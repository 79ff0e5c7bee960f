"""Reports: a run, or several side by side, as one HTML page and one JSON file. Torch-free.

`report.json`, format 1::

    {"format": 1,
     "runs": [{"name": str, "path": str, "metric": str | null, "figures": [str], "seeds": [int],
               "pruned": str | null, "goes_on": str | null, "troubles": [str], "method": str, "widened": str,
               "facts": [[str, str]], "better": {figure: "lower" | "higher" | null},
               "of_channels": bool,
               "verdict": {"word", "sentence", "metric", "margin", "round", "level", "pruned", "share", "of_channels",
                           "lighter", "explained_by": [control], "found", "chosen", "seeds", "tested": bool,
                           "short": {"ticket": spread, "dense": spread, "loss": {"mean", "bound", "p", "n"},
                                     "limit", "bound", "alpha", "holds", "controls": [{"control", "arm", "spread",
                                     "loss", "beaten": bool | null, "as_well": bool}], "twins": the same of their other
                                     versions, "unfinished": {control: why},
                                     "matched": like one of the controls | null} | null,
                           "longer": the same | null, "budget": spread | null, "notes": [str],
                           "levels": [{"round", "sparsity", "word", "reasons": [str], "tested", "short", "longer",
                                       "p_wins" | null, "p_holds" | null, "share"}], "partial": bool},
               "rows": [{"arm", "name", "round", "sparsity", "width", "steps", "selection", "n",
                         "train": {figure: spread}, "valid": {figure: spread}, "test": {figure: spread},
                         "stops": {"steps": spread, "never", "figure"} | null, "tied": {group: share},
                         "apart": {figure: seeds}, "collapsed", "failed", "diverged", "not_run", "honest",
                         "at_level", "flops", "weights", "why"}],
               "seconds": {arm: {phase: seconds}}, "spent": {arm: {phase: FLOPs}},
               "costs": [{"arm", "round", "name", "n", "steps", "selection", "weights", "channels": [kept, of] | null,
                          "flops", "seconds": {phase: seconds}, "spent": {phase: FLOPs}, "memory", "energy",
                          "whole": {"seconds", "flops"}, "uncounted": {phase: [operator]}}],
               "search_cost": [a level as ledger.json has it],
               "choices": [{"arm", "round", "name", "sparsity", "cost": {"seconds", "flops"}, "quality": spread,
                            "sound", "front": ["flops" | "seconds"]}],
               "emergence": {"rule", "by", "every", "steps",
                             "levels": [{"seed", "round", "sparsity", "step" | null, "share", "why"}],
                             "trace": [{"seed", "round", "component", "step", "distance", "initial", "limit", "share",
                                        "share_limit"}],
                             "vacuous": [str], "null": {component: {...}}} | null,
               "transfer": {"metric": str | null, "margin", "claimed", "moves", "match", "partial", "source": origin,
                            "routes": {source path: target path}, "covered",
                            "levels": [{"round", "word": "TRANSFERS" | "NEUTRAL" | "HURTS" | "UNDECIDED", "sentence",
                                        "native_sparsity", "sparsity", "covered", "source": origin, "tickets",
                                        "trial": like the verdict's "short" | null,
                                        "native": {"mean", "low", "high", "n"} | null,
                                        "unmasked": like one of the controls | null, "mask": the same,
                                        "explained_by_weights": bool | null, "longer": like "trial" | null,
                                        "best": arm | null, "hurt_by": [arm], "spreads": {arm: spread},
                                        "notes": [str], "native_share", "share"}],
                            "layers": [{"target", "source" | null, "got", "weights", "kept", "density" | null}],
                            "left": [str], "notes": [str]} | null,
               "excluded": [{"why": str, "parameters": int, "names": [str]}],
               "provenance": {figure: [str]}, "missing": [str], "uncounted": [operator]}]}

A spread is ``{"mean", "sd", "n", "values": {seed: value}}``, with sd null for one seed. A loss says by how much the
ticket is worse, whichever way the figure is good; sparsities are fractions; ``beaten`` is null under three seeds; an
unknown or infinite number is null. ``seconds`` and ``spent`` of a run are sums over rounds and seeds, those of
``costs`` means over seeds; ``whole`` is the training with the search that it rests on, without evaluating and storing;
``front`` names the units in which nothing is cheaper and better. Of operators in ``uncounted`` no count is known:
FLOPs with them are lower bounds, and what compares them (``whole``, ratios, break-evens) is null. Where
``of_channels``, sparsities are removed shares of channels, and ``lighter`` is that of the prunable weights;
``share`` is the removed share of all parameters, which stands beside every sparsity where ``partial``, the
prunable weights being under 95 % of them. In a transfer
``spreads`` has ``dense`` and every arm of
the round, ``native`` is the loss against the target's own ticket with its two-sided 95 % interval, ``controls`` of a
trial are the sparse random tickets, ``best`` is the best of them on validation, and an origin is that of the first
seed's ticket:
``{"source", "family", "data", "seed", "round", "sparsity"}``. `matrix.json` is told in `matrix`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gentickets.analysis.claim import claim_round, judge
from gentickets.analysis.contrast import Contrast, paired
from gentickets.analysis.early_stopping import StoppingSteps, early_stop
from gentickets.analysis.rows import Row
from gentickets.analysis.run import integrity_of, read_run
from gentickets.analysis.summary import Summary, summarize
from gentickets.analysis.text.format import Spread
from gentickets.analysis.transfer_levels import TransferLevel, TransferVerdict
from gentickets.analysis.transfer_matrix import Matrix, matrix_of
from gentickets.analysis.verdict import Comparison, Trial, Verdict
from gentickets.disk import write_whole
from gentickets.errors import Status, TicketError
from gentickets.report.pages.location import require_own
from gentickets.report.pages.matrix import write_matrix
from gentickets.report.pages.run import render
from gentickets.report.tables.run import table

__all__ = [
    "Comparison",
    "Contrast",
    "Matrix",
    "Report",
    "Row",
    "Spread",
    "StoppingSteps",
    "Summary",
    "TransferLevel",
    "TransferVerdict",
    "Trial",
    "Verdict",
    "claim_round",
    "early_stop",
    "integrity_of",
    "judge",
    "matrix_of",
    "paired",
    "read_run",
    "summarize",
    "table",
    "write_matrix",
    "write_report",
]

FORMAT = 1


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
    entries = [{"path": str(run.path), **run.summary.as_dict(), **integrity_of(run.record)} for run in read]
    document = json.dumps({"format": FORMAT, "runs": entries}, indent=1, allow_nan=False, ensure_ascii=False)
    html = render(read)
    try:
        write_whole(data, (document + "\n").encode())
        write_whole(page, html.encode())
    except OSError as error:
        raise TicketError(f"cannot write {page}: {error.strerror}", Status.STORAGE) from error
    return Report(page, data, tuple(run.summary for run in read))


def _place(out: Path) -> Path:
    return out if out.suffix.lower() in (".html", ".htm") else out / "report.html"
