"""What one section of a recipe alone cannot know: checks over the whole recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set

from gentickets import metrics
from gentickets.datasets import DATASETS
from gentickets.errors import nearest
from gentickets.recipe import of_claim, of_search, of_transfer, of_verdict
from gentickets.recipe.families import FAMILIES
from gentickets.recipe.schema import Recipe
from gentickets.recipe.sections import STOPPING
from gentickets.recipe.words import Problem, did_you_mean, listed, refusal, shown
from gentickets.scoring import SCORINGS

Check = Callable[[Recipe], Iterator[Problem]]
OWN = "One of your own comes with --plugin my_models.py"


def check(recipe: Recipe, wrong: Set[str], *, plugins: bool) -> list[Problem]:
    """Every problem between the sections; checks that need a key in ``wrong`` say nothing.

    With ``plugins``, datasets and criteria may be theirs.
    """
    bad = {path.split("[", 1)[0] for path in wrong}

    def reads_wrong(key: str) -> bool:
        return any(path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.") for path in bad)

    sound = (one for keys, one in CHECKS if not any(reads_wrong(key) for key in keys))
    return [*([] if plugins else _names(recipe)), *(problem for one in sound for problem in one(recipe))]


def _names(recipe: Recipe) -> Iterator[Problem]:
    named = (
        ("data.name", recipe.data.name, DATASETS),
        ("search.criterion", recipe.search.criterion, SCORINGS),
    )
    for path, name, known in named:
        if name not in known:
            refused = refusal(name, listed(known))
            yield Problem(path, f"{refused}{'' if refused.endswith('?') else '.'} {OWN}")


def _task(recipe: Recipe) -> Iterator[Problem]:
    for name, needed in recipe.task.options.misplaced():
        yield Problem(f"task.{name}", f"means nothing without {needed}; remove it")


def _folder(recipe: Recipe) -> Iterator[Problem]:
    if recipe.data.name == "folder" and recipe.data.folder is None:
        yield Problem("data.folder", "is missing; name = 'folder' needs the path of a folder of images")
    if recipe.data.name != "folder" and recipe.data.folder is not None:
        yield Problem("data.folder", f"is read only with name = 'folder', not '{recipe.data.name}'; remove it")


def _warmup(recipe: Recipe) -> Iterator[Problem]:
    if recipe.train.warmup >= recipe.train.steps:
        yield Problem("train.warmup", f"{recipe.train.warmup} is not below train.steps = {recipe.train.steps}")


def _optimizers(recipe: Recipe) -> Iterator[Problem]:
    for key, optimizers in recipe.train.unused():
        yield Problem(f"train.{key}", f"{optimizers} has no {key.rpartition('.')[2]}; remove it")


def _components(recipe: Recipe) -> Iterator[Problem]:
    known = recipe.task.options.components
    named = [(f"train.ema.{name}", name) for name in recipe.train.ema]
    named += [(f"search.prune[{i}]", name) for i, name in enumerate(recipe.search.prune)]
    for path, name in named:
        if known and name not in known:
            yield Problem(path, f"family '{recipe.task.family}' has no component '{name}'. {nearest(name, known)}")


def _objectives(recipe: Recipe) -> Iterator[Problem]:
    known = recipe.task.options.objectives
    for name in recipe.train.objectives:
        if known and name not in known:
            sentence = f"family '{recipe.task.family}' has no objective '{name}'. {nearest(name, known)}"
            yield Problem(f"train.objectives.{name}", sentence)


def _rewinding(recipe: Recipe) -> Iterator[Problem]:
    if recipe.search.rewind_to >= recipe.train.steps:
        message = f"{recipe.search.rewind_to} is not below train.steps = {recipe.train.steps}"
        yield Problem("search.rewind_to", message)


def _checkpoints(recipe: Recipe) -> Iterator[Problem]:
    if (last := recipe.quality.checkpoints) > (steps := recipe.train.steps - recipe.search.rewind_to) > 0:
        yield Problem("quality.checkpoints", f"{last} is more than the {steps} steps from search.rewind_to on")


def _quality(recipe: Recipe) -> Iterator[Problem]:
    quality = recipe.quality
    if quality.inception is not None and quality.features != "inception":
        yield Problem("quality.inception", "is read only with quality.features = 'inception'; remove it")
    for key in STOPPING:
        if key in quality.model_fields_set and not quality.curve:
            yield Problem(f"quality.{key}", "means nothing without quality.curve; add it, as curve = 20")
    if not quality.frechet:
        for key in ("figures", "features", "downstream"):
            if getattr(quality, key) != type(quality).model_fields[key].default:
                yield Problem(f"quality.{key}", "is not measured with quality.frechet = false; remove one of the two")


def _repeats(recipe: Recipe) -> Iterator[Problem]:
    search = recipe.search
    for key, names in (
        ("controls", search.controls),
        ("control_rounds", search.control_rounds),
        ("prune", search.prune),
        ("exempt", search.exempt),
        ("only_rounds", search.only_rounds),
        ("widths", search.widths),
    ):
        yield from _twice(f"search.{key}", names)
    yield from _twice("quality.figures", recipe.quality.figures)
    if recipe.transfer is not None:
        yield from _twice("transfer.rounds", recipe.transfer.rounds)
        yield from _twice("transfer.controls", recipe.transfer.controls)


def _twice(path: str, names: tuple[object, ...] | None) -> Iterator[Problem]:
    for name in sorted({name for name in names or () if (names or ()).count(name) > 1}, key=str):
        yield Problem(path, f"{name!r} stands there twice")


def _level(recipe: Recipe) -> Iterator[Problem]:
    if recipe.claim is None or isinstance(recipe.claim.level, str) or not recipe.prunes:
        return
    level, rounds = recipe.claim.level, recipe.rounds
    if (found := recipe.claim_round) is None:
        near = sorted(rounds, key=lambda one: abs(recipe.sparsity(one) - level))[:3]
        reachable = ", ".join(f"{recipe.sparsity(one):.3f} (round {one})" for one in sorted(near))
        told = f"keep = {recipe.search.keep}, rounds = {recipe.search.rounds}"
        told += f", only_rounds = {shown(recipe.search.only_rounds)}" if recipe.search.only_rounds else ""
        message = f"{level} is the sparsity of no round ({told})"
        yield Problem("claim.level", f"{message}; near it: {reachable}")
    elif recipe.search.controls and found not in recipe.control_rounds:
        yield Problem("search.control_rounds", f"{recipe.control_rounds} lacks round {found}, which the claim is about")


def _metric(recipe: Recipe) -> Iterator[Problem]:
    if recipe.claim is None:
        return
    family, metric, known = recipe.task.family, recipe.claim.metric, recipe.task.options.metrics
    row = metrics.known(metric)
    if known and metric not in known:
        own = f"family '{family}' can claim {listed(known)}"
        elsewhere = any(metric in other.metrics for other in FAMILIES.values())
        if row is not None and row.silent:
            yield Problem("claim.metric", f"'{metric}' alone says nothing of quality, {row.silent}; {own}")
        else:
            hint = "" if elsewhere else did_you_mean(metric, known)
            yield Problem("claim.metric", f"'{metric}' is no metric here; {own}{hint}")
    elif row is None:
        return
    elif "inception" in row.needs and recipe.quality.features != "inception":
        message = f"'{metric}' is the Frechet distance in Inception's features; add quality.features = 'inception'"
        yield Problem("claim.metric", f"{message}, or claim '{row.alias_of}'")
    elif row.compares and not recipe.quality.frechet:
        yield Problem("claim.metric", f"'{metric}' is not measured with quality.frechet = false")
    elif (figures := recipe.quality.figures) is not None and row.compares:
        needed = row.alias_of or metric
        if needed not in figures:
            message = f"'{metric}' is not measured, as '{needed}' is not among quality.figures; add it there"
            yield Problem("claim.metric", message)
    elif "downstream" in row.needs and not recipe.quality.downstream:
        yield Problem("claim.metric", f"'{metric}' is measured only with quality.downstream = true")


CHECKS: tuple[tuple[tuple[str, ...], Check], ...] = (
    (("task",), _task),
    (("data.name", "data.folder"), _folder),
    (("train.steps", "train.warmup"), _warmup),
    (("train",), _optimizers),
    (("task.family",), _components),
    (("task.family",), _objectives),
    (("train.steps", "search.rewind_to"), _rewinding),
    (("task", "search.method", "search.rounds", "search.only_rounds", "search.widths"), of_search.method),
    (("search", "train.steps"), of_search.early_bird),
    (("search",), of_search.cells),
    (("task", "search.criterion"), of_search.criterion),
    (("search.prune", "search.other"), of_search.other),
    (("quality",), _quality),
    (("train.steps", "search.rewind_to", "quality.checkpoints"), _checkpoints),
    ((), _repeats),
    (("search.rounds",), of_search.control_rounds),
    (("claim", "search.method", "search.rounds", "search.keep", "search.controls", "search.control_rounds"), _level),
    (("claim", "search.longer"), of_search.longer),
    (("claim", "search.rewind", "search.controls", "train.schedule"), of_search.rewind),
    (("task.family", "claim.metric", "quality"), _metric),
    (("task", "claim"), of_claim.unit),
    (("claim", "search"), of_claim.controls),
    (("claim",), of_claim.images),
    (("transfer", "search"), of_transfer.what_moves),
    (("transfer", "search"), of_transfer.levels),
    (("transfer.routes", "task.family", "search.prune"), of_transfer.routes),
    (("claim", "search"), of_verdict.sparsities),
    (("verdict", "claim", "search", "train.steps"), of_verdict.arms),
)
"""The keys whose stand-ins would mislead a check, and the check."""
