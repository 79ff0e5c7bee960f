"""Names what a finished run has found, and the commands that lead on from there. Torch-free."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gentickets.analysis.claim import claim_round
from gentickets.analysis.run import Run
from gentickets.arms import TICKET
from gentickets.experiment.options import Options
from gentickets.runs.folder import RoundFolder, RunFolder


@dataclass(frozen=True)
class NextStep:
    """A command, and what it is for."""

    command: str
    purpose: str


@dataclass(frozen=True)
class NextSteps:
    """The ticket of a run, and what can be done with it."""

    ticket: Path | None
    """The folder of the claimed ticket's round; None where nothing was pruned, or nothing is finished."""
    steps: tuple[NextStep, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON: the ticket's folder, and the commands."""
        return {"ticket": self.ticket, "next": [step.command for step in self.steps]}


def claimed_ticket(run: Run) -> RoundFolder | None:
    """The round of the ticket that the claim is about, in the run's first seed that has it.

    Without a claim, or where no level is within the claim's margin, it is the sparsest ticket. None where no ticket is
    finished.

    Example:
        ``claimed_ticket(read_run(Path("runs/tiny"))).path``  # runs/tiny/seed-0/ticket/round-02
    """
    done = [one for one in run.results if one.arm == TICKET and one.round and one.status == "done"]
    if not done:
        return None
    rounds = {one.round for one in done}
    claimed = claim_round(run.results, run.recipe)
    round = claimed if claimed in rounds else max(rounds)
    seed = min(one.seed for one in done if one.round == round)
    return RunFolder(run.path).round(seed, TICKET, round)


def next_steps(run: Run, options: Options | None = None) -> NextSteps:
    """The claimed ticket of a run and three commands for it: test it, use it, measure it.

    ``options`` are those of the run: its data folder, device and plugins are repeated in the commands.
    """
    found, given = claimed_ticket(run), _given(options or Options())
    ticket = found.path if found is not None else None
    steps: list[NextStep] = []

    def add(purpose: str, *words: object) -> None:
        steps.append(NextStep(shlex.join(["gentickets", *map(str, words), *given]), purpose))

    if run.recipe.claim is not None and run.recipe.explores:
        add("to test it on new seeds", "verdict", "--from", run.path)
    elif run.recipe.claim is not None:
        add("to test it", "verdict", run.path, "--run")
    elif ticket is not None:
        add("to train it again", "train", ticket)
    if found is not None and found.trained.is_file():
        add("to export it", "export", ticket)
    add("to see what it saves", "cost", run.path)
    return NextSteps(ticket, tuple(steps))


def _given(options: Options) -> list[str]:
    """The options of a run that its next commands need too."""
    words = [word for plugin in options.plugins for word in ("--plugin", str(plugin))]
    if options.root != Options.root:
        words += ["--data", str(options.root)]
    return words + (["--device", options.device] if options.device != Options.device else [])
