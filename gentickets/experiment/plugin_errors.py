"""Reports errors raised in a plugin with its file, line and method, and checks beforehand what a plugin gives."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gentickets.errors import Status, TicketError, memory_told
from gentickets.metrics import TABLE, averaged, check_floors, declare
from gentickets.recipe.of_claim import claim_floor, no_mean, without_floor

if TYPE_CHECKING:
    from gentickets.experiment.assembly import Assembly

_HERE = Path(__file__).resolve().parents[1]


def describe_error(error: BaseException, plugins: Sequence[Path]) -> str:
    """An unforeseen error in a line: ``my_models.py:12, in Flow.objectives: KeyError: 'x'`` where a plugin raised it.

    Where none of the plugins' code was running, the line of gentickets that failed is named instead.
    """
    what = memory_told(error) or " ".join(f"{type(error).__name__}: {error}".split())
    own = {plugin.resolve() for plugin in plugins}
    frames = list(traceback.walk_tb(error.__traceback__))
    for frame, line in reversed(frames):
        if Path(frame.f_code.co_filename).resolve() in own:
            return f"plugin {frame.f_code.co_filename}:{line}, in {frame.f_code.co_qualname}: {what}"
    for frame, line in reversed(frames):
        file = Path(frame.f_code.co_filename).resolve()
        if own and file.is_relative_to(_HERE):
            names = ", ".join(sorted(plugin.name for plugin in own))
            where = f"{file.relative_to(_HERE.parent)}:{line}"
            return f"{what} (at {where}, perhaps over what {names} gave; --debug shows the traceback)"
    return what


@contextmanager
def as_plugin_errors(plugins: Sequence[Path]) -> Iterator[None]:
    """Turn unforeseen errors inside into a TicketError (status 1) that names their source; without plugins none."""
    try:
        yield
    except (TicketError, OSError, MemoryError):
        raise
    except SystemExit as error:  # it would end the command, and with status 0 as if all were done
        raise TicketError(
            f"{describe_error(error, plugins)}: a plugin must not end the program", Status.FAILED
        ) from error
    except Exception as error:
        from gentickets.experiment.job import Stopped

        if not plugins or isinstance(error, Stopped):
            raise
        raise TicketError(describe_error(error, plugins), Status.FAILED) from error


def check_family(assembly: Assembly) -> None:
    """Raise TicketError unless a plugin's family gives what a run needs, found out on a throw-away network.

    Objectives with scalar losses over components that exist, figures of one value per image, and among them the
    claim's metric. Built-in families are not questioned.
    """
    import torch

    from gentickets.experiment.given_family import check_inputs
    from gentickets.seeds import derive
    from gentickets.tasks import FAMILIES
    from gentickets.untouched import untouched

    family = assembly.recipe.task.family
    if family in FAMILIES:
        return
    task = assembly.task(0)
    name = type(task).__name__
    batch = assembly.splits.train.batch(torch.arange(min(8, assembly.splits.train.n)))
    rng = torch.Generator(task.device).manual_seed(derive(0, "check"))
    for objective in _objectives(task, name):
        with torch.random.fork_rng([]):
            loss = objective.loss(batch, task.draw(len(batch), rng))
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise TicketError(f"{name}: the loss of '{objective.name}' returned {_shape(loss)}, not a scalar tensor")
        if not loss.requires_grad:
            raise TicketError(f"{name}: the loss of '{objective.name}' does not depend on any weight; is it detached?")
    check_inputs(task, batch)
    with torch.no_grad(), untouched(task, 0):
        figures = task.figures(batch, task.draw(len(batch), rng))
    _check_figures(figures, len(batch), name)
    for said, about in (("better", task.better), ("floor", task.floor)):
        if misnamed := set(about) - {*figures}:
            raise TicketError(f"{name}.{said} names '{min(misnamed)}', not among its figures: {', '.join(figures)}")
    check_floors(task.floor)
    declare(figures, task.better)
    measured = [*figures, *figures_of_images(assembly, task)]
    claim = assembly.recipe.claim
    if claim and claim.metric not in measured:
        how = "figures() declares one of your own, and better which way it is good"
        it_has = f"it has {', '.join(measured)}; {how}"
        raise TicketError(f"claim.metric '{claim.metric}' is no figure of {name}; {it_has}")
    if claim and claim.images == "sample" and not averaged(claim.metric):
        raise TicketError(f"claim.images: {no_mean(claim.metric)}")
    if claim and claim.unit == "share" and claim_floor(assembly.recipe, task.floor) is None:
        declared = f"or declare one in {name}: floor = {{'{claim.metric}': 'zero'}}"
        raise TicketError(f"claim.unit: {without_floor(assembly.recipe)}, {declared}")


def figures_of_images(assembly: Assembly, task: Any) -> list[str]:
    """The metrics that are computed from samples and reconstructions."""
    quality = assembly.recipe.quality
    if not quality.frechet:
        return []
    lacking = {ability for ability in ("sample", "reconstruct") if not task.can(ability)}
    lacking |= set() if quality.downstream else {"downstream"}
    return [row.name for row in TABLE if row.needs and not lacking.intersection(row.needs)]


def _objectives(task: Any, name: str) -> list[Any]:
    from gentickets.tasks import Objective

    given = task.objectives()
    if not isinstance(given, list | tuple) or not given:
        raise TicketError(f"{name}.objectives() returned {_shape(given)}, not a list of gentickets.tasks.Objective")
    for objective in given:
        if not isinstance(objective, Objective):
            what = _shape(objective)
            raise TicketError(f"{name}.objectives() returned {what} in its list, not gentickets.tasks.Objective")
        if isinstance(objective.trains, str):
            told = f"'{objective.trains}'"
            raise TicketError(f"{name}: objective '{objective.name}' trains {told}, a text; it must be ({told},)")
        task.trained_by(objective)
    names = [objective.name for objective in given]
    if len(set(names)) != len(names):
        raise TicketError(f"{name}.objectives() has two of one name: {', '.join(names)}")
    return list(given)


def _check_figures(figures: Any, n: int, name: str) -> None:
    import torch

    if not isinstance(figures, dict):
        raise TicketError(f"{name}.figures() returned {_shape(figures)}, not a dict of name -> tensor (n,)")
    for key, value in figures.items():
        if not isinstance(key, str) or not key.strip() or not key.isprintable():
            raise TicketError(f"{name}.figures() names a figure {key!r}: a name is text on one line")
        if isinstance(value, torch.Tensor) and value.is_complex():
            raise TicketError(f"{name}.figures()['{key}'] is complex; a figure is a real number")
        if not isinstance(value, torch.Tensor) or tuple(value.shape) != (n,):
            found = _shape(value)
            raise TicketError(f"{name}.figures()['{key}'] is {found}; it must be one value per image, shape ({n},)")


def _shape(value: object) -> str:
    import torch

    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if value is None:
        return "nothing"
    return f"an empty {type(value).__name__}" if value in ([], ()) else f"{type(value).__name__} {str(value)[:40]!r}"
