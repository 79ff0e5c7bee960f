"""How often an early bird emerges where there is nothing to find.

Scores that are independent at every look, that walk at random from equal ones (as scales of norms begin), with and
without an optimizer's momentum, or from a spread (as DCGAN's begin), and that stand still. One component of so many
units is watched over a whole training of 50 looks. Beside the watcher's rate stand those of what it would be without
its guards: distances alone, chance-corrected and at most 0.2, or plain and at most 0.1 (You et al., 2020).

    python benchmarks/early_bird_null.py [--quick] [--units 16 48]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
import torch
from measure import goal, machine
from torch import Tensor

from gentickets.earlybird import EarlyBird, Looks, Pace, corrected, hamming, packed
from gentickets.earlybird.walks import walks
from gentickets.errors import TicketError
from gentickets.masks import Channels, Mask, keep_top
from gentickets.optimizers import Schedule
from gentickets.seeds import derive

CHECKS, EVERY, PATIENCE, MOST = 50, 10, 5, 0.01
DENSITIES = (0.5, 0.3, 0.1)
UNITS = (8, 12, 16, 24, 48, 128, 512)
NULLS: dict[str, tuple[float, float]] = {
    "walk": (0.0, 0.0),
    "walk, momentum 0.9": (0.9, 0.0),
    "from half its spread": (0.9, 0.5),
    "from 5 x its spread": (0.9, 5.0),
    "from 500 x its spread": (0.9, 500.0),
}
"""Momentum, and the variance at the beginning as a multiple of what the walk adds."""


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


def paths(null: str, units: int, number: int) -> Tensor:
    """Paths of scores, (number, checks + 1, units)."""
    rng = np.random.default_rng(derive(0, "benchmark", null, units))
    if null == "independent":
        return torch.from_numpy(rng.standard_normal((number, CHECKS + 1, units), dtype=np.float32))
    if null == "frozen":
        return torch.from_numpy(rng.standard_normal((number, 1, units), dtype=np.float32)).expand(-1, CHECKS + 1, -1)
    momentum, spread = NULLS[null]
    return torch.from_numpy(walks(number, units, Looks(CHECKS, PATIENCE, EVERY, Pace(momentum)), spread, rng))


def fires(path: Tensor, momentum: float) -> np.ndarray:
    """Whether each rule fires at each density, (3, densities): distances alone, the published rule, the watcher's."""
    rank = Shown(path)
    masks = []
    for rank.now in range(1, CHECKS + 1):
        masks.append([packed(rank(density))["net"] for density in DENSITIES])
    found = np.zeros((3, len(DENSITIES)), dtype=bool)
    for place in range(len(DENSITIES)):
        for look in range(PATIENCE - 1, CHECKS):
            older = [masks[before][place] for before in range(look - PATIENCE + 1, look)]
            found[0, place] |= max(corrected(masks[look][place], mask) for mask in older) <= 0.2
            found[1, place] |= max(hamming(masks[look][place], mask) for mask in older) <= 0.1
    rank.now = 0
    bird = EarlyBird(rank, DENSITIES, every=EVERY, checks=CHECKS, momentum=momentum, schedule=Schedule())
    try:
        bird.begin()
    except TicketError:  # too few units, as it says
        return found
    for rank.now in range(1, CHECKS + 1):
        bird.look(EVERY * rank.now)
    found[2] = [density in bird.emerged for density in DENSITIES]
    return found


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description="How often early birds emerge from noise.")
    parser.add_argument("--quick", action="store_true", help="few walks")
    parser.add_argument("--units", type=int, nargs="+", default=list(UNITS), help="widths of the component")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    number = 20 if chosen.quick else 200
    print(f"{machine(1)}\n{number} trainings of {CHECKS} looks each; % in which a rule fires, by sparsity")
    titles = ("distance <= 0.2", "published, 0.1", "the watcher's")
    print(f"  {'units':>5} {'noise':<22}" + "".join(f"{title:^24}" for title in titles))
    print(" " * 30 + "".join(f"{f'{100 * (1 - density):.0f} %':>8}" for density in DENSITIES) * len(titles))
    worst = 0.0
    for units in chosen.units:
        all_rates = []
        for null in ("independent", *NULLS, "frozen"):
            momentum = NULLS[null][0] if null in NULLS else 0.0
            rates = np.mean([fires(path, momentum) for path in paths(null, units, number)], 0)
            all_rates.append(rates[2])
            print(f"  {units:>5} {null:<22}" + "".join(f"{100 * rate:>8.1f}" for rate in rates.flat), flush=True)
        worst = max(worst, float(np.mean(all_rates, 0).max()))
    if not chosen.quick:
        goal("the watcher's rate over all kinds of noise, at the worst width and sparsity", worst, MOST)


if __name__ == "__main__":
    main()
