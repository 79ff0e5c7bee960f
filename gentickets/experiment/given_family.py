"""What a family of somebody's own gives is looked at when it is built, before anything rests on it."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gentickets.errors import TicketError
from gentickets.storage import LAZY, lazy_in
from gentickets.tasks import Batch, Task
from gentickets.untouched import untouched


def require_built(task: Task) -> None:
    """Raise TicketError for networks without numbers, and for a constructor that leaves out what all tasks have."""
    name = type(task).__name__
    if "_parameters" not in vars(task):
        raise TicketError(f"{name}.__init__ does not call super().__init__()")
    if not hasattr(task, "image"):
        raise TicketError(f"{name}.__init__ does not set self.image, the images' (channels, height, width)")
    if (lazy := lazy_in(task)) is not None:
        raise TicketError(f"{name}: '{lazy}' {LAZY}, in __init__")
    if empty := next((one for one, tensor in task.named_parameters() if tensor.is_meta), None):
        raise TicketError(f"{name}: '{empty}' is on the meta device and has no numbers")


def check_inputs(task: Task, batch: Batch) -> None:
    """Raise TicketError unless `Task.inputs`, where a family has it, gives tuples of arguments by component."""
    name = type(task).__name__
    if type(task).inputs is Task.inputs:
        return
    with torch.no_grad(), untouched(task, 0):
        given: object = task.inputs(batch)
    if not isinstance(given, Mapping):
        raise TicketError(f"{name}.inputs() returned {type(given).__name__}, not a dict of component -> arguments")
    known = dict(task.named_children())
    for component, arguments in given.items():
        if component not in known:
            raise TicketError(f"{name}.inputs() names {component!r}, which is no component: {', '.join(known)}")
        if not isinstance(arguments, tuple | list):
            what = type(arguments).__name__
            raise TicketError(f"{name}.inputs()['{component}'] is of type {what}; it must be a tuple of arguments")
