"""Writes the files of a matrix of transfers: `matrix.html`, `matrix.png`, and `matrix.json` for other programs.

What `matrix.json` holds is said by its schema: `python -m gentickets.report.schemas matrix` prints it, and
docs/schemas/matrix.schema.json is that. ``to_dense``, ``to_native`` and ``to_best`` of a cell are mean paired losses of
the transferred ticket in percent of the mean that it is compared with: below zero it is better, whichever way the
figure is good. An unknown number is null.
"""

from __future__ import annotations

import json
from pathlib import Path

from gentickets.analysis.transfer_matrix import Matrix
from gentickets.disk import write_whole
from gentickets.errors import Status, TicketError
from gentickets.report.pages.location import require_own
from gentickets.report.pages.run import render_matrix
from gentickets.report.plots.transfer_matrix import heat_map, heat_svg


def check_folder(folder: Path) -> tuple[Path, Path]:
    """Where the page and the JSON of a matrix go; TicketError where other files of these names are there."""
    page, table = folder / "matrix.html", folder / "matrix.json"
    require_own(page, table, "format", "cells")
    return page, table


def write_matrix(matrix: Matrix, folder: Path) -> Path:
    """Write `matrix.json`, `matrix.png` and `matrix.html` into a folder; returns the page's path.

    TicketError on a failed write, and where files of these names are there that are not gentickets'.
    """
    page, table = check_folder(folder)
    data = json.dumps(matrix.as_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    html = render_matrix(matrix, heat_svg(matrix))
    try:
        write_whole(table, data.encode())
        write_whole(folder / "matrix.png", heat_map(matrix))
        write_whole(page, html.encode())
    except OSError as error:
        raise TicketError(f"cannot write {page}: {error.strerror}", Status.STORAGE) from error
    return page
