"""The page of results says what is stored, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import results

FILES = sorted(results.STORE.glob("**/*.json"))


def test_the_page_is_what_the_stored_files_give() -> None:
    assert results.PAGE.read_text(encoding="utf-8") == results.page(results.stored()), (
        "run: python -m benchmarks.results all"
    )


def test_a_changed_number_changes_the_page(tmp_path: Path) -> None:
    shutil.copytree(results.STORE, tmp_path / "store")
    path = tmp_path / "store/digits_vae/report.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["rows"][0]["test"][report["figures"][0]]["mean"] += 1
    path.write_text(json.dumps(report), encoding="utf-8")
    assert results.page(results.stored(tmp_path / "store")) != results.PAGE.read_text(encoding="utf-8")


def test_stored_results_are_small_and_name_no_single_image_and_no_folder() -> None:
    assert FILES
    assert sum(path.stat().st_size for path in FILES) <= results.MOST
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'"images":|"/(?:home|tmp|work|root)/', text), path


def test_what_made_a_run_stands_beside_it() -> None:
    for name, one in results.stored().items():
        about = one["about"]
        assert re.fullmatch(r"[0-9a-f]{7}.*", about["commit"]), name
        assert about["command"].startswith("gentickets "), name
        assert {"torch", "python", "gentickets"} <= about["versions"].keys(), name
        assert about["machine"]["processor"], name
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", about["date"]), name


def test_sections_come_in_their_order() -> None:
    names = list(results.stored())
    assert [results._section(name) for name in names] == sorted(
        (results._section(name) for name in names), key=list(results.SECTIONS).index
    )


def test_single_images_and_folders_are_left_out() -> None:
    given = {"word": "WINS", "levels": [{"images": [1.0, 2.0], "p": 0.5}], "path": "/home/me/runs"}
    assert results.without_images(given) == {"word": "WINS", "levels": [{"p": 0.5}]}


@pytest.mark.parametrize("words", [["nothing"], ["digits_vae", "--from", "runs"], ["all", "--from", "runs"]])
def test_what_cannot_be_stored_or_shown_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        results.main(words)
