"""Searches for early birds as a job: trains the dense network and checks its masks until every level has emerged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gentickets.earlybird import EarlyBird
from gentickets.experiment.arms.early_bird import EarlyBirdArm
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.checkpoint import resume
from gentickets.experiment.plan import Unit
from gentickets.experiment.training_job import TrainingJob
from gentickets.optimizers import Schedule
from gentickets.results import Result
from gentickets.runs.formats import write_snapshot
from gentickets.search import Ranking, momentum_of, paces_of
from gentickets.training import Losses, Plan, Training, train


class EarlyBirdJob(TrainingJob):
    """The job of the arm ``search``. It stores the dense state in which each level emerged, and the trace."""

    arm: EarlyBirdArm

    def _worked_out(self) -> Result:
        snapshot, self.progress = resume(self.folder, self.place)
        self._build()
        self.bird = self._bird()
        if snapshot is None:
            self.ranked.try_out()
            with self.progress.counted("checks", self.assembly.device):
                self.bird.begin()
        else:
            self.training.load(snapshot)
            self.at = snapshot.step
            self.bird.restore(self.progress.bird, self.progress.beside)
        if not self.bird.done:
            self._search()
        return replace(
            self._blank(), trained=self.at, steps=self.unit.span, losses=self.progress.losses,
            early_bird=self._told(), **self.progress.costs(),
        )  # fmt: skip

    def _plan(self) -> Plan:
        return replace(super()._plan(), gamma_l1=self.assembly.recipe.search.gamma_l1)

    def _bird(self) -> EarlyBird:
        self.levels = levels_of(self.assembly)
        self.ranked = self.arm.ranked(self.training.task)
        return bird_of(self.assembly, self.unit, self.training, self.ranked)

    def _search(self) -> None:
        self.progress.phase, device = "grow", self.assembly.device
        with self.progress.timed("train", device), self.progress.weighed(device):
            steps = range(self.at, self.unit.span)
            watch = [self._look, self._watch]
            self.at = train(self.training, self.batches, steps, seed=self.unit.random_seed, watch=watch)
        self._end_if_stopping()

    def _look(self, step: int, losses: Losses) -> bool:
        """Check the masks where a check is due, and store each level that has emerged."""
        if step % self.bird.every == 0:
            self.training.divergence.check()
            with self.progress.counted("checks", self.assembly.device):
                emerged = self.bird.look(step)
            for density in emerged:
                with self.progress.timed("store", self.assembly.device):
                    round = self.levels[density]
                    place = {**self.place, "level": round}
                    write_snapshot(self.folder.level(round), self.training.snapshot(step), {"place": place})
        return self.bird.done

    def _save(self) -> None:
        self.progress.bird, self.progress.beside = self.bird.state()
        super()._save()

    def _told(self) -> dict[str, Any]:
        """What a result says of the search."""
        recipe, bird = self.assembly.recipe, self.bird
        levels = [
            {"round": round, "density": density, "step": bird.emerged.get(density),
             "why": None if density in bird.emerged else bird.why_not(density)}
            for density, round in self.levels.items()
        ]  # fmt: skip
        search = recipe.search
        chosen = {
            "rule": search.rule, "by": search.by, "tolerance": recipe.tolerance, "patience": search.patience,
            "every": recipe.every, "gamma_l1": search.gamma_l1,
        }  # fmt: skip
        trace = [{**{key: value for key, value in look.items() if key != "density"},
                  "round": self.levels[look["density"]]} for look in bird.trace]  # fmt: skip
        return {**chosen, "levels": levels, "trace": trace, "null": bird.null, "vacuous": bird.vacuous}


def levels_of(assembly: Assembly) -> dict[float, int]:
    """Density -> round."""
    return {assembly.recipe.search.keep**round: round for round in assembly.recipe.rounds}


def bird_of(assembly: Assembly, unit: Unit, training: Training, ranked: Ranking) -> EarlyBird:
    """The early-bird rule of a search, before any mask has been checked.

    To ask before training what it could never tell: `EarlyBird.begin` raises where that is everything, and then
    `EarlyBird.vacuous` has the sentences.
    """
    recipe, version = assembly.recipe, assembly.definitions.early_bird
    search = recipe.search
    noise: dict[str, Any] = {"paces": paces_of(training)}
    return EarlyBird(
        ranked, list(levels_of(assembly)), every=recipe.every,
        patience=search.patience, tolerance=recipe.tolerance, rule=search.rule,
        checks=unit.span // recipe.every, seed=unit.random_seed, pooled=search.scope == "global",
        **(noise if version > 1 else {"momentum": momentum_of(training), "schedule": Schedule()}),
    )  # fmt: skip
