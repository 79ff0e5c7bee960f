"""Exports a ticket's trained network as files for use without gentickets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gentickets import __version__
from gentickets.actions.locate import ticket_at, untrained_message
from gentickets.actions.train_ticket import Environment, as_evaluated, networks_of, open_ticket
from gentickets.channels import without_dead
from gentickets.errors import Status, TicketError, nearest
from gentickets.experiment.assembly import Assembly
from gentickets.export import BATCH, Part, as_onnx, as_safetensors, check_packages, parts_of, plain, reader
from gentickets.export.parts import RECONSTRUCTOR, SAMPLER
from gentickets.files.belonging import TRAINED
from gentickets.runs.formats import read_snapshot
from gentickets.sparsity import share_to_say
from gentickets.tasks import Task
from gentickets.tickets import Ticket, weights_of

READER = "rebuild.py"


@dataclass(frozen=True)
class Exported:
    """Files by name with their bytes, what is in them, and what is not, with the reason."""

    files: Mapping[str, bytes]
    parts: Mapping[str, Part]
    """What the files offer, by name."""
    left_out: Mapping[str, str] = field(default_factory=dict)


def exported(
    path: Path,
    environment: Environment,
    *,
    form: str = "onnx",
    component: str | None = None,
    name: str | None = None,
    changes: Mapping[str, Any] | None = None,
    lean: bool = False,
) -> Exported:
    """The files of the trained network beside a ticket, with averaged weights where there are any.

    ``form`` is ``onnx`` (a file for each part, ``decoder.onnx``) or ``safetensors`` (``networks.safetensors``,
    ``networks.json`` and the reader). ``component`` asks for one part alone, ``name`` names the files otherwise.
    ``lean`` leaves out the units that the ticket's mask has cut off (see `gentickets.channels.without_dead`). All
    is compared with the task before it is handed out (see `gentickets.export`).

    Raises TicketError where there is no trained network, no such part, or a part that cannot be exported.
    """
    if form == "onnx":
        check_packages()
    ticket_path = ticket_at(path)
    ticket, assembly = open_ticket(ticket_path, environment, changes)
    trained = ticket_path.with_name(TRAINED)
    if not trained.is_file():
        raise TicketError(untrained_message(ticket_path, "export"))
    task = networks_of(ticket, assembly)
    snapshot, _, _ = read_snapshot(trained)
    with as_evaluated(assembly, ticket, task, snapshot):
        _check_pruned(ticket, task, trained)
        batch = assembly.splits.test.batch(torch.arange(BATCH) % assembly.splits.test.n)
        about = _about(ticket, assembly)
        if lean:
            task, _, channels = without_dead(task, ticket.mask, batch)
            about["units"] = f"{channels.kept} of {channels.total} kept, the others are cut off by the mask"
        task = plain(task)
    parts, left_out = parts_of(task, batch)
    if component is not None and component not in parts:
        known = left_out.get(component, nearest(component, parts))
        raise TicketError(f"--component {component}: there is none in this ticket's networks. {known}")
    if form == "onnx":
        return _onnx(parts, left_out, about, component, name)
    return _safetensors(task, parts, about, component, name or "networks")


def _onnx(
    parts: Mapping[str, Part],
    left_out: dict[str, str],
    about: Mapping[str, Any],
    component: str | None,
    name: str | None,
) -> Exported:
    told = {key: value if isinstance(value, str) else str(value) for key, value in about.items()}
    files: dict[str, bytes] = {}
    for part in parts.values() if component is None else [parts[component]]:
        try:
            files[f"{name or part.name}.onnx"] = as_onnx(part, told)
        except TicketError as error:
            if component is not None or part.name not in (SAMPLER, RECONSTRUCTOR):
                raise
            left_out[part.name] = str(error)
    offered = {part: parts[part] for part in parts if part not in left_out and component in (None, part)}
    return Exported(files, offered, {} if component else left_out)


def _safetensors(
    task: Task, parts: Mapping[str, Part], about: Mapping[str, Any], component: str | None, name: str
) -> Exported:
    if component in (SAMPLER, RECONSTRUCTOR) and component not in task.components:
        message = f"--component {component} is made of several networks; leave it out, and the files offer it too"
        raise TicketError(f"{message} (or use --format onnx)")
    data, description, left_out = as_safetensors(task, parts, about, component)
    files = {
        f"{name}.safetensors": data,
        READER: reader(),
        f"{name}.json": description,
    }  # the one that names the others last
    offered = {part: parts[part] for part in parts if part not in left_out and component in (None, part)}
    return Exported(files, offered, left_out)


def _check_pruned(ticket: Ticket, task: Task, trained: Path) -> None:
    """Raise TicketError (status 3) unless what the ticket prunes is zero in the network that it grew into."""
    state = task.state_dict()
    for name, kept in ticket.mask.items():
        if state[name][~kept.to(state[name].device)].any():
            message = (
                f"{trained} is not what the ticket beside it grew into: '{name}' has weights that are pruned there"
            )
            raise TicketError(message, Status.TICKET)


def _about(ticket: Ticket, assembly: Assembly) -> dict[str, Any]:
    """What is true of the file wherever it is: no paths, no times, no machines."""
    origin = ticket.origin
    about = {
        "gentickets": __version__,
        "family": assembly.recipe.task.family,
        "image": list(assembly.image),
        "origin": f"{origin.method}, arm {origin.arm}, round {origin.round}, seed {origin.seed}",
        "sparsity": round(1 - (ticket.channels or ticket.mask).density, 6),
    }
    if (share := share_to_say(weights_of(ticket, assembly.task(origin.seed)))) is not None:
        about["sparsity of all parameters"] = round(share, 6)
    if ticket.channels is not None:
        about["channels"] = f"{ticket.channels.kept} of {ticket.channels.total} kept"
    return about
