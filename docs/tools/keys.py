"""The page of all recipe keys, from the schema that checks recipes: type, default, range and meaning of each."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from gentickets.datasets import DATASETS
from gentickets.recipe.families import FAMILIES
from gentickets.recipe.sections import SECTIONS, Sections
from gentickets.scoring import SCORINGS

HEAD = """# Recipe keys

A recipe is a TOML file of the tables below. This page is made from the schema that checks recipes.
`gentickets recipes show NAME --json` prints a recipe with every default filled in; `gentickets recipes validate FILE`
reports everything that is wrong in one, with line, key, range and the nearest valid name.
[Recipes](../runs.md#the-recipes-keys) has what a run stores of them.
"""
TABLES = {"DATASETS": (*DATASETS, "folder"), "SCORINGS": tuple(SCORINGS)}
"""Name of a table in the code -> the names in it, which stand on the page instead."""
BELOW = {"train": ("objectives",)}
"""Section -> its keys that are tables of sections themselves."""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD, "\n## Outside of any table\n", table(Sections, ("seed",))]
    parts += ["\n## [task]\n", FAMILY]
    for name, keywords in FAMILIES.items():
        parts += [f'\n### family = "{name}"\n', table(keywords)]
    for name, section in SECTIONS.items():
        parts += [f"\n## [{name}]\n", table(section)]
        parts += [_table_of(name, section, key) for key in BELOW.get(name, ())]
    return "\n".join(parts)


FAMILY = """`family` (required) names the model: one of those below, or the class of a task in a plugin. The other keys
are the keywords of that family; a plugin's are those of its constructor.
"""


def table(
    section: type[BaseModel], only: tuple[str, ...] | None = None, meaning: Mapping[str, str] | None = None
) -> str:
    """The rows of a section, or of some of its keys."""
    schema = section.model_json_schema()
    keys = [key for key in schema["properties"] if only is None or key in only]
    meaning = meanings(section) if meaning is None else meaning
    rows = [_row(key, schema["properties"][key], schema, meaning.get(key, "")) for key in keys]
    return "\n".join(["| key | type and range | default | meaning |", "|---|---|---|---|", *rows])


def meanings(section: type[BaseModel]) -> dict[str, str]:
    """Key -> the text below its field in the source; a parent's where the class has none of its own."""
    found: dict[str, str] = {}
    for parent in reversed(section.__mro__):
        if issubclass(parent, BaseModel) and parent is not BaseModel:
            found |= dict(_documented(parent))
    return found


def _documented(section: type[BaseModel]) -> Iterator[tuple[str, str]]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(tree, ast.ClassDef)
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            yield ast.unparse(field.target), " ".join(str(text.value.value).split())


def _table_of(name: str, section: type[BaseModel], key: str) -> str:
    from gentickets.recipe.training import Objective

    heading = f"\n### [{name}.{key}.NAME]\n\nThe same settings for one objective alone; none: those of [{name}].\n\n"
    return heading + table(Objective, meaning=meanings(section))


def _row(key: str, field: Mapping[str, Any], schema: Mapping[str, Any], meaning: str) -> str:
    default = _value(field["default"]) if "default" in field else "required"
    for table, names in TABLES.items():
        meaning = meaning.replace(f"`{table}`", ", ".join(f"`{name}`" for name in dict.fromkeys(names)))
    meaning = meaning.replace("``", "`").replace("|", "\\|")
    return f"| `{key}` | {kind(field, schema)} | {default} | {meaning} |"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{list(value) if isinstance(value, tuple) else value}`"


def kind(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What may stand there, in words: ``whole number, 1 to 100``, ``"a" or "b"``, ``list of ...``."""
    if "anyOf" in field:
        return " or ".join(kind(one, schema) for one in field["anyOf"] if one.get("type") != "null")
    if "$ref" in field:
        return "table"
    if "enum" in field or "const" in field:
        return ", ".join(f"`{_plain(value)}`" for value in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        inner = field.get("items") or (field.get("prefixItems") or [{}])[0]
        count = f"{len(field['prefixItems'])} of" if "prefixItems" in field else "list of"
        return f"{count}: {kind(inner, schema)}"
    names = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`", "object": "table"}
    return ", ".join(part for part in (names.get(field.get("type", ""), "text"), _range(field)) if part)


def _plain(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _range(field: Mapping[str, Any]) -> str:
    low, above = field.get("minimum"), field.get("exclusiveMinimum")
    high, below = field.get("maximum"), field.get("exclusiveMaximum")
    if low is not None and high is not None and high < 1e30:
        return f"{low:,} to {high:,}"
    parts = [
        f"at least {low:,}" if low is not None else "",
        f"above {above:g}" if above is not None else "",
        f"at most {high:,}" if high is not None and high < 1e30 else "",
        f"below {below:g}" if below is not None and below < 2**62 else "",
    ]
    return ", ".join(part for part in parts if part)
