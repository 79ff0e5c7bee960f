"""Pages as a browser shows them: nothing leaves the window, nothing is too small, every key and theme works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from analysis.test_report_transfer import curve, square
from browser import THEMES, WIDTHS, Browser, browser, sideways, small_letters, tabbed, unreached, violations
from helpers import made_up_run
from report.test_report import RECIPE, cell, make_run, results_of
from report.test_verdict_page import judged

from gentickets.report import write_matrix, write_report
from gentickets.report.pages.verdict import render

pytestmark = pytest.mark.browser
PAGES = ("report", "runs", "transfer", "verdict", "matrix")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this file."""
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of every kind, of runs that nobody trained."""
    folder = tmp_path_factory.mktemp("pages")
    longer = [
        cell(f"{arm}-longer", seed, 5 if arm != "dense" else 0, value + 0.05 * seed, steps=2500)
        for seed in range(3)
        for arm, value in (("dense", 99.3), ("ticket", 99.5), ("reinit", 99.9), ("shuffle", 99.95))
    ]
    recipe = {**RECIPE, "search": {**RECIPE["search"], "longer": 5}}
    run, other = make_run(folder / "digits_vae", [*results_of(), *longer], recipe), make_run(folder / "another")
    verdict = folder / "verdict.html"
    verdict.write_text(render(judged()), encoding="utf-8")
    return {
        "report": write_report([run]).page,
        "runs": write_report([run, other], folder / "both").page,
        "transfer": write_report([made_up_run(folder / "transfer", *curve())]).page,
        "verdict": verdict,
        "matrix": write_matrix(square(), folder / "matrix"),
    }


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", PAGES)
def test_a_page_fits_its_window_and_asks_nobody(
    chromium: Browser, pages: dict[str, Path], kind: str, width: int, theme: str
) -> None:
    with chromium.page(pages[kind], width, theme) as (page, wrong):
        assert wrong == []
        assert sideways(page) <= 0
        assert small_letters(page) == []


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", PAGES)
def test_everybody_can_read_and_reach_everything(
    chromium: Browser, pages: dict[str, Path], kind: str, theme: str
) -> None:
    """Contrast, names and keys, on a phone, where most of a page scrolls sideways."""
    with chromium.page(pages[kind], WIDTHS[0], theme) as (page, _):
        assert violations(page) == []
        assert unreached(page) == []


@pytest.mark.parametrize("kind", PAGES)
def test_the_tab_key_goes_everywhere_and_shows_where_it_is(
    chromium: Browser, pages: dict[str, Path], kind: str
) -> None:
    with chromium.page(pages[kind], WIDTHS[0]) as (page, _):
        stops, wrong = tabbed(page)
        assert stops > 0
        assert wrong == []


@pytest.mark.parametrize("kind", PAGES)
def test_the_dark_theme_is_dark(chromium: Browser, pages: dict[str, Path], kind: str) -> None:
    shades = []
    for theme in THEMES:
        with chromium.page(pages[kind], theme=theme) as (page, _):
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            shades.append(sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))))
    assert shades[0] > 600
    assert shades[1] < 150


BROKEN = {
    "foreign": "<img src='http://example.invalid/a.png' alt='a'>",
    "script": "<script>alert(1)</script>",
    "wide": "<div style='width: 2000px'>wide</div>",
    "small": "<svg width='100' height='20'><text y='10' font-size='8'>small</text></svg>",
    "contrast": "<p style='color: #ccc; background: #fff'>pale</p>",
    "unfocused": "<style>:focus-visible { outline: none !important }</style>",
    "unreached": "<div style='overflow-x: auto; width: 50px'><p style='width: 400px'>a b c</p></div>",
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_seen(chromium: Browser, tmp_path: Path, fault: str) -> None:
    """Each check, on a page that it must refuse."""
    head = (Path(__file__).parents[2] / "gentickets/report/pages/head.html").read_text(encoding="utf-8")
    broken = tmp_path / "page.html"
    body = f"<main><h1>Page</h1><a href='#a'>a</a>{BROKEN[fault]}</main>"
    style = "<style>:focus-visible { outline: 3px solid #00f }</style>"
    broken.write_text(f"{head}<title>Page</title>{style}</head><body>{body}</body></html>", encoding="utf-8")
    with chromium.page(broken, WIDTHS[0]) as (page, wrong):
        seen = {
            "foreign": bool(wrong), "script": bool(wrong), "wide": sideways(page) > 0,
            "small": bool(small_letters(page)), "contrast": any("color-contrast" in one for one in violations(page)),
            "unfocused": bool(tabbed(page)[1]), "unreached": bool(unreached(page)),
        }  # fmt: skip
    assert seen[fault]
    assert [name for name, found in seen.items() if found and name != fault] in ([], ["script"], ["foreign"])
