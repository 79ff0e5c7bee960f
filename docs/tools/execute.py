"""Runs notebooks from beginning to end and stores their outputs in them, with what they were made with.

    python docs/tools/execute.py docs/tutorials/*.ipynb

Each runs in an empty folder of its own. ``--to FOLDER`` writes the executed notebooks there and leaves the originals
alone; with ``GENTICKETS_TUTORIAL=small`` in the environment they take a small size, as in CI.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parents[2]


def made_with() -> dict[str, str | int]:
    """What stands below a notebook's title: date, commit, versions, machine."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "gentickets": version("gentickets"),
        "torch": version("torch"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
    }


def joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The same outputs, neighbouring prints as one: a kernel sends them in pieces that end anywhere."""
    found: list[nbformat.NotebookNode] = []
    for output in outputs:
        if found and output.output_type == found[-1].output_type == "stream":
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with fresh outputs; an error in a cell is raised."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day
        if cell.cell_type == "code":  # progress goes to stderr, and differs each time
            cell.outputs = joined([output for output in cell.outputs if output.get("name") != "stderr"])
    notebook.metadata["gentickets"] = made_with()
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", type=Path, nargs="+")
    parser.add_argument("--to", type=Path)
    given = parser.parse_args()
    for path in given.notebooks:
        nbformat.write(executed(path), (given.to or path.parent) / path.name)
        print(f"{path.name}: ran to its end")


if __name__ == "__main__":
    main()
