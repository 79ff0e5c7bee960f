"""Result: what one round of one cell came to, as `result.json` holds it, and whether it is what and where it says.

Torch-free, so that reports start fast.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gentickets.errors import Status, TicketError
from gentickets.files import json_bytes, parse_json, read_json
from gentickets.files.belonging import FORMAT, RESULT, check_files, check_gaps, check_place
from gentickets.files.result_fields import check_fields
from gentickets.metrics import Way, declare
from gentickets.metrics import better as better

Figures = dict[str, float]
"""Figure of merit -> value, e.g. ``{"negative_elbo": 101.8, "frechet": 12.3}``."""
NOT_RUN = "not run"
"""The status of a result behind one that failed."""
_NEED = re.compile(r"it needs (?P<arm>\S+) round (?P<round>\d+) of seed (?P<seed>-?\d+), which is ")

Key = tuple[int, str, int]
"""(seed, arm, round)."""


@dataclass(frozen=True)
class Result:
    """One finished (or failed) round. Which way a figure is good stands in `gentickets.metrics`."""

    arm: str
    """``ticket``, ``budget``, ``narrow``, ``reinit``, ``reinit-scaled``, ``ticket-longer``, ``dense-longer``, ..."""
    seed: int
    round: int
    """The ticket's round 0 is the dense run."""
    sparsity: float
    """Removed fraction of the prunable weights; of the channels, where channels are what is pruned."""
    steps: int
    """Length of the training that the schedule spans (a ticket rewound to k trains ``steps - k`` of them)."""
    trained: int
    """Optimizer steps of this round as planned, warm-up included."""
    selection: str
    """``last``, ``mean of last n`` or ``best on validation``: which checkpoints the figures are taken from."""
    valid: Figures = field(default_factory=dict)
    test: Figures = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)
    """Beside a figure's name: features, N of both sides, floor, EMA or not."""
    collapsed: str | None = None
    """A sentence where the samples have collapsed."""
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    """``{"step": int, "valid": Figures, "test": Figures}`` of every evaluation; no ``test`` where one is picked."""
    train: Figures = field(default_factory=dict)
    """Figures on the training split, where they are asked for."""
    curve: list[dict[str, Any]] = field(default_factory=list)
    """``{"step": int, "valid": Figures}`` along the training, where asked for."""
    losses: list[dict[str, Any]] = field(default_factory=list)
    """``{"step": int, "<objective>": float}`` along the training."""
    densities: Figures = field(default_factory=dict)
    """Kept fraction of each prunable tensor, in the network's order."""
    tied: Figures = field(default_factory=dict)
    """Group that competed -> fraction of its weights whose score is that of the last one kept (Trap 11a)."""
    weights: dict[str, int] = field(default_factory=dict)
    """``kept`` prunable weights, and of the recipe's dense networks ``total`` prunable ones and ``all`` parameters."""
    channels: dict[str, list[int]] = field(default_factory=dict)
    """Tied group of channels -> [kept, of], where channels were removed."""
    width: int | None = None
    """The family's keyword ``width``, where the networks are not the recipe's."""
    flops: dict[str, float] = field(default_factory=dict)
    """1 multiply-add = 2 FLOPs. Forward, per image: ``dense`` (the recipe's networks), ``masked`` (theoretical),
    ``own`` (the networks as they were trained, compact ones included); and ``step``: one training step of them."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By phase: ``warm-up`` (dense training up to the step that is rewound to), ``train``, ``score``, ``checks`` (an
    early bird's), ``compact``, ``compile``, ``evaluate``, ``store``."""
    spent: dict[str, float] = field(default_factory=dict)
    """FLOPs executed, by the same phases; optimizers and element-wise work count nothing."""
    uncounted: dict[str, list[str]] = field(default_factory=dict)
    """Phase of ``spent``, or ``forward`` and ``step`` of ``flops`` -> names of operators that were met in it and whose
    FLOPs are not known: that figure is "at least" what it says. Empty where all is counted."""
    memory: int | None = None
    """Bytes at the peak of training, where the device tells: allocated on a GPU, beyond the start's on a CPU."""
    energy: float | None = None
    """Joules of training, where the device tells."""
    early_bird: dict[str, Any] = field(default_factory=dict)
    """Of the arm ``search``: the rule, its null, the trace of distances and the steps at which levels emerged."""
    transfer: dict[str, Any] = field(default_factory=dict)
    """Of arms named ``transfer...``: the source (``source``, ``family``, ``data``, ``seed``, ``round``, ``sparsity``)
    and the table of what moved (``routes``, ``match``, ``moves``, ``partial``, ``entries``, ``left``, ``covered``,
    ``density``, ``carried``); ``align`` where a mask was re-aligned."""
    excluded: list[dict[str, Any]] = field(default_factory=list)
    """Of the dense run: parameters that no mask covers, by reason: ``{"why", "parameters", "names"}``."""
    floors: dict[str, Figures] = field(default_factory=dict)
    """Of the dense run: ``valid`` and ``test`` -> figure -> what it could reach at best there, where that is known."""
    beside: dict[str, Any] = field(default_factory=dict)
    """Of the arm ``beside``: what is looked at beside a verdict's tests, in the networks of one seed."""
    status: str = "done"
    """``done``, ``failed``, ``diverged``, or ``not run`` behind one that failed."""
    why: str | None = None
    """Where it is not done: a sentence."""
    run: str | None = None
    """The identity of its run, as `run.json` has it; of a training, the SHA-256 of what was given."""
    ticket: str | None = None
    """The SHA-256 that `ticket.safetensors` states of itself; None where there is none."""
    network: str | None = None
    """The same of `trained.safetensors`, which a run may drop later."""
    images: str | None = None
    """The same of `images.safetensors`, which holds the claim's metric of every single test image. None, and not on
    disk, where the metric is no mean over images, and in runs of versions that did not store it."""
    pictures: dict[str, str] = field(default_factory=dict)
    """File -> SHA-256 of its samples and reconstructions."""
    taken_from: str | None = None
    """The identity of the run that has found it, where that is another one."""
    random_seed: int | None = None
    """The seed that its weights, data order and noise follow from, derived from the claim's hash; None, and not on
    disk, where that is ``seed`` itself."""
    folder: Path | None = field(default=None, init=False, repr=False, compare=False)
    """Where it was read from; not on disk."""
    better: dict[str, Way | None] = field(default_factory=dict)
    """Which way the figures of a plugin's family are good, where it says so; on disk only then."""

    def __post_init__(self) -> None:
        """Declare the family's own metrics, which nothing else says beforehand where no plugin is imported."""
        declare({**self.valid, **self.test, **self.train}, self.better)

    def to_json(self) -> str:
        """The text of `result.json`."""
        told = asdict(self)
        del told["folder"]
        for rare in ("better", "floors", "random_seed", "images"):
            if told[rare] in (None, {}):
                del told[rare]
        return json_bytes(told, FORMAT).decode()


def parse_result(text: str | bytes, where: Path) -> Result:
    """The Result in the text of a `result.json`; TicketError names the file where it is damaged or newer."""
    return _made(check_fields(parse_json(text, where, FORMAT), where), where)


def read_result(path: Path) -> Result:
    """The result in a `result.json`, sound and where it belongs (see `gentickets.files.belonging`).

    Raises TicketError (status 3), which names the file.
    """
    raw = read_json(path, FORMAT)
    told = check_fields(raw, path)
    check_place(raw, path)
    check_files(raw, path)
    found = _made(told, path)
    object.__setattr__(found, "folder", path.parent)
    return found


def _made(told: Mapping[str, Any], where: Path) -> Result:
    try:
        return Result(**told)
    except (TypeError, TicketError) as error:
        raise TicketError(f"{where} is damaged: {error}", Status.TICKET) from error


def outcome(status: str, why: str | None) -> str:
    """How a round ended and why, as ``failed: no weights are left``; the status stands there once."""
    return why if why is not None and why.startswith(status) else f"{status}: {why}"


def why_not_run(seed: int, arm: str, round: int, status: str) -> str:
    """The sentence of a result that is not run, as what it needs has ended with another status than ``done``."""
    return f"it needs {arm} round {round} of seed {seed}, which is {status}"


def standing(results: Mapping[Key, Result]) -> dict[Key, Result]:
    """The results that count, in their order. One that is `NOT_RUN` counts only behind one that failed or diverged.

    Where what it needs is done, or has no result, nothing has failed: the round is still to be worked on. (Earlier
    versions stored such results where a run was stopped at the wrong moment.)
    """
    return {key: result for key, result in results.items() if _stands(result, results)}


def _stands(result: Result, results: Mapping[Key, Result]) -> bool:
    if result.status != NOT_RUN:
        return True
    end: Result | None = result
    for _ in range(len(results)):
        if end is None or end.status != NOT_RUN:
            break
        named = _NEED.match(end.why or "")
        end = results.get((int(named["seed"]), named["arm"], int(named["round"]))) if named else None
    return end is not None and end.status not in ("done", NOT_RUN)


def read_results(run: Path) -> list[Result]:
    """Every result of a run folder that counts (see `standing`), by seed, arm and round; each as `read_result` has it.

    Raises TicketError (status 3) also where a round of the ticket has a result, and one that it rests on has none.
    """
    found = [read_result(path) for path in sorted(run.glob(f"seed-*/*/round-*/{RESULT}"))]
    counting = list(standing({(one.seed, one.arm, one.round): one for one in found}).values())
    rounds: dict[int, list[int]] = {}
    for one in counting:
        if one.arm == "ticket" and one.run is not None:
            rounds.setdefault(one.seed, []).append(one.round)
    check_gaps(run, rounds)
    return counting
