"""Decides which unit is handed out next. Torch-free."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from heapq import heappop, heappush

from gentickets.experiment.plan import Key, Unit


class UnitQueue:
    """Units in the order of their needs; of those whose needs are done the one with the most work behind it first.

    Behind a unit are the steps of those that need it, and a ticket's own steps twice, so that searches go before
    controls. What is equal goes in the order of the plan. A unit whose needs never get done is never handed out.
    """

    def __init__(self, units: Sequence[Unit], done: set[Key]) -> None:
        self.units = [unit for unit in units if unit.key not in done]
        self.done = set(done)
        self._open: dict[Key, int] = {}
        self._waiting_for: dict[Key, list[int]] = defaultdict(list)
        behind: dict[Key, int] = defaultdict(int)
        for place, unit in enumerate(self.units):
            needs = set(unit.needs) - self.done
            self._open[unit.key] = len(needs)
            for need in needs:
                self._waiting_for[need].append(place)
                behind[need] += unit.steps
        self._rank = [
            (-behind[unit.key] - (2 * unit.steps if unit.arm == "ticket" else 0), -unit.steps, place)
            for place, unit in enumerate(self.units)
        ]
        self._places = {unit.key: place for place, unit in enumerate(self.units)}
        self._ready: list[tuple[int, int, int]] = []
        self.waiting = len(self.units)
        """Units that are not handed out, ready or not."""
        for unit in self.units:
            if not self._open[unit.key]:
                self._make_ready(unit)

    def __bool__(self) -> bool:
        """Whether a unit can be handed out now."""
        return bool(self._ready)

    def next(self) -> Unit | None:
        """Hand out a unit; None where none is ready."""
        if not self._ready:
            return None
        self.waiting -= 1
        return self.units[heappop(self._ready)[2]]

    def put_back(self, unit: Unit) -> None:
        """Take a unit back that was handed out, to be handed out again."""
        self.waiting += 1
        self._make_ready(unit)

    def _make_ready(self, unit: Unit) -> None:
        heappush(self._ready, self._rank[self._places[unit.key]])

    def finish(self, key: Key) -> None:
        """Take note that a unit is done: those that waited for it alone become ready."""
        if key in self.done:
            return
        self.done.add(key)
        for place in self._waiting_for.pop(key, ()):
            unit = self.units[place]
            self._open[unit.key] -= 1
            if not self._open[unit.key]:
                self._make_ready(unit)
