"""A notebook as a page of the site: its text, its code and the outputs that are stored in it."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter


def page(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook, and its pictures by file name."""
    exporter = MarkdownExporter()
    text, resources = exporter.from_notebook_node(nbformat.read(notebook, as_version=4))
    pictures: dict[str, bytes] = {}
    for name, content in resources["outputs"].items():
        own = f"{notebook.stem}-{name}"
        text = text.replace(f"({name})", f"({own})")
        pictures[own] = content
    note = f"> This page is the notebook `docs/tutorials/{notebook.name}` with the outputs of its last run.\n"
    return re.sub(r"^(# .*\n)", rf"\1\n{note}\n", text, count=1, flags=re.MULTILINE), pictures
