"""What mkdocs calls while it builds the site: pages that are generated, and links that leave docs/."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

import commands
import keys
import notebooks
import python_api

GENERATED = {
    "reference/commands.md": commands.page,
    "reference/recipe-keys.md": keys.page,
    "reference/python.md": python_api.page,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that follow from the code, and turn notebooks into pages."""
    for place, page in GENERATED.items():
        files.append(File.generated(config, place, content=page()))
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        text, pictures = notebooks.page(Path(str(file.abs_src_path)))
        files.append(File.generated(config, file.src_uri.replace(".ipynb", ".md"), content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, f"{Path(file.src_uri).parent}/{name}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files, **_: Any) -> str:
    """Links to files outside of docs/, which a repository's page can open and a site cannot, become plain text."""
    up = "../" * (page.file.src_uri.count("/") + 1)
    return re.sub(rf"\[([^\]]+)\]\({re.escape(up)}[^)]*\)", r"\1", markdown)
