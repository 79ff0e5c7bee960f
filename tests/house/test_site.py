"""The site: every recipe key has a meaning, it builds strictly, and no page loads anything from another host."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from helpers import HOUSE

from gentickets.recipe.families import FAMILIES
from gentickets.recipe.sections import SECTIONS, Sections

LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "srcset", "link": "href", "video": "src"}
"""Tag -> the attribute by which a page loads what it names."""


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOUSE / "docs" / "tools"))


@pytest.mark.parametrize("name", [*SECTIONS, *FAMILIES, ""])
def test_every_recipe_key_has_a_meaning(name: str) -> None:
    import keys

    section = SECTIONS.get(name) or FAMILIES.get(name) or Sections
    of = {"seed"} if section is Sections else set(section.model_fields)
    assert of <= set(keys.meanings(section))
    assert all(f"| `{key}` |" in keys.table(section) for key in of)


def test_the_pages_of_reference_name_every_command_option_and_public_name() -> None:
    import commands
    import python_api

    import gentickets

    page = commands.page()
    for command in ("find", "verdict", "recipes ls"):
        assert f"# gentickets {command}\n" in page
    assert "| `--dry-run` |" in page
    api = python_api.page()
    assert {f"::: gentickets.{name}\n" for name in gentickets.__all__} <= set(api.splitlines(keepends=True))


class Loads(HTMLParser):
    """What a page loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        target = given.get(LOADING.get(tag, "")) or ""
        if re.match(r"(https?:)?//", target) and given.get("rel") != "canonical":
            self.found.append(target)


def loaded(text: str) -> list[str]:
    page = Loads()
    page.feed(text)
    return page.found + re.findall(r"""url\(["']?((?:https?:)?//[^)"']+)""", text)


def test_what_is_loaded_from_elsewhere_would_be_seen() -> None:
    assert loaded('<script src="https://cdn.example/x.js"></script><a href="https://example.org">a link</a>') == [
        "https://cdn.example/x.js"
    ]
    assert loaded("<style>@font-face { src: url(//fonts.example/a.woff) }</style>") == ["//fonts.example/a.woff"]


@pytest.mark.docs
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    ran = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    pages = sorted((tmp_path / "site").glob("**/*.html"))
    assert len(pages) > 25
    for page in [*pages, *(tmp_path / "site").glob("**/*.css")]:
        assert not loaded(page.read_text(encoding="utf-8")), page
    assert not [page for page in pages if ".mermaid" in page.read_text(encoding="utf-8")]
    assert (tmp_path / "site/search/search_index.json").stat().st_size > 100_000
