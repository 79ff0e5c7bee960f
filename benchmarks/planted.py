"""Which methods find a planted ticket, and how much of it.

A sparse teacher makes the data and hides in the initialization of a wider student (`gentickets.simulation.plant`).
Every method prunes the student to exactly the planted size. Printed for each: the share of the planted weights that
its mask keeps, in all and by layer, beside what a random mask with the same layer sizes keeps (chance); and the error
that its ticket trains to, beside the planted ticket's, the dense student's and a random one's. Mean ± sd over seeds.

Settings: ``regression`` (one hidden layer, the codes behind the images are told), ``deep`` (the same with two hidden
layers), ``vae`` (one hidden layer, images alone, the decoder is pruned): 4, 11 and 7 minutes of one core.

``--decay`` trains at several weight decays (`DECAYS`) instead, those methods alone that prune trained weights (or, with
``--only``, whose name has one of some words in it): an L2 penalty as Adam takes it, and AdamW's decoupled decay.

    python benchmarks/planted.py [--setting regression] [--seeds 5] [--decay [DECAY ...]] [--only WORDS ...] [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean, stdev
from typing import Any

import torch
from measure import machine

from gentickets.criteria import CRITERIA, Criterion, Scores
from gentickets.data import Batches, Images
from gentickets.errors import TicketError
from gentickets.masks import prunable
from gentickets.optimizers import Schedule
from gentickets.search import cut, first_ticket, iterative, ticket_at_start
from gentickets.seeds import derive
from gentickets.simulation import Found, Planted, plant, share_found
from gentickets.tasks import Batch, Optim, Task
from gentickets.tickets import Snapshot, Ticket
from gentickets.training import Plan, Training, grow
from gentickets.untouched import seeded

TEST = 1024
"""Images, or codes, that errors are taken on; no training sees them."""


@dataclass(frozen=True)
class Setting:
    """What is planted, and how students train: at the rate (of 0.001 to 0.03) that suits the *dense* student best."""

    planted: Mapping[str, Any]
    figure: str
    lr: float
    steps: int = 1000
    rounds: int = 8
    rewind_to: int = 50
    optimizer: str = "adam"
    weight_decay: float = 0.0


SETTINGS = {
    "regression": Setting({"latent": 16, "hidden": 24, "pixels": 32, "density": 0.15}, "imitation", 1e-2),
    "deep": Setting({"latent": 16, "hidden": 40, "pixels": 32, "density": 0.3, "depth": 2}, "imitation", 3e-3, 2000),
    "vae": Setting({"latent": 8, "hidden": 24, "pixels": 64, "density": 0.15, "setting": "vae"}, "negative_elbo", 3e-3),
}


DECAYS = {
    "none": ("adam", 0.0),
    "L2 1e-4": ("adam", 1e-4),
    "L2 1e-3": ("adam", 1e-3),
    "decoupled 1e-3": ("adamw", 1e-3),
}
"""What the table calls a weight decay -> optimizer and coefficient; AdamW takes off the learning rate times that."""
AFTER_TRAINING = ("planted", "iterative", "rewinding", "fine-tuning", "one shot")
"""Words in the names of methods that prune trained weights, and of the planted mask."""


def small(setting: Setting) -> Setting:
    """The same in seconds; its figures mean little."""
    planted = {**setting.planted, "latent": 8, "hidden": 14, "pixels": 16, "width": 20, "density": 0.3}
    return replace(setting, planted=planted, steps=100, rounds=3, rewind_to=10)


def rise(task: Task, batches: Sequence[Batch], seed: int) -> Scores:
    """-w dL/dw: by how much the loss would rise without a weight, to first order. SNIP's score without its bars."""
    rng = torch.Generator(task.device).manual_seed(derive(seed, "rise"))
    loss = torch.stack([task.objectives()[0].loss(batch, task.draw(len(batch), rng)) for batch in batches]).mean()
    weights = prunable(task)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    return {name: -weight.detach() * slope for (name, weight), slope in zip(weights.items(), gradients, strict=True)}


@dataclass
class Ground:
    """One seed's planted ticket, with the trainings on it."""

    seed: int
    setting: Setting
    planted: Planted = field(init=False)
    dense: dict[int, Ticket] = field(default_factory=dict)
    grown: Snapshot = field(init=False)

    def __post_init__(self) -> None:
        self.planted = plant(self.seed, images=4096 + TEST, **self.setting.planted)
        pixels = self.planted.data.source
        self.test = Images(pixels[:TEST]).all()  # type: ignore[index]
        self.batches = Batches(Images(pixels[TEST:]), 64, seed=self.seed)  # type: ignore[index]
        training = self.training()
        for step in (0, self.setting.rewind_to):
            self.dense[step] = first_ticket(
                training, self.batches, rewind_to=step, components=["decoder"], seed=self.seed
            )
        grow(training, self.dense[self.setting.rewind_to], self.batches, seed=self.seed)
        self.grown = training.snapshot(self.setting.steps)
        self.dense_error = self.error(training.task)

    def training(self) -> Training:
        """The student at its initialization."""
        schedule = Schedule("cosine", self.setting.steps)
        own = self.setting
        optim = Optim(own.optimizer, own.lr, weight_decay=own.weight_decay)
        return Training(self.planted.task(), Plan(optim, schedule))

    def error(self, task: Task) -> float:
        """What the setting's figure is on test."""
        rng = torch.Generator().manual_seed(derive(self.seed, "test"))
        with torch.no_grad():
            return float(task.figures(self.test, task.draw(TEST, rng))[self.setting.figure].mean())

    def rounds(self, *, rewind_to: int = 0, scope: str, rounds: int | None = None, rewind: str = "weights") -> Row:
        """Search on from the dense run, which all such methods share."""
        training = self.training()
        training.load(self.grown)
        return self.searched(
            training, rounds or self.setting.rounds, rewind=rewind, scope=scope, since=self.dense[rewind_to]
        )

    def from_another_initialization(self) -> Row:
        """Learning-rate rewinding by a student of the same teacher that starts elsewhere: it has nothing planted."""
        training = self.training()
        with seeded(training.task.device, derive(self.seed, "another")):
            training.task.initialize()
        return self.searched(training, self.setting.rounds, rewind="lr", scope="layer", components=["decoder"])

    def searched(self, training: Training, rounds: int, **how: Any) -> Row:
        """Prune in so many rounds to the planted size."""
        keep = self.planted.mask.density ** (1 / rounds)
        *_, last = iterative(training, self.batches, rounds=rounds, keep=keep, seed=self.seed, **how)
        return self.row(last, training.task)

    def at_start(self, criterion: Criterion, scope: str, cuts: int = 1) -> Row:
        """Prune the initialization, and train what is left."""
        training = self.training()
        found = ticket_at_start(
            training, self.dense[0], density=self.planted.mask.density, criterion=criterion, cuts=cuts, scope=scope,
            seed=self.seed, batches=self.batches.first(8),
        )  # fmt: skip
        return self.trained(found)

    def trained(self, ticket: Ticket) -> Row:
        """What a ticket trains to."""
        training = self.training()
        grow(training, ticket, self.batches, seed=self.seed)
        return self.row(ticket, training.task)

    def row(self, ticket: Ticket, task: Task) -> Row:
        """A ticket's share of the planted weights, and its error."""
        if ticket.mask.kept != self.planted.mask.kept:
            raise RuntimeError(f"{ticket.mask} is not of the planted size, {self.planted.mask.kept}")
        return Row(share_found(ticket.mask, self.planted), self.error(task))

    def as_planted(self) -> Row:
        """The planted mask itself."""
        return self.trained(cut(self.dense[0], self.planted.mask, {}))


@dataclass(frozen=True)
class Row:
    """One method on one seed."""

    found: Found
    error: float


Method = Callable[[Ground], Row]


def methods(setting: Setting) -> dict[str, Method]:
    """Every method by what the table calls it."""
    late = setting.rewind_to
    made: dict[str, Method] = {"the planted mask": Ground.as_planted}
    for scope in ("layer", "global"):
        made[f"iterative, rewound to step {late}, {scope}"] = lambda g, s=scope: g.rounds(rewind_to=late, scope=s)
        made[f"iterative, rewound to 0, {scope}"] = lambda g, s=scope: g.rounds(scope=s)
        made[f"learning-rate rewinding, {scope}"] = lambda g, s=scope: g.rounds(rewind="lr", scope=s)
        made[f"fine-tuning, {scope}"] = lambda g, s=scope: g.rounds(rewind="none", scope=s)
        made[f"one shot, rewound to 0, {scope}"] = lambda g, s=scope: g.rounds(rounds=1, scope=s)
    made["learning-rate rewinding from another initialization, layer"] = Ground.from_another_initialization
    for name, criterion in {**CRITERIA, "signed SNIP": rise}.items():
        cuts = 100 if name == "synflow" else 1
        for scope in ("layer", "global"):
            made[f"at start: {name}, {scope}"] = lambda g, c=criterion, n=cuts, s=scope: g.at_start(c, s, n)
    return made


def spread(values: Sequence[float]) -> str:
    """Mean ± sd."""
    return f"{mean(values):.3g} ± {stdev(values):.2g}" if len(values) > 1 else f"{values[0]:.3g}"


def line(name: str, rows: Sequence[Row], why: str) -> str:
    """A line of the table."""
    if not rows:
        return f"| {name} | refused: {why} | | | |"
    found, last = [row.found for row in rows], rows[0].found
    layers = [
        f"{mean(one.by_layer[name] for one in found):.2f} ({mean(one.chance_by_layer[name] for one in found):.2f})"
        for name in last.by_layer
    ]
    share, chance = spread([one.all for one in found]), mean(one.chance for one in found)
    return (
        f"| {name} | {share} | {chance:.3f} | {' / '.join(layers)} | {spread([r.error for r in rows])} ({len(rows)}) |"
    )


@dataclass
class Measured:
    """What a setting gave, over seeds."""

    dense: list[float] = field(default_factory=list)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    whys: dict[str, str] = field(default_factory=dict)
    """Method -> why it was refused."""


def measured(setting: Setting, seeds: int, only: Sequence[str]) -> Measured:
    """Every method on every seed; of methods those that have one of some words in their name, where words are given."""
    began = time.time()
    chosen = {name: one for name, one in methods(setting).items() if not only or any(word in name for word in only)}
    found = Measured(rows={name: [] for name in chosen})
    for seed in range(seeds):
        ground = Ground(seed, setting)
        found.dense.append(ground.dense_error)
        for name, method in chosen.items():
            try:
                found.rows[name].append(method(ground))
            except TicketError as error:
                found.whys[name] = str(error).split(":")[0]
        if not seed:
            planted = ground.planted
            print(f"{dict(setting.planted)}, {planted.mask}, gain {planted.teacher.gain:.0f}")
        print(f"seed {seed}: {time.time() - began:.0f} s", flush=True)
    return found


def print_methods(setting: Setting, found: Measured) -> None:
    """The table of all methods."""
    parts = "by layer, from the code (chance)"
    columns = ["method", "planted weights found", "chance", parts, f"{setting.figure} (seeds)"]
    print(f"\n| {' | '.join(columns)} |\n|---|---|---|---|---|")
    print(f"| dense student | | | | {spread(found.dense)} ({len(found.dense)}) |")
    for name, own in found.rows.items():
        print(line(name, own, found.whys.get(name, "")))


def print_decays(setting: Setting, found: Mapping[str, Measured]) -> None:
    """The table of weight decays: the share found and the error of every method at each."""
    first = next(iter(found.values()))
    print(f"\n| planted weights found; {setting.figure} | {' | '.join(found)} |\n|{'---|' * (len(found) + 1)}")
    print(f"| dense student | {' | '.join(spread(one.dense) for one in found.values())} |")
    for name in first.rows:
        cells = [one.rows[name] for one in found.values()]
        told = [f"{spread([r.found.all for r in rows])}; {spread([r.error for r in rows])}" for rows in cells]
        print(f"| {name} | {' | '.join(told)} |")


def main() -> None:
    """Run every method on every seed and print the table."""
    parser = argparse.ArgumentParser(description="Which methods find a planted ticket.")
    parser.add_argument("--setting", choices=SETTINGS, default="regression")
    parser.add_argument("--seeds", type=int, default=5)
    told = f"what prunes trained weights, at weight decays: {', '.join(DECAYS)} (every one)"
    parser.add_argument("--decay", nargs="*", choices=DECAYS, metavar="DECAY", help=told)
    parser.add_argument("--only", action="append", default=[], metavar="WORDS", help="methods with these words alone")
    parser.add_argument("--quick", action="store_true", help="does it run, in half a minute; its figures mean little")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(machine(1), flush=True)
    setting = small(SETTINGS[chosen.setting]) if chosen.quick else SETTINGS[chosen.setting]
    began, used, seeds = time.time(), time.process_time(), 2 if chosen.quick else chosen.seeds
    print(f"{chosen.setting}:", end=" ")
    if chosen.decay is not None:
        wanted = {name: DECAYS[name] for name in chosen.decay or DECAYS}
        decayed = {
            name: replace(setting, optimizer=optimizer, weight_decay=decay)
            for name, (optimizer, decay) in wanted.items()
        }
        only = chosen.only or AFTER_TRAINING
        print_decays(setting, {name: measured(one, seeds, only) for name, one in decayed.items()})
    else:
        print_methods(setting, measured(setting, seeds, chosen.only))
    print(f"\n{time.time() - began:.0f} s, {time.process_time() - used:.0f} s of one core")


if __name__ == "__main__":
    main()
