"""A notebook as a page of the site: its text, its code and the outputs that are stored in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import MarkdownExporter


def page(path: Path) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook, and its pictures by file name."""
    notebook = nbformat.read(path, as_version=4)
    text, resources = MarkdownExporter().from_notebook_node(notebook)
    pictures: dict[str, bytes] = {}
    for name, content in resources["outputs"].items():
        own = f"{path.stem}-{name}"
        text = text.replace(f"({name})", f"({own})")
        pictures[own] = content
    text = re.sub(r"\]\(([\w-]+)\.ipynb\)", r"](\1.md)", text)
    note = f"The notebook is `docs/tutorials/{path.name}`. {_made(notebook.metadata.get('gentickets', {}))}"
    return re.sub(r"^(# .*\n)", rf"\1\n*{note}*\n", text, count=1, flags=re.MULTILINE), pictures


def _made(by: Mapping[str, Any]) -> str:
    """With what the outputs were made."""
    if not by:
        return "It is shown without outputs."
    return (
        f"Its outputs were made on {by['date']} with gentickets {by['gentickets']} (commit {by['commit']}), PyTorch "
        f"{by['torch']} and Python {by['python']} on {by['system']} ({by['cores']} core{'s' * (by['cores'] > 1)})."
    )
