"""Round: one training of a search, step by step, from the state that all rounds go back to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from gentickets.errors import TicketError
from gentickets.loops.replay import CHECKED, Stream, fingerprint
from gentickets.loops.states import Parts, random_state, set_random_state
from gentickets.masks import Mask

IDLE = 1000
"""Batches without an optimizer step after which a loop is taken for one that never steps."""


@dataclass
class Course:
    """What the rounds of a search share."""

    parts: Parts
    rewind_to: int
    total: int | None = None
    """Steps of every round, as the first one says."""
    start: dict[str, Any] = field(default_factory=dict)
    """The state after ``rewind_to`` dense steps, with the place in the loader and the random states."""
    prints: list[str] = field(default_factory=list)
    """Fingerprints of the dense round's batches after it."""
    differing: dict[int, int] = field(default_factory=dict)
    """Round -> the first of its batches that was not that of the dense round."""
    current: Round | None = None
    """The round under way."""


class Round:
    """One round of a `Search`: ``number`` (0 is the dense one), ``mask``, the ``step`` reached, and its metrics."""

    def __init__(
        self,
        course: Course,
        number: int,
        mask: Mask,
        finish: Callable[[], None],
        place: Mapping[str, Any] | None,
        random: Mapping[str, Any] | None,
    ) -> None:
        self.number, self.mask = number, mask
        self._course, self._finish = course, finish
        self.metrics: dict[str, float] = dict(place["metrics"]) if place and "metrics" in place else {}
        self.step = int(place["step"]) if place else 0
        self.seen = int(place["seen"]) if place else 0
        """Batches since the rewinding step."""
        self.stream: Stream | None = None
        self._place, self._random = place, random

    def __repr__(self) -> str:
        return f"Round({self.number}, {1 - self.mask.density:.1%} sparse, step {self.step:,} of {self._course.total})"

    @property
    def done(self) -> bool:
        """Whether all steps are made."""
        return self._course.total is not None and self.step >= self._course.total

    def steps(self, loader: Any, *, total: int) -> Iterator[tuple[int, Any]]:
        """(step, batch) until ``total`` optimizer steps were applied: from 0 in the dense round, else ``rewind_to``.

        ``loader``: a DataLoader, another iterable that can start again, or a function of the batch's number. Several
        batches have one number where gradients accumulate, or a step is skipped. Raises TicketError where another
        round had another ``total``, two steps were made of one batch, or none of 1,000.
        """
        self._agree(total)
        self._go_to(loader)
        idle = 0
        while self.step < total:
            before = self.step
            batch = self._next_batch()
            yield before, batch
            idle = 0 if self.step > before else idle + 1
            if idle >= IDLE:
                raise TicketError(f"{IDLE:,} batches without a step of the optimizer that Search counts (counted=...)")
            if self.step > before + 1:
                what = f"{self.step - before} optimizer steps were made of one batch"
                raise TicketError(f"{what}: count an optimizer that makes one (counted=...), or yield smaller batches")
        self._finish()  # now, before an evaluation puts other weights in their place

    def record(self, **metrics: Any) -> None:
        """Note metrics of the trained network, as numbers or tensors of one number; they stand in the table."""
        self.metrics |= {name: _number(value) for name, value in metrics.items()}

    def place(self) -> dict[str, Any]:
        """Where the round stands, for `Search.state_dict`."""
        stream = None if self.stream is None else self.stream.place()
        return {"step": self.step, "seen": self.seen, "stream": stream, "metrics": dict(self.metrics)}

    def _agree(self, total: int) -> None:
        course = self._course
        if course.current is not self:
            raise TicketError(f"round {self.number} is over")
        if total <= course.rewind_to:
            raise TicketError(f"total = {total} steps end before rewind_to = {course.rewind_to}")
        if course.total not in (None, total):
            raise TicketError(f"round {self.number} has total = {total}, but the first had {course.total}")
        course.total = total

    def _go_to(self, loader: Any) -> None:
        if self.stream is not None and self.stream.loader is loader:
            return  # a loop that was left, and goes on
        self.stream = Stream(loader, self._course.parts.devices())
        if self._place is not None and self._random is not None and self._place["stream"] is not None:
            self.stream.go_to(self._place["stream"])
            set_random_state(self._random)

    def _next_batch(self) -> Any:
        course = self._course
        if self.number == 0 and not course.start and self.step >= course.rewind_to:
            self.seen = 0
            drawn = random_state(course.parts.devices())
            course.start = {**course.parts.capture(), "place": {**self.place(), "metrics": {}}, "random": drawn}
        assert self.stream is not None
        batch = next(self.stream)
        if course.start:
            self._compare(batch)
        return batch

    def _compare(self, batch: Any) -> None:
        course, place = self._course, self.seen
        self.seen += 1
        if place >= CHECKED:
            return
        found = fingerprint(batch)
        if self.number == 0:
            course.prints.append(found)
        elif place < len(course.prints) and course.prints[place] != found:
            course.differing.setdefault(self.number, place)


def _number(value: Any) -> float:
    return float(value.detach() if isinstance(value, Tensor) else value)
