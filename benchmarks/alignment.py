"""Whether a mask works in another initialization once its channels are put into that network's order.

A ticket is searched in one network (the source), and its mask planted on the early weights of others (the targets),
which differ in initialization, data order and noise: as it is, with its channels in random order (a control), and
aligned with the target, trained dense for a part of its steps (Adnan et al., 2025). Beside it stand the target's own
ticket, from a search of its own, and the target dense. All are trained from step k to the end on the target's batches;
figures are of the test images, lower is better, and nothing is chosen by them. In networks without norms the survivors
of planted masks are scaled by (kept fraction of the layer)^-1/2: else masks that do not fit an MLP VAE learn nothing.

    python benchmarks/alignment.py [--targets 4] [--jobs 2] [--quick] [--only vae]
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from statistics import mean, stdev
from time import perf_counter
from typing import Any

import torch
from measure import machine

from gentickets import VAE, Autoencoder, Batches, Mask, Optim, Plan, Schedule, Splits, Task, Ticket, Training, iterative
from gentickets.channels import groups_of
from gentickets.controls import reinitialized, scaled
from gentickets.data import load
from gentickets.quality.figures import averages
from gentickets.seeds import derive
from gentickets.tickets import Tensors, copied, load_weights, state_of
from gentickets.training import Losses, grow
from gentickets.transfer import aligned, alignment_report, matches, movable_groups

KEEP, ROUNDS = 0.8**2.5, {2: "67.2 %", 4: "89.3 %"}
"""Half as many rounds as with the usual 0.8, for the sparsities of its rounds 5 and 10."""
PARTS = {0.1: "10 %", 0.5: "50 %", 1.0: "100 %"}
"""How much of its training a target has behind it when its channels are matched."""
IMAGES = 10
"""Batches of 100 training images to match by."""


@dataclass(frozen=True)
class Case:
    """A model."""

    title: str
    family: str
    metric: str
    task: Mapping[str, Any]
    size: int = 8
    steps: int = 500
    scaled: bool = True

    @property
    def rewind_to(self) -> int:
        """The step that tickets start from."""
        return self.steps // 10


VAES = {"latent": 16, "likelihood": "bernoulli"}
CASES = {
    "vae": Case("MLP VAE, 64-128-128-16", "vae", "negative_elbo", {**VAES, "width": 128}),
    "conv": Case(
        "convolutional VAE, 16x16, width 16", "vae", "negative_elbo",
        {**VAES, "network": "conv", "width": 16}, size=16, scaled=False,
    ),
    "ae": Case("MLP autoencoder, 64-128-128-16", "ae", "reconstruction", {"latent": 16, "width": 128}),
}  # fmt: skip


@dataclass(frozen=True)
class Searched:
    """One seed's search: its tickets by round, their figures on test, and the dense network on its way."""

    tickets: dict[int, Ticket]
    figures: dict[int, float]
    dense: dict[float, Tensors]


AS_IS, OWN = "the source's mask as it is", "the target's own ticket"


@dataclass(frozen=True)
class Told:
    """What one target tells: figures by sparsity and arm, and how well its channels were matched."""

    figures: dict[str, dict[str, float]]
    matched: dict[str, dict[str, Any]]


def network(case: Case, data: Splits, seed: int, weights: Tensors | None = None) -> Task:
    """A seed's network, at initialization or with these weights."""
    with torch.random.fork_rng([]):
        torch.manual_seed(derive(seed, "init"))
        task: Task = {"vae": VAE, "ae": Autoencoder}[case.family](data.image, **case.task)
    if weights is not None:
        load_weights(task, weights)
    return task


def training_of(case: Case, data: Splits, seed: int) -> tuple[Training, Batches]:
    """A seed's network ready to train, and its batches."""
    plan = Plan(Optim("adam", lr=2e-3), Schedule("constant", case.steps))
    return Training(network(case, data, seed), plan), Batches(data.train, 64, seed=seed)


def search(case: Case, data: Splits, seed: int) -> Searched:
    """Iterative pruning with late rewinding."""
    training, batches = training_of(case, data, seed)
    dense: dict[float, Tensors] = {}

    def watch(step: int, _: Losses) -> None:
        for part in PARTS:
            if step == round(part * case.steps) and part not in dense:
                dense[part] = copied(state_of(training.task))

    tickets, figures = {}, {}
    for ticket in iterative(
        training, batches, rounds=max(ROUNDS), keep=KEEP, rewind_to=case.rewind_to, seed=seed, watch=[watch]
    ):
        tickets[ticket.origin.round] = ticket
        figures[ticket.origin.round] = averages(training.task, data.test, seed=0)[case.metric]
    return Searched(tickets, figures, dense)


def planted(case: Case, data: Splits, seed: int, mask: Mask, own: Searched) -> float:
    """The figure of a mask on a target's early weights, trained to the end."""
    training, batches = training_of(case, data, seed)
    ticket = reinitialized(replace(own.tickets[0], mask=mask), own.tickets[0])
    grow(training, scaled(ticket) if case.scaled else ticket, batches, seed=seed)
    return averages(training.task, data.test, seed=0)[case.metric]


def target(case: Case, source: Searched, seed: int) -> Told:
    """All arms of one target."""
    torch.set_num_threads(1)
    data = load("digits", size=case.size)
    own = search(case, data, seed)
    found = network(case, data, 0, source.dense[1.0])
    shown = Batches(data.train, 100, seed=0).first(IMAGES)
    groups = movable_groups(found, shown[0])
    rng = torch.Generator().manual_seed(derive(seed, "random order"))
    orders = {"in random order": {name: torch.randperm(group.size, generator=rng) for name, group in groups.items()}}
    matched = {}
    for part, told in PARTS.items():
        pairs = matches(found, network(case, data, seed, own.dense[part]), shown, groups=groups)
        matched[told] = alignment_report(pairs)["all"]
        orders[f"aligned, target trained {told}"] = {name: pair.permutation for name, pair in pairs.items()}
    orders["the same, but for the codes"] = {name: pairs[name].permutation for name in groups_of(found, shown[0])}
    figures = {}
    for number, sparsity in ROUNDS.items():
        mask = source.tickets[number].mask
        figures[sparsity] = {
            "dense": own.figures[0],
            OWN: own.figures[number],
            AS_IS: planted(case, data, seed, mask, own),
        } | {arm: planted(case, data, seed, aligned(mask, groups, order), own) for arm, order in orders.items()}
    return Told(figures, matched)


def show(case: Case, source: Searched, told: Sequence[Told], seconds: float) -> None:
    """Print a case's tables."""
    survivors = "survivors of planted masks scaled" if case.scaled else "not scaled"
    print(
        f"\n{case.title}: {case.steps} steps, k = {case.rewind_to}, {len(told)} targets, {survivors}, {seconds:.0f} s"
    )
    own = ", ".join(f"{source.figures[number]:.4g} at {told}" for number, told in ROUNDS.items())
    print(f"the source: {source.figures[0]:.4g} dense, {own}")
    for part, first in told[0].matched.items():
        figures = {key: mean(one.matched[part][key] for one in told) for key in ("before", "after", "untrained")}
        better = sum(bool(one.matched[part]["better_than_chance"]) for one in told)
        print(
            f"  matched with targets trained {part:<6} {first['channels']} channels correlate {figures['after']:.3f} "
            f"(as numbered {figures['before']:.3f}, untrained networks {figures['untrained']:.3f}; better in {better})"
        )
    print(f"\n| sparsity | arm | {case.metric} | less the mask as it is | of the gap to the own ticket |")
    print("|---|---|---|---|---|")
    for sparsity, arms in told[0].figures.items():
        gap = mean(one.figures[sparsity][AS_IS] - one.figures[sparsity][OWN] for one in told)
        for arm in arms:
            values = [one.figures[sparsity][arm] for one in told]
            apart = [value - one.figures[sparsity][AS_IS] for value, one in zip(values, told, strict=True)]
            share = f"{-100 * mean(apart) / gap:.0f} %" if arm not in (AS_IS, OWN, "dense") else ""
            paired = "" if arm == AS_IS else _spread(apart, "+")
            print(f"| {sparsity} | {arm} | {_spread(values)} | {paired} | {share} |", flush=True)


def _spread(values: Sequence[float], sign: str = "") -> str:
    """Mean and standard deviation."""
    deviation = stdev(values) if len(values) > 1 else float("nan")
    return f"{mean(values):{sign}.4f} ± {deviation:.4f}"


def main() -> None:
    """Run the cases and print their tables."""
    parser = argparse.ArgumentParser(description="Whether aligned masks work in other initializations.")
    parser.add_argument("--quick", action="store_true", help="does it run, in a minute; its figures mean nothing")
    parser.add_argument("--targets", type=int, default=4, help="how many other seeds (default 4)")
    parser.add_argument("--jobs", type=int, default=2, help="targets side by side, one thread each (default 2)")
    parser.add_argument("--only", choices=list(CASES), help="one of the cases")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(machine(1), flush=True)
    seeds = range(1, (2 if chosen.quick else chosen.targets) + 1)
    with ProcessPoolExecutor(chosen.jobs, multiprocessing.get_context("spawn")) as pool:
        for case in (CASES[name] for name in CASES if chosen.only in (None, name)):
            case = replace(case, steps=40) if chosen.quick else case
            start = perf_counter()
            source = search(case, load("digits", size=case.size), 0)
            told = list(pool.map(partial(target, case, source), seeds))
            show(case, source, told, perf_counter() - start)


if __name__ == "__main__":
    main()
