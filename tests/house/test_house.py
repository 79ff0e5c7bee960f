"""The shape of the house: imports only go down, and nothing loads PyTorch before it must."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from helpers import HOUSE, MODULES
from which_tests import imports

FLOORS = [
    {"arms", "methods", "scoring", "datasets", "errors", "seeds", "disk", "heartbeat", "spectral", "effective"}
    | {"storage", "preserving", "table", "counted"},
    {"definitions", "metrics", "masks", "files", "provenance", "patches", "shapes", "untouched", "finite", "statistics"}
    | {"shared", "sparsity"},
    {"tickets", "data", "tasks", "results", "recipe"},
    {"optimizers", "ledger", "tensorfile", "arithmetic", "channels", "portable"},
    {"criteria", "training", "accounting", "quality", "runs", "earlybird", "transfer"},
    {"search", "controls", "export"},
    {"analysis", "simulation", "loops"},
    {"experiment", "report"},
    {"actions"},
    {"verbs"},
    {"cli", "__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return "cli" if parts[0] == "cli" else parts[1]


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a module imports, wherever in it the import stands."""
    names = [f"{module}.{name}" for module, name in imports(path)]
    return {name.split(".")[1] for name in names if name.startswith("gentickets.")} & set(FLOOR)


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert rooms == set(FLOOR)


def test_imports_only_go_down() -> None:
    climbing = [
        f"{path.relative_to(HOUSE)} imports {other}"
        for path in MODULES
        if (room := room_of(path)) != "__init__"
        for other in imported_rooms(path) - {room}
        if FLOOR[other] >= FLOOR[room]
    ]
    assert not climbing


def test_a_climbing_import_would_be_seen(tmp_path: Path) -> None:
    module = tmp_path / "masks.py"
    module.write_text("def f():\n    from gentickets.search import iterative\n")
    assert imported_rooms(module) == {"search"}


@pytest.mark.parametrize(
    "code",
    [
        "import gentickets",
        "import gentickets.recipe, gentickets.report, gentickets.experiment.run, gentickets.experiment.pool",
        "import gentickets.verbs.find, gentickets.verbs.run, gentickets.verbs.verdict",
        "import gentickets_cli.main, gentickets_cli.find, gentickets_cli.show, gentickets_cli.train",
        "import gentickets_cli.cost, gentickets_cli.export, gentickets_cli.transfer, gentickets_cli.matrix",
        "import gentickets.actions.transfer_target, gentickets.actions.transfer_matrix, gentickets.actions.portable",
    ],
)
def test_no_torch_before_it_must(code: str) -> None:
    check = f"{code}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_public_names_are_there() -> None:
    import gentickets

    for name in gentickets.__all__:
        assert getattr(gentickets, name) is not None
    assert gentickets.__version__ == tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]["version"]


def test_all_packages_are_listed() -> None:
    listed = set(tomllib.loads((HOUSE / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {".".join(p.parent.relative_to(HOUSE).parts) for p in HOUSE.glob("gentickets/**/__init__.py")}
    assert listed == found | {"gentickets_cli", "gentickets_recipes"}


def test_nothing_in_the_project_unpickles() -> None:
    """Files from others are data; CIFAR-10's own pickles are torchvision's to read, after their MD5.

    The Inception network's weights come as PyTorch's archive: read with ``weights_only=True`` alone.
    """
    loaders = {"torch", "pickle", "shelve", "marshal", "yaml"}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value
                name = owner.id if isinstance(owner, ast.Name) else ""
                safe = any(
                    word.arg == "weights_only" and isinstance(word.value, ast.Constant) and word.value.value is True
                    for word in node.keywords
                )
                assert safe or not (name in loaders and node.func.attr in ("load", "loads", "open")), path


SECTIONS = {"task", "data", "train", "search", "quality", "transfer", "verdict"}
BY_KEY = {
    "gentickets/files/belonging.py": {"search"},  # below the room of recipes: how a run searches, for its first round
    "gentickets/actions/train_ticket.py": {"data"},  # what the command line lays over a ticket's recipe
    "cli/matrix.py": {"transfer"},  # the same, before there is a recipe
    "gentickets/analysis/text/transfer.py": {"data"},  # of a result, not of a recipe
    "gentickets/analysis/first_edition.py": {"verdict"},  # of a report.json of the first edition
}
"""Where a section's name is read as a key outside `recipe/`, and why."""


def keys_read(code: str) -> set[str]:
    """The constant keys that a module reads, by ``[...]`` or ``.get(...)``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            key = node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            key = next(iter(node.args), None)
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            found.add(key.value)
    return found


def test_recipes_are_read_by_key_in_their_own_room_alone() -> None:
    """A recipe is a `Recipe` wherever it goes: defaults and what follows from it stand there, once and typed."""
    elsewhere = [path for path in MODULES if room_of(path) != "recipe"]
    read = {str(path.relative_to(HOUSE)): keys_read(path.read_text(encoding="utf-8")) & SECTIONS for path in elsewhere}
    assert {path: keys for path, keys in read.items() if keys} == BY_KEY


def test_a_recipe_read_by_key_would_be_seen() -> None:
    assert keys_read('steps = recipe["train"]["steps"]\nrecipe.get("claim") or {}\n') == {"train", "steps", "claim"}
    assert not keys_read('recipe.train.steps\nrecord["train"] = 1\n')


MOST_FILES = 2
"""In how many files a class name may stand for different things."""


def class_files(paths: Iterable[Path]) -> dict[str, set[Path]]:
    """Class name -> the files that define a class of that name, at any depth."""
    found: dict[str, set[Path]] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).add(path)
    return found


def private_imports(path: Path) -> list[str]:
    """The private names that a module takes from other modules of the house."""
    ours = [name for module, name in imports(path) if module.startswith("gentickets")]
    return [name for name in ours if name.startswith("_") and name != "__version__"]


def test_no_class_name_stands_in_more_than_two_files() -> None:
    assert not {name: paths for name, paths in class_files(MODULES).items() if len(paths) > MOST_FILES}


def test_a_third_class_of_one_name_would_be_seen(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.py" for number in range(3)]
    for path in paths:
        path.write_text("class Level:\n    pass\n")
    assert class_files(paths) == {"Level": set(paths)}


def test_private_names_stay_in_their_file() -> None:
    assert not {path: names for path in MODULES if (names := private_imports(path))}


def test_a_private_import_would_be_seen(tmp_path: Path) -> None:
    ours, others = tmp_path / "ours.py", tmp_path / "others.py"
    ours.write_text("from gentickets.masks.mask import Mask, _bits\nfrom gentickets_cli.options import _cut\n")
    others.write_text("from torch.nn.utils.parametrizations import _SpectralNorm\n")
    assert private_imports(ours) == ["_bits", "_cut"]
    assert not private_imports(others)


SLOW = {"scipy.stats", "scipy.sparse", "scipy.optimize", "scipy.linalg", "sklearn", "torchvision", "torch_fidelity"}
"""Each takes longer to import than the whole house: where one is needed, it is imported in the function."""
LATE = {"gentickets/quality/inception_network.py"}
"""Modules that are imported late themselves."""


def slow_imports(code: str) -> set[str]:
    """What a module imports of those as soon as it is itself imported."""
    found: set[str] = set()
    for node in ast.parse(code).body:
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if any(f"{name}.".startswith(f"{slow}.") for slow in SLOW)}


def test_nobody_waits_for_what_few_runs_need() -> None:
    slow = {str(path.relative_to(HOUSE)): slow_imports(path.read_text(encoding="utf-8")) for path in MODULES}
    assert {path for path, names in slow.items() if names} == LATE


def test_a_slow_import_would_be_seen() -> None:
    assert slow_imports("from scipy import special, stats\n") == {"scipy.stats"}
    assert slow_imports("from scipy.sparse.csgraph import connected_components\n")
    assert not slow_imports("def f():\n    from scipy import stats\n")
