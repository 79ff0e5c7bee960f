"""Real workers that hang, die or print what they like, by plugins; and starts that cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PROGRAM, SMALL, content

from gentickets.errors import Status, TicketError
from gentickets.experiment.assembly import load_plugins
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.recipe import load_recipe

PLUGIN = """
import os, signal, sys, time
from pathlib import Path
from gentickets.tasks import Autoencoder

os.write(1, b"to the file descriptor\\n")
print("to standard output")

class Unwell(Autoencoder):
    steps = 0

    def objectives(self):
        found = super().objectives()
        self.calls = Path(__file__).with_name("calls")
        return found

    def draw(self, n, rng):
        Unwell.steps += 1
        marker = Path(__file__).with_name("ACT")
        act = marker.read_text() if marker.exists() else ""
        if act and Unwell.steps > (5 if act.startswith("always") else 60):
            if not act.startswith("always"):
                marker.unlink()
            if "hang" in act:
                time.sleep(300)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().draw(n, rng)
"""


def setting(tmp_path: Path) -> tuple[Path, Path, list[str]]:
    (tmp_path / "unwell.py").write_text(PLUGIN)
    (tmp_path / "small.toml").write_text(SMALL)
    changes = ["task.family=Unwell", "claim.metric=reconstruction", "quality.frechet=false", "search.budget=false",
               "task.depth=1", "train.steps=40", 'search.controls=["shuffle"]']  # fmt: skip
    return tmp_path / "small.toml", tmp_path / "unwell.py", changes


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_workers_that_hang_and_die_and_print(tmp_path: Path) -> None:
    """Once: the run ends with the same bytes. Always: a round is lost, told, and tried again by the same command."""
    small, plugin, changes = setting(tmp_path)
    recipe = load_recipe(str(small), overrides=changes, plugins=[plugin])
    options = Options(jobs=1, device="cpu", plugins=[plugin], keep_all=True, stall=8.0, save_every=0.0)
    find(recipe, tmp_path / "whole", options)
    for act in ("hang", "die"):
        (tmp_path / "ACT").write_text(act)
        find(recipe, tmp_path / act, options)
        assert not (tmp_path / "ACT").exists()
        assert content(tmp_path / act) == content(tmp_path / "whole")
    (tmp_path / "ACT").write_text("always die")
    with pytest.raises(
        TicketError, match=r"lost after two tries: seed 0, ticket, round \d: the worker ended"
    ) as caught:
        find(recipe, tmp_path / "lost", options)
    assert caught.value.status == Status.FAILED
    state = json.loads((tmp_path / "lost" / "state.json").read_text())
    assert [list(one) for one in state["lost"]] == [["seed", "arm", "round", "why"]]
    (tmp_path / "ACT").unlink()
    find(recipe, tmp_path / "lost", options)
    assert content(tmp_path / "lost") == content(tmp_path / "whole")
    assert not (tmp_path / "lost" / "state.json").exists()


def test_a_plugin_that_ends_the_process_at_import_is_named(tmp_path: Path) -> None:
    for text in ("raise SystemExit(0)", "import sys\nsys.exit('no licence')", "1 / 0", "import nothing_of_that_name"):
        (tmp_path / "mine.py").write_text(text)
        with pytest.raises(TicketError, match=r"mine\.py does not import: (SystemExit|Zero|ModuleNotFound)"):
            load_plugins([tmp_path / "mine.py"])


def test_without_pytorch_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object file')")
    small, _, _ = setting(tmp_path)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    words = [*PROGRAM, "find", str(small), "--out", str(tmp_path / "run"), "--device", "cpu", "--jobs", "2"]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    assert done.returncode == Status.FAILED
    assert done.stderr == "gentickets: error: ImportError: libcudart.so.12: cannot open shared object file\n"
    assert not (tmp_path / "run").exists()
