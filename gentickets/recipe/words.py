"""pydantic's errors in words: where, what is wrong, what would be right."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gentickets.errors import nearest
from gentickets.recipe.bounds import FAR, LARGEST, PROBLEMS

BARE = re.compile(r"[\w-]{1,60}")
"""Keys that need no quotes, or hardly."""


class Problem(NamedTuple):
    """Something wrong in a recipe: the key's path (``train.lr``) and a sentence about it."""

    path: str
    message: str


NAMES: dict[type, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def allowed(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """The values that an annotation allows: ``a number above 0 and below 1``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return allowed(args[0], [*args[1:], *metadata])
    if origin is Literal:
        return listed(args)
    if origin in (Union, types.UnionType):
        return " or ".join(allowed(arg) for arg in args if arg is not type(None))
    if origin is tuple:
        many = "a list" if args[-1] is Ellipsis else f"a list of {len(args)}"
        return f"{many}, each {allowed(args[0])}"
    if origin is dict:
        return "a table" if _is_model(args[1]) else f"a table, each value {allowed(args[1])}"
    limits = " and ".join(_limits(metadata))
    return f"{NAMES.get(annotation, 'a table')} {limits}".rstrip()


def listed(values: Iterable[Any]) -> str:
    """The values that are allowed: ``'a', 'b' or 'c'``."""
    return " or ".join(", ".join(map(shown, values)).rsplit(", ", 1))


def shown(value: Any) -> str:
    """A value as a recipe would have it, cut where it is long."""
    try:
        text = (
            str(value).lower() if isinstance(value, bool) else repr(list(value) if isinstance(value, tuple) else value)
        )
    except (ValueError, RecursionError):  # whole numbers of thousands of digits, lists within lists
        text = f"{NAMES.get(type(value), 'a value')} that is too large to show"
    return one_line(text, 60)


def one_line(text: str, most: int = 600) -> str:
    """Text as one line of printable characters, cut where it is long."""
    text = text[: most + 1]
    if not text.isprintable():
        text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def quoted(key: str) -> str:
    """A key as it stands in a path; one with odd characters is quoted, as in TOML."""
    return key if BARE.fullmatch(key) else one_line(json.dumps(key, ensure_ascii=False), 60)


def problems(
    error: ValidationError, model: type[BaseModel], section: str, unknown: Callable[[str, Iterable[str]], str]
) -> list[Problem]:
    """The errors of one section, one per key, in words; ``unknown`` words a key that it does not have."""
    found: dict[str, str] = {}
    for one in error.errors(include_url=False)[:PROBLEMS]:
        keys, field = _follow(model, one["loc"])
        path = ".".join([section, *keys]).lstrip(".")
        if one["type"] == "extra_forbidden":
            owner, key = _owner(model, one["loc"][:-1]), str(one["loc"][-1])
            inner = f"unknown key. {nearest(key, owner.model_fields)}"
            found[path] = inner if owner is not model else unknown(key, owner.model_fields)
        elif one["type"] == "missing" and one["loc"][-1] == keys[-1]:
            found[path] = f"is missing; must be {field}"
        else:
            found.setdefault(path, refusal(one["input"], _exceeded(one["type"], one.get("ctx", {})) or field))
    return [Problem(path, message) for path, message in found.items()]


def refusal(value: Any, right: str) -> str:
    """That a value is not allowed, what is, and the nearest name where names are."""
    names = right.split("'")[1::2]
    hint = did_you_mean(value, names) if isinstance(value, str) and len(names) > 1 else ""
    return f"{shown(value)} is not allowed; must be {right}{hint}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence (after a full stop) with the nearest of names that have been listed already; empty without one.

    A part of a name is near it: ``elbo`` is meant for ``negative_elbo``. Capitals do not count.
    """
    name = name.lower()
    whole = [one for one in known if len(name) > 2 and name in one]
    hint = f"Did you mean '{whole[0]}'?" if len(whole) == 1 else nearest(name, known)
    return f". {hint}" if "Did you mean" in hint else ""


def _exceeded(kind: str, limits: Mapping[str, Any]) -> str:
    """What is right where a bound that nobody comes near by meaning to was exceeded; else empty."""
    if kind == "less_than_equal" and limits["le"] >= FAR:
        return f"a number of at most {limits['le']:,}" if limits["le"] < LARGEST else f"at most {LARGEST:g}"
    if kind in ("too_long", "string_too_long"):
        return f"of at most {limits['max_length']:,} {'entries' if kind == 'too_long' else 'characters'}"
    return "text without control characters" if kind == "string_pattern_mismatch" else ""


def _limits(metadata: Iterable[Any]) -> Iterator[str]:
    """Bounds in words, out of pydantic's and annotated-types' metadata."""
    words = {"gt": "above {}", "ge": "of at least {}", "lt": "below {}", "le": "of at most {}"}
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _limits(item.metadata)
        for name, form in words.items():
            bound = getattr(item, name, None)
            if bound is not None and not (name == "le" and bound >= FAR):
                yield form.format(bound)
        if getattr(item, "min_length", None):
            yield "that is not empty"


def _follow(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[list[str], str]:
    """The keys of an error's location, and what is allowed there; branches of a union are no keys."""
    keys: list[str] = []
    annotation: Any = model
    metadata: list[Any] = []
    for part in loc:
        annotation, more = _bare(annotation)
        metadata = [*metadata, *more]
        args = get_args(annotation)
        if _is_model(annotation):
            field = annotation.model_fields.get(str(part))
            keys.append(quoted(str(part)))
            if field is None:
                break
            annotation, metadata = field.annotation, list(field.metadata)
        elif get_origin(annotation) is dict:
            keys.append(quoted(str(part)))
            annotation, metadata = args[1], []
        elif get_origin(annotation) is tuple and args[-1] is Ellipsis and isinstance(part, int):
            keys[-1] += f"[{part}]"
            annotation, metadata = args[0], []
        else:
            break
    return keys, allowed(annotation, metadata)


def _bare(annotation: Any) -> tuple[Any, list[Any]]:
    """An annotation without Annotated and without `| None`, and the metadata that it carried."""
    metadata: list[Any] = []
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            metadata += more
            continue
        some = [arg for arg in get_args(annotation) if arg is not type(None)]
        if get_origin(annotation) in (Union, types.UnionType) and len(some) == 1:
            annotation = some[0]
            continue
        return annotation, metadata


def _owner(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The model at a location, for the names that it knows."""
    annotation: Any = model
    for part in loc:
        annotation = _bare(annotation)[0]
        if _is_model(annotation):
            annotation = annotation.model_fields[str(part)].annotation
        elif get_args(annotation):
            annotation = get_args(annotation)[-1]
    annotation = _bare(annotation)[0]
    return annotation if _is_model(annotation) else model


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
