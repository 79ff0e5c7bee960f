"""What a part is: a promise, how often it is tried, and one try of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from promises.cases import Case, cases, content, write_recipes
from promises.commands import forked

SOURCE = "vae"
"""The case whose run the transfer starts from."""


@dataclass
class World:
    """Where a part works: a folder of its own, with the suite's recipes and the runs that nobody interrupted."""

    folder: Path
    broken: str | None = None
    """The guard that is patched away; none: the product as it is."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What a part keeps from one try to the next."""

    @cached_property
    def cases(self) -> list[Case]:
        """Every case; their recipes are written."""
        write_recipes(self.folder / "recipes")
        return cases(self.folder / "recipes", self.source)

    @property
    def source(self) -> Path:
        """The run that the transfer starts from."""
        return self.folder / "whole" / SOURCE

    def case(self, number: int) -> Case:
        """The case of a try: each in turn."""
        return self.cases[number % len(self.cases)]

    def named(self, name: str) -> Case:
        """A case by its name."""
        return next(case for case in self.cases if case.name == name)

    def whole(self, case: Case) -> dict[str, str]:
        """The content that the case's run ends with, when nothing happens to it."""
        if case.name not in self.kept.setdefault("whole", {}):
            if case.name == "transfer":
                self.whole(self.named(SOURCE))
            out = self.folder / "whole" / case.name
            if not (out / "report.html").exists():
                ended = forked(case.command(out), self.folder)
                assert ended.status in (0, 7), f"{case.name} by itself ends with {ended.status}: {ended.stderr}"
            self.kept["whole"][case.name] = content(out)
        return dict(self.kept["whole"][case.name])

    def scratch(self, number: int) -> Path:
        """An empty folder for one try."""
        import shutil

        path = self.folder / f"try-{number}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path


@dataclass(frozen=True)
class Part:
    """One promise."""

    name: str
    promise: str
    """A sentence that is true as often as the part holds."""
    tries: int
    short: int
    """Tries of the short form."""
    attempt: Callable[[World, int], str | None]
    """One try by number: None where the promise held, else what happened."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Negative controls: a guard's name in `promises.broken`, and what it takes away."""
    batch: int = 1
    """Tries that one call of ``attempt`` makes, where one alone would be too short to book."""
    chain: int = 1
    """Consecutive tries that build on each other, and so are made by one process in order."""
    prepare: Callable[[World], object] = lambda world: None
    """What all tries share, made once beforehand."""


def whole_runs(world: World) -> None:
    """Make the runs that nothing happens to."""
    for case in world.cases:
        world.whole(case)
