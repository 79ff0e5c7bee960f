"""Opens pages in the system's Chromium, driven by Playwright without a browser of its own, and says what is wrong."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

WIDTHS = (390, 768, 1280)
"""Pixels of a phone, a tablet and a notebook."""
THEMES = ("light", "dark")
LETTERS = 9
"""Pixels that the letters of a plot must have at least."""
IMPACTS = ("serious", "critical")
"""Of axe-core's violations, those that fail."""

_OPEN_ALL = "for (const one of document.querySelectorAll('details')) one.open = true"
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_SMALL = """least => [...document.querySelectorAll('svg text')].filter(one => one.textContent.trim()).map(
    one => [one.textContent.trim(), parseFloat(getComputedStyle(one).fontSize) * Math.hypot(
        one.getScreenCTM().a, one.getScreenCTM().b)]).filter(([, size]) => size < least - 0.01)"""
_UNREACHED = """() => [...document.querySelectorAll('*')].filter(one => one.tabIndex < 0
    && one.scrollWidth > one.clientWidth + 1 && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX)).map(
    one => one.outerHTML.slice(0, 80))"""
_FOCUSED = """() => { const one = document.activeElement, style = getComputedStyle(one);
    return [one.tagName + ' ' + (one.ariaLabel ?? one.textContent.trim().slice(0, 40)),
        style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2] }"""
_STOPS = "document.querySelectorAll('a[href], summary, [tabindex=\"0\"]').length"


@dataclass(frozen=True)
class Browser:
    """A running Chromium."""

    chromium: Any

    @contextmanager
    def page(self, path: Path, width: int = 1280, theme: str = "light") -> Iterator[tuple[Any, list[str]]]:
        """A page with everything unfolded, and the messages and foreign requests that it made so far."""
        context = self.chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        page, wrong = context.new_page(), list[str]()
        page.on(
            "console", lambda one: wrong.append(f"console: {one.text}") if one.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda one: wrong.append(f"error: {one}"))
        page.on("request", lambda one: None if one.url.startswith(("file:", "data:")) else wrong.append(one.url))
        page.goto(path.resolve().as_uri())
        page.evaluate(_OPEN_ALL)
        yield page, wrong
        context.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium without a window; skips where it or Playwright is missing, and fails in CI."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    missing = [name for name in ("playwright", "axe_playwright_python") if importlib.util.find_spec(name) is None]
    if missing or program is None:
        why = f"{' and '.join([*missing, *([] if program else ['chromium'])])} not installed"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # A sandbox needs rights that containers seldom give; the pages are ours.
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield Browser(running)
        running.close()


@cache
def _axe() -> str:
    found = importlib.util.find_spec("axe_playwright_python")
    assert found is not None
    assert found.origin is not None
    (script,) = Path(found.origin).parent.rglob("axe.min.js")
    return script.read_text(encoding="utf-8")


def sideways(page: Any) -> int:
    """By how many pixels the page itself is wider than its window."""
    found: int = page.evaluate(_SIDEWAYS)
    return found


def small_letters(page: Any) -> list[tuple[str, float]]:
    """Texts of plots that are smaller than ``LETTERS`` pixels as drawn."""
    found: list[tuple[str, float]] = page.evaluate(_SMALL, LETTERS)
    return found


def unreached(page: Any) -> list[str]:
    """What scrolls sideways and no key reaches."""
    found: list[str] = page.evaluate(_UNREACHED)
    return found


def tabbed(page: Any) -> tuple[int, list[str]]:
    """How many stops a page has, and those that the tab key does not reach or that show no focus."""
    stops: int = page.evaluate(_STOPS)
    wrong, reached = [], 0
    for _ in range(stops):
        page.keyboard.press("Tab")
        name, visible = page.evaluate(_FOCUSED)
        reached += not name.startswith("BODY")
        wrong += [] if visible else [name]
    return stops, wrong + ([f"only {reached} of {stops} reached"] if reached < stops else [])


def violations(page: Any) -> list[str]:
    """What axe-core calls serious or critical."""
    page.evaluate(_axe())
    found = page.evaluate("axe.run()")["violations"]
    return [
        f"{one['id']}: {node['target']}: {node['failureSummary']}"
        for one in found
        if one["impact"] in IMPACTS
        for node in one["nodes"]
    ]
