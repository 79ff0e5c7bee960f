"""From a path, a shipped recipe's name or a text to a checked Recipe: all errors at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gentickets.errors import Status, TicketError, nearest
from gentickets.recipe.bounds import LARGEST, LONGEST, PROBLEMS
from gentickets.recipe.checks import OWN, check
from gentickets.recipe.families import FAMILIES, PluginKeywords
from gentickets.recipe.given import Overrides, as_overrides, as_toml
from gentickets.recipe.schema import Recipe
from gentickets.recipe.sections import OPTIONAL, SECTIONS, TaskChoice
from gentickets.recipe.shipped import recipe_text
from gentickets.recipe.source import Source, check_depth, read_source
from gentickets.recipe.training import USES, Train
from gentickets.recipe.words import Problem, listed, problems, quoted, refusal, shown

KNOWN = ("seed", "task", *SECTIONS)
LABELS = {
    "conditional",
    "cond",
    "labels",
    "label",
    "classes",
    "num_classes",
    "n_classes",
    "class_conditional",
}
OPTIMIZERS = {name for optimizers in USES.values() for name in optimizers}
Model = TypeVar("Model", bound=BaseModel)


def load_recipe(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    overrides: Overrides = (),
    plugins: Sequence[str | Path] = (),
    transfer: Mapping[str, Any] | None = None,
) -> Recipe:
    """The checked recipe of a path, of a bare name (a shipped one), or of a dict of sections; a `Recipe` as it is.

    ``overrides`` are ``{"section.key": value}``, or texts ``section.key=value``; ``transfer`` is laid over [transfer].
    With ``plugins`` the family, dataset and criterion may be theirs. Every error stands on a line of its own in one
    TicketError.

    Example:
        >>> load_recipe("tiny", overrides={"train.steps": 40}).train.steps
        40
    """
    laid = as_overrides(overrides)
    if isinstance(recipe, Recipe):
        if not laid and transfer is None:
            return recipe
        text, where, name = as_toml(recipe.resolved()), recipe.name, recipe.name
    elif isinstance(recipe, Mapping):
        text, where, name = as_toml(recipe), "recipe", "recipe"
    else:
        text, where, name = recipe_text(recipe)
    files = [Path(plugin) for plugin in plugins]
    return parse_recipe(text, name=name, where=where, overrides=laid, plugins=files, transfer=transfer)


def parse_recipe(
    text: str,
    *,
    name: str = "recipe",
    where: str | None = None,
    overrides: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    transfer: Mapping[str, Any] | None = None,
) -> Recipe:
    """The checked recipe in a TOML text; errors say ``where:line``."""
    source = read_source(text, where or f"{name}.toml", overrides)
    source.lay("transfer", transfer)
    _forget_settings(source)
    return _checked(source, text=text, name=name, plugins=bool(plugins))


def _forget_settings(source: Source) -> None:
    """Where ``--set`` chooses another optimizer, drop the file's settings that it does not have.

    Those that ``--set`` gives stay, and are refused where they mean nothing.
    """
    train = source.values.get("train")
    chosen = [path for path in source.overridden if path.startswith("train.") and path.endswith(".optimizer")]
    if not chosen or not isinstance(train, dict):
        return
    objectives = train.get("objectives", {})
    objectives = objectives if isinstance(objectives, dict) else {}
    own = {name: table for name, table in objectives.items() if isinstance(table, dict)}
    default = shown(train.get("optimizer", Train.model_fields["optimizer"].default)).strip("'")
    used = {name: {shown(table.get("optimizer", default)).strip("'")} for name, table in own.items()}
    if not OPTIMIZERS.issuperset({default}.union(*used.values())):
        return  # a misspelt one is refused later, and alone
    tables = [("train", train, {default}.union(*used.values()))]
    tables += [(f"train.objectives.{quoted(name)}", table, used[name]) for name, table in own.items()]
    for path, table, optimizers in tables:
        for key in [key for key in USES if key in table and optimizers.isdisjoint(USES[key])]:
            if f"{path}.{key}" in source.lines:  # stated by the file, and not laid over
                del table[key]


def recipe_from(resolved: Mapping[str, Any], *, name: str = "recipe", text: str = "", where: str = "") -> Recipe:
    """The recipe that `Recipe.resolved` told, as `run.json` holds it; plugin families are not questioned."""
    check_depth(Source(where or name, dict(resolved)))
    plain = {"seed": 0, **resolved}  # what says nothing of seeds was stored before they could follow from a claim
    return _checked(Source(where or name, _without_nones(plain)), text=text, name=name, plugins=True)


def stored_recipe(resolved: Mapping[str, Any], *, where: str, name: str = "recipe", text: str = "") -> Recipe:
    """The recipe in a stored file; TicketError (status 3), on one line with the file's name, where it is none."""
    try:
        return recipe_from(resolved, name=name, text=text, where=where)
    except TicketError as error:
        first, *others = str(error).splitlines()
        more = f" (and {len(others)} more)" if others else ""
        raise TicketError(f"{first}{more}: the recipe in this file is damaged", Status.TICKET) from error


def _checked(source: Source, *, text: str, name: str, plugins: bool) -> Recipe:
    found: list[Problem] = []
    for key in [key for key in source.values if key not in KNOWN][:PROBLEMS]:
        found.append(Problem(quoted(key), _unknown(key, "")))
    seed = source.values.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int | None) or not 0 <= (seed or 0) < 2**63:
        found.append(Problem("seed", refusal(seed, "a whole number of at least 0 and below 2**63")))
        seed = None
    task = _task(source, plugins, found)
    sections = {
        key: _section(model, key, source.values.get(key, {}), found)
        for key, model in SECTIONS.items()
        if key not in OPTIONAL or key in source.values
    }
    recipe = Recipe.model_validate({"seed": seed, "task": task, **sections})
    found += check(recipe, {problem.path for problem in found}, plugins=plugins)
    if found:
        found.sort(key=lambda problem: source.line(problem.path))
        lines = [source.at(*problem) for problem in found[:PROBLEMS]]
        lines += [f"{source.where}: and {len(found) - PROBLEMS} more"] if len(found) > PROBLEMS else []
        raise TicketError("\n".join(lines), Status.REQUEST)
    recipe._text, recipe._name = text, name
    return recipe


def _task(source: Source, plugins: bool, found: list[Problem]) -> TaskChoice:
    """[task]: the family's name chooses the model that its keywords are checked against."""
    table = source.values.get("task", {})
    if not isinstance(table, dict):
        found.append(Problem("task", refusal(table, "a section, [task]")))
        return TaskChoice(family="?", options=PluginKeywords())
    keywords = {key: value for key, value in table.items() if key != "family"}
    family = table.get("family")
    model = FAMILIES.get(family) if isinstance(family, str) else None
    if model is not None:
        return TaskChoice(family=str(family), options=_section(model, "task", keywords, found))
    if not isinstance(family, str) or not family.isprintable() or not 0 < len(family) <= LONGEST:
        names = listed(FAMILIES)
        wrong = f"is missing; must be {names}" if family is None else refusal(family, f"the name of a family: {names}")
        found.append(Problem("task.family", wrong))
        family = "?"
    elif not plugins:
        found.append(Problem("task.family", f"unknown family {shown(family)}. {nearest(family, FAMILIES)} {OWN}"))
    options = {}
    for key, value in keywords.items():
        if key in LABELS:
            found.append(Problem(f"task.{key}", _unknown(key, "task")))
        elif not key.isidentifier() or key.startswith(("_", "model_")):
            found.append(Problem(f"task.{quoted(key)}", "is no name of a keyword"))
        elif not _is_scalar(value):
            found.append(Problem(f"task.{key}", refusal(value, _scalars(value))))
        else:
            options[key] = value
    return TaskChoice(family=family, options=PluginKeywords.model_validate(options))


def _scalars(value: Any) -> str:
    """What a plugin's keyword may be."""
    if isinstance(value, str):
        return f"text of at most {LONGEST:,} characters"
    return f"a number within {LARGEST:g}" if isinstance(value, int | float) else "text, a number, true or false"


def _is_scalar(value: Any) -> bool:
    """Whether a plugin's keyword may have this value."""
    if isinstance(value, str):
        return len(value) <= LONGEST
    return isinstance(value, int | float) and -LARGEST <= value <= LARGEST


def _section(model: type[Model], key: str, table: Any, found: list[Problem]) -> Model:
    """A section as its model has it; wrong keys are noted, and stand-ins let the checks go on."""
    if not isinstance(table, dict):
        found.append(Problem(key, refusal(table, f"a section, [{key}]")))
        table = {}
    try:
        return model.model_validate(table)
    except ValidationError as error:
        found += problems(error, model, key, lambda name, known: _unknown(name, key, known))
        places = [one["loc"] for one in error.errors(include_url=False, include_input=False, include_context=False)]
    needed = {name: field.examples[0] for name, field in model.model_fields.items() if field.examples}
    try:
        return model.model_validate(needed | _without(table, places))
    except ValidationError:  # the key of a branch of a union looks like that of a table
        return model.model_validate(needed | _without(table, [place[:1] for place in places]))


def _without(table: dict[str, Any], places: Iterable[tuple[int | str, ...]]) -> dict[str, Any]:
    """A section without its wrong keys; of a table in it, only the wrong entries go."""
    sound = {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}
    for key, *rest in places:
        inner = sound.get(str(key))
        if rest and isinstance(inner, dict) and rest[0] in inner:
            inner.pop(rest[0])
        else:
            sound.pop(str(key), None)
    return sound


def _unknown(key: str, section: str, known: Iterable[str] = KNOWN) -> str:
    """What to say about a key that does not stand where it should."""
    if key in LABELS and section in ("", "task", "data"):
        return "conditional models are not supported; remove it: training here never sees labels"
    homes = [name for name, model in SECTIONS.items() if name != section and key in model.model_fields]
    families = [name for name, model in FAMILIES.items() if key in model.model_fields]
    if section == "task" and families:
        return f"unknown key; only family {' or '.join(map(repr, families))} has it"
    if homes or (families and section != "task"):
        return f"unknown key; it belongs in [{(homes or ['task'])[0]}]"
    return f"unknown {'key' if section else 'section or key'}. {nearest(key, known)}"


def _without_nones(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nones(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }
