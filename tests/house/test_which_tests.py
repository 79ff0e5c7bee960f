"""From a module to its tests: every module has some, and those that import it by whatever way are named."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from which_tests import HOUSE, defined_in, main, modules, nearest_tests


@pytest.fixture(scope="module")
def found() -> dict[str, set[str]]:
    return {str(path.relative_to(HOUSE)): {test.stem for test in tests} for path, tests in nearest_tests().items()}


def is_empty(path: Path) -> bool:
    return all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text(encoding="utf-8")).body)


def test_every_module_has_tests(found: dict[str, set[str]]) -> None:
    without = [path for path in modules() if not found[str(path.relative_to(HOUSE))] and not is_empty(path)]
    assert without == []


def test_names_are_followed_to_the_module_that_defines_them() -> None:
    import gentickets.masks

    home = gentickets.masks.keep_top.__module__
    assert defined_in("gentickets.masks", "keep_top") == HOUSE / f"{home.replace('.', '/')}.py"
    assert defined_in("gentickets", "keep_top") == defined_in("gentickets.masks", "keep_top")
    assert defined_in("torch", "Tensor") is None


def test_a_module_names_the_tests_that_import_it_and_a_command_those_that_type_it(found: dict[str, set[str]]) -> None:
    (select,) = (name for name in found if name.endswith("masks/select.py"))
    assert "test_select" in found[select]
    assert "test_verdict" in found["cli/verdict.py"]


def test_names_are_given_from_the_root(capsys: pytest.CaptureFixture[str]) -> None:
    main(["cli/verdict.py"])
    assert "test_verdict.py" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no module of gentickets"):
        main(["verdict.py"])
