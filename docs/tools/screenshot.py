"""The two pictures of README: the head of a run's report, in both themes, taken with Chromium.

    gentickets find digits_vae
    python docs/tools/screenshot.py runs/digits_vae/report.html

writes docs/assets/report-light.png and report-dark.png, with at most 200 kB each. ``--browser`` names another Chromium.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

ASSETS = Path(__file__).parents[1] / "assets"
THEMES = {"light": 1, "dark": 0}
"""Theme -> Blink's number of it."""
WIDTH, HEIGHT = 1280, 1060
LARGEST = 200_000
"""Bytes of a picture."""


def taken(browser: str, page: Path, theme: str) -> Image.Image:
    """The head of a page, in 256 colours."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.png"
        options = [
            "--headless",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-sandbox",
            f"--user-data-dir={folder}/profile",
        ]
        options += [f"--window-size={WIDTH},{HEIGHT}", f"--blink-settings=preferredColorScheme={THEMES[theme]}"]
        command = [browser, *options, f"--screenshot={file}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        return Image.open(file).convert("RGB").quantize(256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--browser", default="chromium")
    parser.add_argument("--to", type=Path, default=ASSETS)
    given = parser.parse_args()
    for theme in THEMES:
        file = given.to / f"report-{theme}.png"
        taken(given.browser, given.page, theme).save(file, optimize=True)
        if file.stat().st_size > LARGEST:
            raise SystemExit(f"{file} has {file.stat().st_size:,} bytes, more than {LARGEST:,}")
        print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
