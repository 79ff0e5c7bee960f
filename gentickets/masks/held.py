"""Held: the weights of a module that stay pruned, whoever changes, replaces, loads or copies them.

After a step of any optimizer, what it trains is masked (`gentickets.masks.stepping`). Before a forward pass of the
module, or of a part of it, tensors that are not those of the last time, or have been written to since, are masked
again: identity, address and autograd's version counter are compared, which waits for no device.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gentickets.errors import Status, TicketError, nearest

from . import stepping
from .entry import HeldWeight, local, memory, twins

Link = tuple[nn.Module, str, nn.Module]
"""A module, and its part of some name."""


class Held:
    """A mask over the parameters of a module, found by name again whenever the module has changed.

    ``places``: name in ``root.named_parameters(remove_duplicate=False)`` -> bool mask, tied ones under each name. A
    deep copy of the module has a Held of its own, which finds its weights when it is first asked.
    """

    def __init__(self, places: Mapping[str, Tensor], root: nn.Module, *, gradients: bool = False) -> None:
        self.places, self.root, self.gradients = dict(places), root, gradients
        self.released: set[str] = set()
        """Names that are no longer held."""
        self._start()

    def _start(self) -> None:
        self.entries: list[HeldWeight] = []
        self.own: WeakSet[Optimizer] = WeakSet()
        """Optimizers with a hook of their own for this Held."""
        self.hooks: list[Before] = []
        self.claims: dict[int, set[str]] = {}
        """Names by who holds them; those of nobody are held as long as anybody holds something."""
        self._bound = self._missing = False
        self._below: dict[str, list[HeldWeight]] = {}
        self._links: dict[str, list[Link]] = {}
        self._plans: WeakKeyDictionary[Optimizer, tuple[list[int], list[HeldWeight]]] = WeakKeyDictionary()
        stepping.enter(self)

    def __getstate__(self) -> dict[str, object]:
        """What a pickle holds: all else is found again."""
        return {key: vars(self)[key] for key in ("places", "root", "gradients", "released")}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._start()

    def under(self, path: str, root: nn.Module) -> Held:
        """The same for a copy of the part with that path."""
        start = f"{path}." if path else ""
        inside = {name.removeprefix(start): kept for name, kept in self.places.items() if name.startswith(start)}
        copy = Held(inside, root, gradients=self.gradients)
        copy.released = {name.removeprefix(start) for name in self.released if name.startswith(start)}
        return copy

    def check(self, path: str = "") -> None:
        """Mask what has changed below a path of the module; TicketError (status 3) for a weight that is gone."""
        if self._missing or self._stale(path):
            self.bind()
        self._mask(entry for entry in self._below.get(path, ()) if entry.moved())

    def after(self, optimizer: Optimizer) -> None:
        """Mask what an optimizer has just stepped."""
        self._mask(self._trained(optimizer))

    def before(self, optimizer: Optimizer) -> None:
        """Take the gradients of pruned weights from an optimizer that mixes entries, from now on."""
        if not stepping.elementwise(optimizer) and (trained := self._trained(optimizer)):
            self.mask_gradients()
            for entry in trained:
                entry.mask_gradient()

    def mask_gradients(self) -> None:
        """Zero the gradients of pruned weights from now on, as soon as they are there."""
        self.gradients = True
        for entry in self.entries:
            entry.watch_gradient()

    def trained_by(self, optimizer: Optimizer) -> set[str]:
        """The held names whose memory an optimizer trains."""
        return {entry.name for entry in self._trained(optimizer)}

    def alive(self) -> int:
        """Pruned weights that are not zero."""
        if self._missing or self._stale(""):
            self.bind()
        return sum(entry.alive() for entry in self.entries if entry.source is None)

    def note(self) -> None:
        """Take the weights as they are for masked."""
        for entry in self.entries:
            entry.note()

    def claim(self, who: int, names: Iterable[str]) -> None:
        """Hold these names for somebody, until `disclaim`."""
        self.claims[who] = set(names)
        self.released -= self.claims[who]

    def disclaim(self, who: int) -> None:
        """Let go what nobody else holds."""
        names = self.claims.pop(who, set())
        others = set[str]().union(*self.claims.values())
        self.release(names - others if self.claims else self.places)

    def release(self, names: Iterable[str]) -> None:
        """Hold these names no longer; where none is left, nothing watches any more."""
        self.released |= set(names)
        if self.released >= set(self.places):
            for hook in self.hooks:
                hook.remove()
            self.hooks = []
            stepping.leave(self)
        self.bind(strict=False)

    def bind(self, strict: bool = True) -> None:
        """Find every weight again, and watch the modules on the way to it."""
        known = {(id(entry.owner), entry.key, id(entry.weight)): entry for entry in self.entries}
        found = list(self._found(strict))
        self._bound, self._missing = True, len(found) < len(self.places) - len(self.released)
        found = [known.get((id(new.owner), new.key, id(new.weight)), new) for new in found]
        first: dict[Hashable, HeldWeight] = {}
        for entry in found:
            source = first.setdefault(memory(entry.weight), entry)
            entry.source = None if source is entry else source
        for entry in self.entries:
            entry.let_go()
        self.entries = [*found, *twins(self.root, found)]
        self._plans.clear()
        self._watch()
        if self.gradients:
            self.mask_gradients()

    def _found(self, strict: bool) -> Iterator[HeldWeight]:
        for name, kept in self.places.items():
            path, _, key = name.rpartition(".")
            owner = _part(self.root, path)
            weight = None if owner is None else owner._parameters.get(key)
            fits = weight is not None and weight.shape == kept.shape
            if owner is not None and weight is not None and fits and name not in self.released:
                yield HeldWeight(name, owner, key, weight, kept)
            elif strict and not fits and name not in self.released:
                raise self._gone(name, weight)

    def _gone(self, name: str, weight: Tensor | None) -> TicketError:
        has = "no longer has" if weight is None else f"has another shape, {tuple(weight.shape)}, of"
        message = f"the module {has} '{name}', which a mask holds: call remove() on what hold() gave back"
        close = nearest(name, dict(self.root.named_parameters()))
        return TicketError(f"{message} (on a copy: masks.unhold), and hold it anew. {close}", Status.TICKET)

    def _watch(self) -> None:
        """Note what lies below each module on the way to a weight, and hang a hook on those that have none."""
        self._below, self._links = {}, {}
        watched = {id(hook.module) for hook in self.hooks}
        for entry in self.entries:
            part, path, links = self.root, "", list[Link]()
            places = [(part, path)]
            for key in entry.name.split(".")[:-1]:
                child = part._modules[key]
                assert child is not None
                links.append((part, key, child))
                part, path = child, f"{path}.{key}".lstrip(".")
                places.append((part, path))
            for module, path in places:
                if "parametrizations" in path.split("."):
                    break  # the layer's own hook comes before
                self._below.setdefault(path, []).append(entry)
                self._links.setdefault(path, []).extend(links)
                if id(module) not in watched:
                    watched.add(id(module))
                    self.hooks.append(Before(self, path, module).put())
        self._links = {path: list(dict.fromkeys(links)) for path, links in self._links.items()}

    def _stale(self, path: str) -> bool:
        """Whether another module or parameter stands in the place of a known one."""
        if not self._bound or any(
            parent._modules.get(key) is not child for parent, key, child in self._links.get(path, ())
        ):
            return True
        return any(entry.replaced() for entry in self._below.get(path, ()))

    def _trained(self, optimizer: Optimizer) -> list[HeldWeight]:
        if self._stale(""):
            self.bind(strict=False)
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        ids = [id(parameter) for parameter in parameters]
        plan = self._plans.get(optimizer)
        if plan is None or plan[0] != ids:
            trained = {memory(parameter) for parameter in parameters}
            own = [entry for entry in self.entries if memory(entry.weight) in trained]
            plan = self._plans[optimizer] = ids, own
        return plan[1]

    def _mask(self, entries: Iterable[HeldWeight]) -> None:
        sources = {id(source): source for entry in entries for source in [entry.source or entry]}
        if sources:
            with torch.no_grad():
                torch._foreach_mul_(
                    [local(one.weight) if one.sharded else one.weight for one in sources.values()],
                    [entry.numbers for entry in sources.values()],
                )
            for entry in self.entries:
                if id(entry.source or entry) in sources:
                    entry.note()


class Before:
    """A hook before a module's forward pass, before its state is taken, and after it has loaded one: it masks."""

    only_masks = True
    """It makes no weight (see `gentickets.effective`)."""

    def __init__(self, held: Held, path: str, module: nn.Module) -> None:
        self.held, self.path, self.module = held, path, module
        if not _APART:  # it loads torch's compiler, which the first optimizer has loaded already
            _APART.append(torch.compiler.disable(Held.check))  # type: ignore[no-untyped-call]

    def put(self) -> Before:
        """Hang the hook on its module, before others that make a weight."""
        self.module.register_forward_pre_hook(self, prepend=True)
        self.module.register_load_state_dict_post_hook(self)  # type: ignore[no-untyped-call]
        self.module.register_state_dict_pre_hook(self)  # type: ignore[no-untyped-call]
        return self

    def remove(self) -> None:
        """Take the hook off."""
        module = self.module
        tables: list[Any] = [
            module._forward_pre_hooks, module._load_state_dict_post_hooks, module._state_dict_pre_hooks
        ]  # fmt: skip
        for table in tables:
            for key in [key for key, hook in table.items() if hook is self]:
                del table[key]

    def __call__(self, module: nn.Module, *_: Any) -> None:
        """Mask what has changed. Compiled code asks once, before its first operation."""
        if torch.compiler.is_compiling():
            if not self.path and not torch.compiler.is_exporting():
                _APART[0](self.held)
        elif module is self.module:  # and no replica that shares its hooks
            self.held.check(self.path)

    def __deepcopy__(self, memo: dict[int, Any]) -> Before:
        """A hook of the copied module, for a Held that all hooks of the copy share."""
        module = memo.get(id(self.module))
        if module is None:  # the hook alone is copied
            return self
        if id(self.held) not in memo:
            memo[id(self.held)] = self.held.under(self.path, module)
            memo[id(self.held), "path"] = self.path  # type: ignore[index]
        held, top = memo[id(self.held)], memo[id(self.held), "path"]  # type: ignore[index]
        copy = Before(held, self.path.removeprefix(top).lstrip("."), module)
        held.hooks.append(copy)
        return copy


_APART: list[Callable[[Held], None]] = []


def unhold(module: nn.Module) -> None:
    """Take every hold off a module and its parts, as on a copy that shall go its own way."""
    held = {id(hook.held): hook.held for part in module.modules() for hook in holds_on(part)}
    for one in held.values():
        one.release(one.places)


def holds_on(module: nn.Module) -> list[Before]:
    """The hooks of holds on one module."""
    return [hook for hook in module._forward_pre_hooks.values() if isinstance(hook, Before)]


def _part(root: nn.Module, path: str) -> nn.Module | None:
    for key in filter(None, path.split(".")):
        child = root._modules.get(key)
        if child is None:
            return None
        root = child
    return root
