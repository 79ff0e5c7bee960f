"""How often an early bird emerges where there is nothing to find, and where there is.

``noise``: nothing but noise is trained, one component of so many units, by optimizers that are written out here step by
step, under every schedule. Counted is in how many trainings the ranking is ever quieter than chance, where the watch
knows optimizer and schedule and where it knows neither; without that no density emerges, so that this bounds the fires
of the whole rule at all of them. Of the trainings that pass, those in which the whole rule fires are counted too.
``settling``: gradients that pull to goals, under the same noise and schedules, by the whole rule. ``rules``: what the
rule would be without its guards, on walks of equal steps: distances alone, chance-corrected and at most 0.2, or plain
and at most 0.1 (You et al., 2020).

    python benchmarks/early_bird_null.py [--quick] [--part noise settling rules] [--units 16 48] [--trials 500]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from goals import goal
from measure import machine
from numpy.typing import NDArray
from scipy.stats import beta
from torch import Tensor

from gentickets.earlybird import EarlyBird, Looks, Pace, calibrated, corrected, hamming, packed
from gentickets.earlybird.null import shares_of
from gentickets.earlybird.walks import walks
from gentickets.errors import TicketError
from gentickets.masks import Channels, Mask, keep_top
from gentickets.optimizers import SCHEDULES, Schedule
from gentickets.seeds import derive
from gentickets.tasks import Optim

CHECKS, EVERY, PATIENCE, MOST = 50, 10, 5, 0.01
STEPS = CHECKS * EVERY
DENSITIES = (0.5, 0.3, 0.1)
UNITS = (12, 16, 24, 64, 256, 1024)
FOLLOWED = 256
"""Of wider components so many units are followed."""
Floats = NDArray[np.floating]
DECAY, WARMUP = 5e-4, STEPS // 10
NOISE: dict[str, tuple[Optim, int]] = {
    "adam": (Optim("adam"), 0),
    "adam, decay, warm-up": (Optim("adam", weight_decay=DECAY), WARMUP),
    "adamw, decay 10 %, warm-up": (Optim("adamw", lr=1e-2, weight_decay=0.1), WARMUP),
    "sgd": (Optim("sgd", lr=1e-3), 0),
    "sgd, momentum 0.9": (Optim("sgd", lr=1e-3, momentum=0.9), 0),
    "sgd, momentum, decay, warm-up": (Optim("sgd", lr=1e-2, momentum=0.9, weight_decay=DECAY), WARMUP),
    "rmsprop, momentum 0.9": (Optim("rmsprop", momentum=0.9), 0),
}
"""Optimizer and steps of warm-up."""
NULLS: dict[str, tuple[float, float]] = {
    "walk": (0.0, 0.0),
    "walk, momentum 0.9": (0.9, 0.0),
    "from half its spread": (0.9, 0.5),
    "from 5 x its spread": (0.9, 5.0),
    "from 500 x its spread": (0.9, 500.0),
}
"""Momentum, and the variance at the beginning as a multiple of what the walk adds."""


def optimizer_steps(
    optim: Optim, schedule: Schedule, start: Floats, rng: np.random.Generator, *, checks: int = CHECKS,
    every: int = EVERY, pull: float = 0.0, goal: Floats | float = 0.0, l1: float = 0.0,
) -> Floats:  # fmt: skip
    """|values| at each look, (trainings, looks + 1, units), of an optimizer as its paper has it, step by step.

    Gradients are unit noise, and ``pull`` times the way to a ``goal``, and an L1 penalty's.
    """
    value, mean, square = start.astype(np.float32), np.zeros(start.shape, np.float32), np.zeros(start.shape, np.float32)
    looks = [np.abs(value)]
    for step in range(checks * every):
        lr, turn = np.float32(optim.lr * schedule.factor(step)), step + 1
        slope = rng.standard_normal(value.shape, np.float32)
        if pull:
            slope += np.float32(pull) * (value - goal)
        if l1:
            slope += np.float32(l1) * np.sign(value)
        if optim.name == "adamw":
            value = value * (1 - lr * np.float32(optim.weight_decay))
        elif optim.weight_decay:
            slope += np.float32(optim.weight_decay) * value
        value = value - lr * _step(optim, slope, mean, square, turn)
        if turn % every == 0:
            looks.append(np.abs(value))
    return np.stack(looks, 1)


def _step(optim: Optim, slope: Floats, mean: Floats, square: Floats, turn: int) -> Floats:
    """One step at learning rate 1; moments change in place."""
    if optim.name.startswith("adam"):
        one, two = map(np.float32, optim.betas)
        mean += (1 - one) * (slope - mean)
        square += (1 - two) * (slope**2 - square)
        return mean / (1 - one**turn) / (np.sqrt(square / (1 - two**turn)) + np.float32(optim.eps))
    if optim.name == "rmsprop":
        square += np.float32(1 - optim.alpha) * (slope**2 - square)
        slope = slope / (np.sqrt(square) + np.float32(optim.eps))
    mean *= np.float32(optim.momentum)
    mean += slope
    return mean


def quieter(paths: Floats, looks: Looks, *, tied: bool = True) -> NDArray[np.int64]:
    """The look at which each path of (trainings, looks + 1, units) is first quieter than chance; 0 where none is."""
    null = calibrated(paths.shape[-1], looks, tied)
    order = paths.argsort(-1).argsort(-1).astype(np.float32) - np.float32((paths.shape[-1] - 1) / 2)
    ranks = order / np.linalg.norm(order, axis=-1, keepdims=True)
    fired = shares_of(ranks, looks, tied) <= [null.limit(look) for look in range(looks.first, looks.checks + 1)]
    return np.where(fired.any(1), fired.argmax(1) + looks.first, 0)


class Shown:
    """A ranking that shows one path of scores, look by look."""

    def __init__(self, path: Tensor) -> None:
        self.path, self.now = path, 0
        self.made: dict[tuple[int, float], Mask] = {}

    def scores(self) -> Mapping[str, Tensor]:
        """The scores at this look."""
        return {"net.0": self.path[self.now]}

    def __call__(self, density: float) -> Mask:
        """The highest of them."""
        if (self.now, density) not in self.made:
            full = Channels({"net.0": torch.ones(self.path.shape[1], dtype=torch.bool)})
            self.made[self.now, density] = keep_top(self.scores(), density, within=full)
        return self.made[self.now, density]


def watched(path: Floats, checks: int = CHECKS, every: int = EVERY, **how: object) -> dict[float, int]:
    """Density -> the step at which it emerges on a path by the whole rule; nothing where that cannot be said."""
    rank = Shown(torch.from_numpy(np.asarray(path, dtype=np.float32)))
    bird = EarlyBird(rank, DENSITIES, every=every, checks=checks, **how)  # type: ignore[arg-type]
    try:
        bird.begin()
    except TicketError:  # too few units, as it says
        return {}
    for rank.now in range(1, checks + 1):
        bird.look(every * rank.now)
    return bird.emerged


def noise(units: int, trials: int) -> Iterator[tuple[str, int, int, int]]:
    """Kind of noise; in how many trainings it passes a watch that knows how it walks, one that does not; fires."""
    own = min(units, FOLLOWED)
    for kind, (optim, warmup) in NOISE.items():
        for name in SCHEDULES:
            schedule = Schedule(name, STEPS, warmup)
            paths = optimizer_steps(optim, schedule, np.ones((trials, units)), _rng("noise", kind, name, units))
            paths = paths[..., np.linspace(0, units - 1, own).round().astype(int)]
            known = quieter(paths, Looks(CHECKS, PATIENCE, EVERY, Pace.of(optim, schedule))) > 0
            unknown = np.ones(trials, dtype=bool)
            for one in SCHEDULES:
                pace = Pace.of(Optim(), Schedule(one, STEPS))
                unknown &= quieter(paths, Looks(CHECKS, PATIENCE, EVERY, pace)) > 0
            fires = sum(bool(watched(path, schedule=schedule, optim=optim)) for path in paths[known])
            yield f"{name}: {kind}", int(known.sum()), int(unknown.sum()), fires


def settling(units: int, trials: int) -> Iterator[tuple[str, int, int, float]]:
    """Kind of signal; in how many trainings 50 % emerges where the watch knows the walk, where not; when (a share).

    Gradients pull to goals, ten times as far apart as noise scatters around them, which half of the way is made to
    within 3.5 % of the training at a constant learning rate.
    """
    for kind in ("adam", "sgd, momentum 0.9"):
        optim = NOISE[kind][0]
        far = optim.lr / (1 - optim.momentum)
        pull = 1 / (far * STEPS / 20)
        for name in SCHEDULES:
            schedule, rng = Schedule(name, STEPS), _rng("settling", kind, name, units)
            goals = 1 + 10 * np.sqrt(far / (2 * pull)) * rng.standard_normal((trials, units), np.float32)
            paths = optimizer_steps(optim, schedule, np.ones((trials, units)), rng, pull=pull, goal=goals)
            known = [watched(path, schedule=schedule, optim=optim).get(0.5) for path in paths]
            unknown = [watched(path).get(0.5) for path in paths]
            steps = [step for step in known if step is not None]
            share = float(np.median(steps)) / STEPS if steps else float("nan")
            yield f"{name}: {kind}", len(steps), sum(step is not None for step in unknown), share


def _rng(*names: object) -> np.random.Generator:
    return np.random.default_rng(derive(0, "early bird benchmark", *names))


def paths_of(null: str, units: int, number: int) -> Floats:
    """Paths of scores that walk in equal steps, (number, checks + 1, units)."""
    rng = _rng(null, units)
    if null == "independent":
        return rng.standard_normal((number, CHECKS + 1, units), dtype=np.float32)
    if null == "frozen":
        return np.repeat(rng.standard_normal((number, 1, units), dtype=np.float32), CHECKS + 1, 1)
    momentum, spread = NULLS[null]
    return walks(number, units, Looks(CHECKS, PATIENCE, EVERY, Pace(momentum)), spread, rng)


def rules_on(path: Floats, momentum: float) -> NDArray[np.bool_]:
    """Whether each rule fires at each density, (3, densities): distances alone, the published rule, the watcher's."""
    rank = Shown(torch.from_numpy(path))
    masks = []
    for rank.now in range(1, CHECKS + 1):
        masks.append([packed(rank(density))["net"] for density in DENSITIES])
    found = np.zeros((3, len(DENSITIES)), dtype=bool)
    for place in range(len(DENSITIES)):
        for look in range(PATIENCE - 1, CHECKS):
            older = [masks[before][place] for before in range(look - PATIENCE + 1, look)]
            found[0, place] |= max(corrected(masks[look][place], mask) for mask in older) <= 0.2
            found[1, place] |= max(hamming(masks[look][place], mask) for mask in older) <= 0.1
    emerged = watched(path, momentum=momentum, schedule=Schedule())
    found[2] = [density in emerged for density in DENSITIES]
    return found


def bound(count: int, trials: int) -> float:
    """The largest rate at which so few would be seen in 5 % of such tables (Clopper and Pearson, 1934)."""
    return float(beta.ppf(0.95, count + 1, trials - count)) if count < trials else 1.0


def print_noise(units: list[int], trials: int) -> None:
    """The table of noise, and its goal: the rate over each row of units and kind of noise."""
    print(f"{trials} trainings of nothing but noise a row, {CHECKS} looks, {EVERY} steps apart; quieter than chance in")
    print(f"  {'units':>5} {'noise':<40} {'known':>6} {'%':>5} {'at most':>8} {'unknown':>8} {'fires':>6}")
    total = np.zeros(4, dtype=int)
    worst = 0
    for width in units:
        for kind, known, unknown, fires in noise(width, trials):
            asked = "-" if kind.endswith("rmsprop, momentum 0.9") else str(unknown)
            print(
                f"  {width:>5} {kind:<40} {known:>6} {100 * known / trials:>5.1f} {100 * bound(known, trials):>8.1f} "
                f"{asked:>8} {fires:>6}",
                flush=True,
            )
            total += (known, 0 if asked == "-" else unknown, fires, trials)
            worst = max(worst, known)
    known, unknown, fires, number = map(int, total)
    most = 100 * bound(known, number)
    print(f"  all {number} trainings: {known} pass ({100 * known / number:.2f} %, at most {most:.2f})")
    print(f"  {unknown} where nothing is known; the whole rule fires at 50, 70 or 90 % in {fires}; worst row {worst}")
    goal("trainings of noise that pass", known / number, MOST)


def print_settling(units: list[int], trials: int) -> None:
    """The table of rankings that settle."""
    print(f"{trials} trainings a row whose rankings settle; 50 % emerges in")
    print(f"  {'units':>5} {'signal':<30} {'known, %':>8} {'unknown, %':>10} {'at % of the training':>21}")
    for width in units:
        for kind, known, unknown, share in settling(width, trials):
            rates = f"{100 * known / trials:>8.0f} {100 * unknown / trials:>10.0f} {100 * share:>21.0f}"
            print(f"  {width:>5} {kind:<30} {rates}", flush=True)


def print_rules(units: list[int], trials: int) -> None:
    """The table of the rules on walks of equal steps, independent and frozen scores."""
    print(f"{trials} trainings of {CHECKS} looks each; % in which a rule fires, by sparsity")
    titles = ("distance <= 0.2", "published, 0.1", "the watcher's")
    print(f"  {'units':>5} {'noise':<22}" + "".join(f"{title:^24}" for title in titles))
    print(" " * 30 + "".join(f"{f'{100 * (1 - density):.0f} %':>8}" for density in DENSITIES) * len(titles))
    for width in units:
        for null in ("independent", *NULLS, "frozen"):
            momentum = NULLS[null][0] if null in NULLS else 0.0
            rates = np.mean([rules_on(path, momentum) for path in paths_of(null, width, trials)], 0)
            print(f"  {width:>5} {null:<22}" + "".join(f"{100 * rate:>8.1f}" for rate in rates.flat), flush=True)


PARTS = {"noise": (print_noise, 500), "settling": (print_settling, 50), "rules": (print_rules, 200)}
"""What is printed, from how many trainings a row."""


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description="How often early birds emerge from noise and from signals.")
    parser.add_argument("--quick", action="store_true", help="few trainings, up to 64 units")
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=["noise", "settling"])
    parser.add_argument("--units", type=int, nargs="+", default=list(UNITS), help="widths of the component")
    parser.add_argument("--trials", type=int, help="trainings a row")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(machine(1))
    for part in chosen.part:
        show, trials = PARTS[part]
        units = [width for width in chosen.units if width <= 64] if chosen.quick else chosen.units
        show(units, chosen.trials or (trials // 10 if chosen.quick else trials))


if __name__ == "__main__":
    main()
