"""Every method of searching through recipe, plan, words and bill; and nobody beside the table tells methods apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from gentickets_cli.recipes import summary
from helpers import MODULES

from gentickets.analysis.summary import summarize
from gentickets.analysis.text.recipe import facts, how_found
from gentickets.arms import SEARCH, TICKET, WIDTH
from gentickets.errors import TicketError
from gentickets.experiment.plan import plan_units
from gentickets.ledger.entries import WARM_UP, Cost, Entry, part_of
from gentickets.methods import METHODS, METHODS_OF, Method
from gentickets.recipe import Recipe, parse_recipe
from gentickets.search import MADE_BY

TEXT = """
[task]
family = "vae"
network = "mlp"
width = 6
latent = 2
[data]
name = "digits"
[train]
steps = 100
[search]
method = "{method}"
rounds = 2
seeds = 1
{more}
"""
MORE = {"widths": "widths = [4, 6]"}
"""Method -> what it needs to be told."""
METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))


def recipe_of(method: Method, *overrides: str) -> Recipe:
    text = TEXT.format(method=method.name, more=MORE.get(method.name, ""))
    return parse_recipe(text, name=method.name, overrides=overrides)


@METHOD
def test_every_method_is_planned_in_the_order_of_its_basis(method: Method) -> None:
    recipe = recipe_of(method)
    units = plan_units(recipe)
    arms = {unit.arm for unit in units}
    assert (WIDTH in arms, TICKET in arms, SEARCH in arms) == (not method.prunes, method.prunes, method.watches)
    last = next((unit for unit in units if (unit.arm, unit.round) == (TICKET, 2)), None)
    before = {"round before": (TICKET, 1), "dense run": (TICKET, 0), "dense start": (TICKET, 0)}
    if method.prunes:
        assert last is not None
        assert last.needs[0][1:] == before.get(method.basis, (SEARCH, 0))


def test_every_method_that_masks_the_dense_run_has_the_function_that_does() -> None:
    assert set(MADE_BY) == {name for name, method in METHODS.items() if method.masks_dense}


@METHOD
def test_every_method_is_told_in_words_without_a_place_left_open(method: Method) -> None:
    recipe = recipe_of(method)
    told = [dict(facts(recipe))["method"], how_found(recipe) or "", summary(recipe), method.remark]
    if method.prunes and not recipe.removes_channels:
        told.append(how_found(recipe_of(method, "search.criterion=snip")) or "")
        assert "SNIP" in told[-1]
    assert told[0], "it has a title"
    assert f"{len(recipe.rounds)} " in told[2], "a line of recipes ls says how many levels there are"
    assert not any("{" in text or "}" in text for text in told)
    assert summarize([], recipe).is_sweep is not method.prunes
    assert bool(method.remark) == (method.prunes and not method.goes_round_by_round)


@METHOD
def test_the_bill_of_every_method_follows_from_its_basis(method: Method) -> None:
    def part(arm: str, round: int, phase: str) -> str | None:
        return part_of(Entry(0, arm, round, phase, Cost(), 0), method.name, 2)

    assert part(TICKET, 0, "train") == ("search" if method.trains_dense_first else "comparison")
    warmed = method.trains_dense_first or method.prunes_at_start
    assert part(TICKET, 0, WARM_UP) == ("search" if warmed else "comparison")
    assert part(TICKET, 1, "train") == ("search" if method.goes_round_by_round else None)


@METHOD
def test_keys_of_other_methods_are_refused(method: Method) -> None:
    values = {"by": '"weights"', "after": '"rewind"', "rule": '"published"', "widths": "[3]", "widen": '"depth"',
              "only_rounds": "[1]", "tolerance": "0.1"}  # fmt: skip
    for key, methods in METHODS_OF.items():
        if method.name not in methods:
            with pytest.raises(TicketError, match=rf"search\.{key}: means nothing with search\.method"):
                recipe_of(method, f"search.{key}={values.get(key, '2')}")
    assert set(method.options) == {key for key in METHODS_OF if recipe_of(method).search.applies(key)}


# -- nobody beside the table ----------------------------------------------------------------------------------

NAMED = {"gentickets/__init__.py", "search/__init__.py"}
"""Files that export functions of those names."""
ALSO_KEYS = {"widths"}
"""Methods that are called as a key of a recipe is."""


def knowing(tree: ast.AST) -> Iterator[ast.expr]:
    """Where a module says a method's name, but for docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in set(METHODS) - ALSO_KEYS:
            yield node
        elif isinstance(node, ast.Compare) and "method" in ast.unparse(node.left):
            yield from (one for one in node.comparators if isinstance(one, ast.Constant) and one.value in ALSO_KEYS)


def test_nobody_but_the_table_says_a_methods_name() -> None:
    found = {}
    for path in MODULES:
        place = "/".join(path.parts[-2:])
        if place not in {*NAMED, "gentickets/methods.py"}:
            found[place] = [f"line {node.lineno}" for node in knowing(ast.parse(path.read_text("utf-8")))]
    assert not {place: lines for place, lines in found.items() if lines}


@pytest.mark.parametrize("code", ['method == "iterative"', 'x = {"one_shot": 1}', 'search["method"] != "widths"'])
def test_who_did_would_be_seen(code: str) -> None:
    assert list(knowing(ast.parse(code)))
