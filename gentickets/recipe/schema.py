"""A whole recipe: its sections, and what follows from them together; torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import PrivateAttr

from gentickets.definitions import TOLERANCES
from gentickets.methods import METHODS, Method
from gentickets.recipe.sections import CHECKS, CONTROLS_OF_MOVES, OPTIONAL, STOPPING, Sections
from gentickets.recipe.training import USES
from gentickets.scoring import SCORINGS

LEVEL_TOLERANCE = 0.001
"""How far a declared sparsity may be from its round's."""


class Recipe(Sections):
    """A whole recipe. Made by `load_recipe`, which checks what one section alone cannot know."""

    _text: str = PrivateAttr("")
    _name: str = PrivateAttr("")
    _stored: Mapping[str, Any] | None = PrivateAttr(None)
    _claimed: Mapping[str, Any] = PrivateAttr({})
    _explores: bool = PrivateAttr(False)

    def __repr__(self) -> str:
        size = f"{self.search.seeds} seeds of {self.train.steps} steps"
        return f"Recipe({self.name!r}: {self.task.family} on {self.data.name}, {self.search.method}, {size})"

    __str__ = __repr__

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Recipe:
        """A copy, with other sections where told; what the original was read from is not what the copy says."""
        copy = super().model_copy(update=update, deep=deep)
        copy._stored = None
        return copy

    @property
    def stored(self) -> Mapping[str, Any]:
        """The plain values that `read_recipe` found in a file, as they stand there; else what `resolved` gives.

        Whatever is hashed or written again is taken from here, so that a file of an earlier version keeps its bytes.
        """
        return self.resolved() if self._stored is None else self._stored

    @property
    def image(self) -> tuple[int, int, int] | None:
        """(channels, height, width) of the images that a stored ticket was found on; None where no ticket says so."""
        channels, height, width = (self._stored or {}).get("image") or (0, 0, 0)
        return (channels, height, width) if channels else None

    @property
    def plugins(self) -> list[str]:
        """The names of the plugins that a stored ticket needs; a recipe that is no ticket's names none."""
        return list((self._stored or {}).get("plugins", []))

    @property
    def text(self) -> str:
        """The TOML text as given, without overrides."""
        return self._text

    @property
    def name(self) -> str:
        """The file's stem (``digits_vae``), or a shipped recipe's name (``quick/vae``)."""
        return self._name

    @property
    def command(self) -> str:
        """The command that runs it, but for its name: ``gentickets find``, or ``gentickets transfer --to``."""
        return "gentickets find" if self.transfer is None else "gentickets transfer --to"

    @property
    def claimed(self) -> Mapping[str, Any]:
        """What its run has recorded of the claim (`claim` of run.json); empty where no run is known."""
        return self._claimed

    def of_run(self, claim: Mapping[str, Any] | None) -> Recipe:
        """The same recipe, known to be that of a run that has recorded this of its claim."""
        copy = super().model_copy()
        copy._claimed = claim or {}
        return copy

    @property
    def explores(self) -> bool:
        """Whether its run is to choose what will be claimed, and claims nothing itself."""
        return self._explores

    def exploring(self) -> Recipe:
        """The recipe of a run that claims nothing: seeds from ``seed`` on, and no verdict."""
        if self.claim is None:
            return self
        copy = self.model_copy(update={"seed": self.seed or 0})
        copy._explores = True
        return copy

    @property
    def seeds_by_hand(self) -> bool:
        """Whether the seeds of a claim were chosen by hand, so that it explores."""
        return self.claim is not None and self.seed is not None

    @property
    def seeds(self) -> list[int]:
        """The repetitions, by which folders and tables name them: ``seed`` and those after it, or from 0 on.

        The seeds of the random streams may be others: `gentickets.recipe.meaning.random_seeds`.
        """
        first = self.seed or 0
        return list(range(first, first + self.search.seeds))

    def sparsity(self, round: int) -> float:
        """Removed fraction of the prunable weights after so many rounds."""
        return 1 - self.search.keep**round

    @property
    def claim_round(self) -> int | None:
        """The round that the claim is about; None without a claim, or where validation chooses it."""
        if self.claim is None or (level := self.claim.declared) is None:
            return None
        nearest = self.nearest_round(level)
        return nearest if abs(self.sparsity(nearest) - level) <= LEVEL_TOLERANCE else None

    def nearest_round(self, sparsity: float) -> int:
        """The round whose sparsity is nearest to this one."""
        return min(self.rounds, key=lambda round: abs(self.sparsity(round) - sparsity))

    @property
    def rounds(self) -> list[int]:
        """The rounds after the dense run, in order; with "widths" one for each width."""
        search = self.search
        if not self.prunes:
            return list(range(len(search.widths)))
        return sorted(search.only_rounds) or list(range(1, search.rounds + 1))

    @property
    def control_rounds(self) -> list[int]:
        """The rounds at which controls run, in order."""
        if not self.prunes:
            return []
        last = self.rounds[-1]
        if self.search.control_rounds is not None:
            return sorted(self.search.control_rounds)
        if self.claim is not None and self.claim.declared is None:
            return self.rounds
        return sorted({self.claim_round or last, last})

    @property
    def declared_rounds(self) -> list[int]:
        """The rounds nearest to the sparsities that the claim declares; none where it leaves them to the controls."""
        return sorted({self.nearest_round(one) for one in self.claim.sparsities}) if self.claim is not None else []

    @property
    def judged_rounds(self) -> list[int]:
        """The rounds that get a verdict, in order: those of `claim.sparsities`, else where controls run, if any do."""
        if self.claim is None:
            return []
        if self.claim.sparsities:
            return sorted({*self.declared_rounds, self.claim_round or self.rounds[-1]})
        return sorted({*self.control_rounds, *([self.claim_round] if self.claim_round is not None else self.rounds)})

    @property
    def fork_steps(self) -> list[int]:
        """The dense run's steps from which the ticket's mask is trained in two orders of data, in order."""
        if self.verdict is None or not self.masks_weights:
            return []
        if self.verdict.forks is not None:
            return sorted(self.verdict.forks)
        steps = self.train.steps
        return sorted({0, self.search.rewind_to, *(steps // part for part in (50, 20, 5, 2))} - {steps})

    @property
    def method(self) -> Method:
        """How its tickets are searched."""
        return METHODS[self.search.method]

    @property
    def prunes(self) -> bool:
        """Whether tickets are searched at all; a sweep of widths trains dense networks alone."""
        return self.method.prunes

    @property
    def removes_channels(self) -> bool:
        """Whether whole channels are removed, so that a ticket is a narrower network."""
        return self.search.applies("by") and self.search.by == "channels"

    @property
    def masks_weights(self) -> bool:
        """Whether a ticket is a mask over the weights of one step of the dense run, which other steps have too."""
        return self.method.masks_dense and self.search.rewind == "weights"

    @property
    def transfer_rounds(self) -> list[int]:
        """The rounds at which a ticket is carried over, in order; none without [transfer]."""
        if self.transfer is None:
            return []
        return self.control_rounds if self.transfer.rounds is None else sorted(self.transfer.rounds)

    @property
    def transfer_controls(self) -> list[str]:
        """What a transferred ticket must beat."""
        if self.transfer is None:
            return []
        if self.transfer.controls is not None:
            return list(self.transfer.controls)
        as_it_is = ["mask"] if self.transfer.align else []
        return [*CONTROLS_OF_MOVES[self.transfer.moves], *as_it_is]

    def resolved(self) -> dict[str, Any]:
        """The recipe as plain values, with every default that applies filled in; ready for JSON."""
        plain: dict[str, Any] = self.model_dump(mode="json", exclude={"task", "seed"})
        unused = {name for name, optimizers in USES.items() if self._optimizers.isdisjoint(optimizers)}
        plain["train"] = {name: value for name, value in plain["train"].items() if name not in unused}
        plain["train"]["objectives"] = {
            name: own.model_dump(mode="json", exclude_none=True) for name, own in self.train.objectives.items()
        }
        chosen = {"only_rounds": self.rounds, "control_rounds": self.control_rounds}
        plain["search"] |= {**chosen, "budget": self.budget, "cuts": self.cuts}
        plain["search"] |= {"every": self.every, "tolerance": self.tolerance}
        plain["search"] = {name: value for name, value in plain["search"].items() if self.search.applies(name)}
        if self.transfer is not None:
            plain["transfer"] |= {"rounds": self.transfer_rounds, "controls": self.transfer_controls}
        if self.verdict is not None:
            plain["verdict"]["forks"] = self.fork_steps
        for key in OPTIONAL:
            if plain[key] is None and key != "claim":  # that a run claims nothing is written down
                del plain[key]
        if self.claim is not None:
            plain["claim"] = self.claim.resolved()
            plain["claim"]["sparsities"] = [self.sparsity(round) for round in self.judged_rounds]
        if not self.quality.curve:
            plain["quality"] = {name: value for name, value in plain["quality"].items() if name not in STOPPING}
        return {
            "seed": self.seed if self.claim is not None else self.seed or 0,
            "task": {"family": self.task.family, **self.task.keywords},
            **plain,
        }

    @property
    def budget(self) -> bool:
        """Whether a compute-matched dense model is trained: only where a level costs more than its own training."""
        return self.search.budget and self.method.trains_dense_first

    @property
    def cuts(self) -> int:
        """Cuts on the way to each density, "at_start"."""
        if self.search.cuts is not None:
            return self.search.cuts
        row = SCORINGS.get(self.search.criterion)
        return row.cuts if row is not None and self.search.applies("cuts") else 1

    @property
    def every(self) -> int:
        """Steps between the looks of an early bird."""
        return self.search.every or max(1, self.train.steps // CHECKS)

    @property
    def tolerance(self) -> float:
        """The largest distance between the masks of an early bird: its rule's own, unless it is given."""
        return self.search.tolerance or TOLERANCES[self.search.rule]

    @property
    def _optimizers(self) -> set[str]:
        return {self.train.optimizer, *(own.optimizer or "" for own in self.train.objectives.values())}
