"""Arithmetic: how networks compute in a turn of training: in which precision, and by compiled code or not.

Compiled code and casts stand in a network only while a turn's loss and gradients are computed. Scores, figures,
FLOPs and copies of a task see the networks as they were written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from gentickets.errors import Status, TicketError, nearest
from gentickets.patches import Convolution, minding_maps
from gentickets.tasks import Task

PRECISIONS = ("fp32", "bf16")
BACKEND = "inductor"
"""What `torch.compile` makes code with."""
_NO_WAY_BACK = {"recompile_limit": 1000, "accumulated_recompile_limit": 1000, "fail_on_recompile_limit_hit": True}
"""Past 8 compilations, of all networks in a process, PyTorch would go on uncompiled, and bits would depend on them."""
_COMPILERS = ("torch._dynamo", "torch._inductor", "torch._functorch")
_WITHOUT = "run without --compile ([train] compile = false)"


class Arithmetic:
    """A task's precision and compiled code. With neither, a turn is plain PyTorch.

    ``bf16`` is autocast around the loss: networks multiply in bfloat16, while weights, gradients, optimizers,
    averages and masks stay float32, and so does what the components give to the loss. Compiled are the components in
    `Task.compiles`, each once; weights and masks change in place, so that no round of a search compiles anew.

    Raises TicketError for an unknown precision, and for one that the task's device does not have.
    """

    def __init__(self, task: Task, precision: str = "fp32", compile: bool = False) -> None:
        self.device = task.device.type
        self.precision = _checked(precision, self.device)
        self.forwards: list[tuple[nn.Module, Callable[..., Tensor]]] = []
        """Layers, and what they do in a turn instead of their own ``forward``."""
        if precision == "bf16":
            for part in task.children():
                if _widened not in part._forward_hooks.values():
                    part.register_forward_hook(_widened)
            if self.device == "cpu":
                layers = [layer for layer in task.modules() if isinstance(layer, Convolution)]
                self.forwards = [(layer, minding_maps(layer, compiled=compile)) for layer in layers]
        self.compiled: list[tuple[nn.Module, Any]] = []
        """Components, and the code that stands in for them in a turn."""
        if compile:
            self.compiled = [(part, _compiled(part)) for part in map(task.get_submodule, compilable(task))]

    def gradients(
        self, loss: Callable[[], Tensor], parameters: Sequence[nn.Parameter], others: Sequence[nn.Parameter] = ()
    ) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """A loss and its gradients, None where it does not depend on a parameter.

        ``others`` are parameters that the loss goes through and that nobody asks for the gradients of: compiled code
        would compute those all the same, unless told not to (Trap 35).
        """
        with self._code(others):
            with self._autocast():
                value = loss()
            return value, torch.autograd.grad(value, parameters, allow_unused=True)

    def _autocast(self) -> AbstractContextManager[object]:
        return nullcontext() if self.precision == "fp32" else self._lowered()

    @contextmanager
    def _lowered(self) -> Iterator[None]:
        try:
            for layer, forward in self.forwards:
                layer.forward = forward
            with torch.autocast(self.device, torch.bfloat16):
                yield
        finally:
            for layer, _ in self.forwards:
                layer.__dict__.pop("forward", None)

    def _code(self, others: Sequence[nn.Parameter]) -> AbstractContextManager[object]:
        return self._in_place(others) if self.compiled else nullcontext()

    @contextmanager
    def _in_place(self, others: Sequence[nn.Parameter]) -> Iterator[None]:
        """Compiled code in the components, and other parameters frozen."""
        frozen = [parameter for parameter in others if parameter.requires_grad]
        before = [(part, part._compiled_call_impl) for part, _ in self.compiled]
        try:
            for parameter in frozen:
                parameter.requires_grad_(False)
            for part, code in self.compiled:
                part._compiled_call_impl = code
            with torch._dynamo.config.patch(_NO_WAY_BACK):
                yield
        except Exception as error:
            if (told := _told(error)) is not None:
                raise told from error
            raise
        finally:
            for part, code in before:
                part._compiled_call_impl = code
            for parameter in frozen:
                parameter.requires_grad_(True)


def compilable(task: Task) -> list[str]:
    """The components that may be compiled: those in the task's ``compiles``."""
    for name in task.compiles:
        if name not in task.components:
            raise TicketError(f"no component '{name}' to compile. {nearest(name, task.components)}")
    return list(task.compiles)


def _checked(precision: str, device: str) -> str:
    if precision not in PRECISIONS:
        raise TicketError(f"unknown precision '{precision}'. {nearest(precision, PRECISIONS)}")
    works = device == "cpu" or (device == "cuda" and torch.cuda.is_bf16_supported())
    if precision == "bf16" and not works:
        raise TicketError(f"precision 'bf16' needs a CPU or a CUDA device that has it, not this {device}; use 'fp32'")
    return precision


def _widened(part: nn.Module, given: object, output: object) -> Tensor | None:
    """A component's output in float32, where losses are taken: means of few digits would be left with fewer."""
    return output.float() if isinstance(output, Tensor) and output.dtype == torch.bfloat16 else None


def _compiled(part: nn.Module) -> Any:
    """A component's code, to be compiled when it is first called; the component itself stays as it was."""
    before = part._compiled_call_impl
    try:
        part.compile(backend=BACKEND, dynamic=False)
        return part._compiled_call_impl
    except RuntimeError as error:  # a Python or a system that torch.compile does not know
        raise _failed(error) from error
    finally:
        part._compiled_call_impl = before


def _told(error: Exception) -> TicketError | None:
    """What compiling failed on, in a sentence; None for any other error."""
    if any(kind.__module__.startswith(_COMPILERS) for kind in type(error).__mro__):
        return _failed(error)
    if any(words in str(error) for words in ("double backward", "donated buffer")):
        why = "a loss that differentiates a compiled component twice; leave that component out of the task's 'compiles'"
        return TicketError(f"torch.compile failed on {why}, or {_WITHOUT}", Status.FAILED)
    return None


def _failed(error: Exception) -> TicketError:
    inner = getattr(error, "inner_exception", error)  # what the compiler itself said
    words = " ".join(next((line for line in str(inner).splitlines() if line.strip()), "").split())
    what = f"{type(inner).__name__}: {words}".rstrip(" :.")
    return TicketError(f"torch.compile failed: {what}; {_WITHOUT}", Status.FAILED)
