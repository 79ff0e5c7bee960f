"""JSON Schemas (draft 2020-12) of `report.json`, `verdict.json` and `matrix.json`, from the records that are written.

`python -m gentickets.report.schemas` lists the files, with the name of one it prints its schema, and with a folder it
writes them all: ``python -m gentickets.report.schemas --out docs/schemas``. They say what this version writes: every
key of a view (`analysis.plain`) with its type and with what the docstring of its field says.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from textwrap import dedent, fill
from typing import Any, Union, get_args, get_origin, get_type_hints

from gentickets import report
from gentickets.analysis.plain import Part, View, keys_of
from gentickets.analysis.run_verdict import RunVerdict
from gentickets.analysis.transfer_matrix import MATRIX, Matrix
from gentickets.disk import write_whole
from gentickets.report.pages.verdict_files import VERDICT

Schema = dict[str, Any]

FILES: Mapping[str, tuple[type, View]] = {
    "report": (report.Document, report.DOCUMENT),
    "verdict": (RunVerdict, VERDICT),
    "matrix": (Matrix, MATRIX),
}
"""File without its suffix -> its outermost record, and its view."""

WIDTH = 120

_SIMPLE: Mapping[Any, Sequence[str]] = {
    str: ("string",),
    Path: ("string",),
    bool: ("boolean",),
    int: ("integer",),
    float: ("number", "null"),  # one that is not finite is null
    type(None): ("null",),
}


def schema_of(name: str) -> Schema:
    """The schema of a file of `FILES`. TypeError where a record holds what JSON has no type for."""
    kind, view = FILES[name]
    records: dict[type, Schema] = {}
    outermost = _record(kind, view, records)
    named = {one.__name__: schema for one, schema in sorted(records.items(), key=lambda item: item[0].__name__)}
    if len(named) < len(records):
        raise TypeError(f"{name}.json has two records of one name")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"{name}.json"}
    return {**head, **outermost, "$defs": named}


def write_schemas(folder: Path) -> list[Path]:
    """Write `NAME.schema.json` of every file into a folder; their paths. An OSError names the file."""
    paths = {name: folder / f"{name}.schema.json" for name in FILES}
    for name, path in paths.items():
        write_whole(path, text_of(name).encode())
    return list(paths.values())


def text_of(name: str) -> str:
    """The schema of a file as text."""
    return _text(schema_of(name)) + "\n"


def _text(value: Any, indent: int = 0) -> str:
    """JSON in which what fits into a line stands in one."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(flat) + indent <= WIDTH:
        return flat
    margin = " " * (indent + 1)
    if isinstance(value, dict):
        inner = [f"{margin}{json.dumps(key)}: {_text(one, indent + 1)}" for key, one in value.items()]
        return "\n".join(["{", ",\n".join(inner), margin[1:] + "}"])
    if all(isinstance(one, str) for one in value):
        lines = fill(flat[1:-1], WIDTH, initial_indent=margin, subsequent_indent=margin)
    else:
        lines = ",\n".join(margin + _text(one, indent + 1) for one in value)
    return f"[\n{lines}\n{margin[1:]}]"


def _record(kind: type, view: View, records: dict[type, Schema]) -> Schema:
    """The schema of a record; those of the records in it join ``records``."""
    keys = {key: _key(kind, part, view, records) for key, part in keys_of(kind, view).items()}
    told = {"type": "object", "description": _line(inspect.getdoc(kind) or "")}
    return {**told, "properties": keys, "required": list(keys), "additionalProperties": False}


def _key(kind: type, part: Part, view: View, records: dict[type, Schema]) -> Schema:
    """The schema of one key's value, with its description."""
    if isinstance(part, int):
        return {"const": part}
    hint, said = _attribute(kind, part) if isinstance(part, str) else (_returned(part), inspect.getdoc(part) or "")
    found = _value(hint, view, records)
    return {**found, "description": _line(said)} if said else found


def _attribute(kind: type, path: str) -> tuple[Any, str]:
    """The type of an attribute, or of an attribute's attribute, and what its docstring says."""
    name, _, rest = path.partition(".")
    made = inspect.getattr_static(kind, name, None)
    if isinstance(made, cached_property):
        hint, said = _returned(made.func), inspect.getdoc(made.func)
    elif isinstance(made, property):
        hint, said = _returned(made.fget), inspect.getdoc(made.fget)
    else:
        hint, said = get_type_hints(kind)[name], _docstrings(kind).get(name)
    return _attribute(hint, rest) if rest else (hint, said or "")


def _returned(function: Any) -> Any:
    return get_type_hints(function)["return"]


def _value(hint: Any, view: View, records: dict[type, Schema]) -> Schema:
    """The schema of a value by its annotation."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if hint in _SIMPLE:
        return _types(_SIMPLE[hint])
    if origin in (types.UnionType, Union):
        return _one_of([_value(one, view, records) for one in inner])
    if is_dataclass(hint):
        return _reference(hint, view, records)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        values = _value(inner[1], view, records)
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    if origin is tuple and inner[-1] is not ...:
        first = [_value(one, view, records) for one in inner]
        return {"type": "array", "prefixItems": first, "items": False, "minItems": len(first)}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        items = _value(inner[0], view, records)
        return {"type": "array", **({"items": items} if items else {})}
    raise TypeError(f"JSON has no type for {hint}")


def _reference(kind: Any, view: View, records: dict[type, Schema]) -> Schema:
    if kind not in records:
        records[kind] = {}  # so that one that holds another of its own class comes to an end
        records[kind] = _record(kind, view, records)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _types(names: Sequence[str]) -> Schema:
    return {"type": names[0] if len(names) == 1 else list(names)}


def _one_of(schemas: Sequence[Schema]) -> Schema:
    """Any of several, in one list where types say it all."""
    if all(schema.keys() == {"type"} for schema in schemas):
        given = [[one] if isinstance(one := schema["type"], str) else one for schema in schemas]
        return _types(list(dict.fromkeys(name for names in given for name in names)))
    return {"anyOf": list(schemas)}


@cache
def _docstrings(kind: type) -> Mapping[str, str]:
    """Field -> the string below it, of a class and those that it is made from."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        found |= dict(_below_fields(one)) if is_dataclass(one) else {}
    return found


def _below_fields(kind: type) -> Iterator[tuple[str, str]]:
    (whole,) = ast.parse(dedent(inspect.getsource(kind))).body
    body = whole.body if isinstance(whole, ast.ClassDef) else []
    for line, following in pairwise(body):
        if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            yield line.target.id, str(following.value.value)


def _line(text: str) -> str:
    """A docstring on one line, in the words of JSON."""
    return re.sub(r"\bNone\b", "null", " ".join(text.split()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a schema, write all, or say which there are."""
    asked = argparse.ArgumentParser(prog="python -m gentickets.report.schemas", description="JSON Schemas of reports")
    asked.add_argument("name", nargs="?", choices=FILES, help="the file whose schema is printed")
    asked.add_argument("--out", type=Path, metavar="FOLDER", help="write all schemas into this folder")
    given = asked.parse_args(arguments)
    if given.out:
        print(*write_schemas(given.out), sep="\n")
    else:
        print(text_of(given.name) if given.name else "\n".join(FILES), end="" if given.name else "\n")


if __name__ == "__main__":
    main()
