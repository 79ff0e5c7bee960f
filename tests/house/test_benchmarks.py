"""`python -m benchmarks` lists every program and writes what became of their goals; nothing is measured here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from helpers import HOUSE

MEASURES = f"""'''Measures two things.'''
import sys
sys.path.insert(0, {str(HOUSE / "benchmarks")!r})
from goals import Ratio, goal
goal("halves", 0.5, 1.0)
goal("noise", Ratio(1.1, 0.9, 1.3, 0.2), 1.0)
"""
STARTS_LATE = """'''Cannot measure at first.'''
import sys
from pathlib import Path
tries = Path(__file__).with_suffix(".tries")
tries.write_text(tries.read_text() + "." if tries.exists() else ".")
print("try", len(tries.read_text()))
sys.exit(75 if len(tries.read_text()) < 3 else 0)
"""


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module, with three programs of our own in place of the real ones."""
    monkeypatch.syspath_prepend(str(HOUSE))
    from benchmarks import __main__ as program

    texts = {"measures": MEASURES, "late": STARTS_LATE, "fails": "'''Fails.'''\nraise SystemExit(3)\n"}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(program, "HERE", tmp_path)
    rows = {"measures": program.Program(quick=()), "late": program.Program(quick=())}
    rows["fails"] = program.Program(by_name_only="it fails")
    monkeypatch.setattr(program, "PROGRAMS", rows)
    return program


def test_every_program_has_its_row_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOUSE))
    from benchmarks import __main__ as program

    runnable = {
        path.stem
        for path in (HOUSE / "benchmarks").glob("*.py")
        if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
        and path.stem not in ("__main__", "results")  # which lists, and which writes a page
    }
    assert set(program.PROGRAMS) == runnable
    assert all(program.title(name).endswith(".") for name in runnable)
    readme = (HOUSE / "benchmarks" / "README.md").read_text(encoding="utf-8")
    for name, row in program.PROGRAMS.items():
        assert f"`{' '.join(['python', f'benchmarks/{name}.py', *row.arguments])}" in readme


def test_the_list_names_them_and_what_they_show(runner: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main([]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == ["measures", "late", "fails"]
    assert told[0].endswith("Measures two things.")
    assert told[2].endswith("Fails. (it fails)")


def test_goals_stand_in_the_table_and_the_file(
    runner: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert runner.main(["all", "--out", str(out)]) == 0
    found = json.loads((out / "benchmarks.json").read_text())
    measures, late = found["programs"]
    halves, noise = measures["goals"]
    assert halves == {"name": "halves", "measured": 0.5, "error": 0.0, "most": 1.0, "outcome": "reached"}
    assert noise["outcome"] == "unclear"
    assert measures["command"].startswith("python ")
    assert measures["command"].endswith("measures.py")
    assert late == {**late, "status": 0, "goals": []}
    assert {"date", "commit", "machine", "versions", "quick"} <= set(found)
    table = (out / "benchmarks.md").read_text()
    assert "| measures | noise | 1.100 ± 0.200 | 1 | unclear | |" in table
    assert found["commit"] in table
    assert (out / "late.txt").read_text() == "try 3\n"
    assert table in capsys.readouterr().out


def test_a_program_that_fails_ends_red_and_the_others_are_kept(runner: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert runner.main(["fails", "measures", "--quick", "--out", str(out)]) == 1
    fails, measures = json.loads((out / "benchmarks.json").read_text())["programs"]
    assert (fails["status"], measures["status"]) == (3, 0)
    assert fails["command"].endswith("fails.py --quick")
    assert "failed (3)" in (out / "benchmarks.md").read_text()


def test_what_follows_two_dashes_goes_to_the_program(runner: ModuleType, tmp_path: Path) -> None:
    runner.main(["late", "--out", str(tmp_path / "out"), "--", "--threads", "1"])
    (late,) = json.loads((tmp_path / "out" / "benchmarks.json").read_text())["programs"]
    assert late["command"].endswith("late.py --threads 1")


def test_an_unknown_name_is_refused(runner: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.main(["engines"])
    assert "there is no benchmark engines" in capsys.readouterr().err


def test_the_list_loads_no_torch() -> None:
    code = "import benchmarks.__main__ as m, sys; m.main([]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=HOUSE, capture_output=True, check=False).returncode == 0
