"""How often the field's rules call a worse ticket a winner, and how often intervals over few seeds hold the true mean.

A ticket is worse than dense by 3 %, at ten levels whose arms scatter apart. "Within one sd": its mean is at most the
dense mean plus one standard deviation of dense; "best of ten": some level is. Beside them the verdict, at one analysis
and with a margin of 2 %: MATCHES DENSE or better at any level.

    python benchmarks/habits.py [--quick]
"""

from __future__ import annotations

import argparse

import numpy as np
from measure import machine
from scipy import stats

from gentickets.simulation import Level, World, best_of_levels, draw_runs, false_rates, run_verdicts
from gentickets.simulation.judging import within_one_deviation
from gentickets.statistics import (
    Margin,
    Terms,
    bootstrap_interval,
)

SEED = 0
MARGIN = Margin(0.02, "share", floor=0.0)


def habits(runs: int) -> None:
    """Print the rates of the field's rules."""
    print(f"\nA ticket worse than dense by 3 %, ten levels: called winning, % of {runs:,}")
    titles = ("within one sd", "best of ten", "verdict, ten levels")
    print(f"  {'seeds scatter by':<18}{'seeds':>6}" + "".join(f"{title:>22}" for title in titles))
    for deviation in (3.0, 5.0):
        for seeds in (3, 5, 10, 30):
            world = World((Level(0.5, (5.0,)),) * 10, margin=MARGIN, deviation=deviation, correlation=0.0)
            drawn = draw_runs(world, runs, seeds, SEED)
            codes = run_verdicts(world, Terms(MARGIN, seeds, analyses=1), runs=runs, seed=SEED)
            ours = false_rates(world, codes).praise
            rates = (within_one_deviation(drawn.levels[0]).mean(), best_of_levels(drawn.levels).mean(), ours)
            print(f"  {deviation:>5.0f} %{seeds:>17}" + "".join(f"{100 * rate:>22.1f}" for rate in rates), flush=True)


def coverage(runs: int) -> None:
    """Print how often intervals hold the true mean."""
    print(f"\nTwo-sided 95 % intervals of normal losses that hold the true mean, % of {runs:,}")
    for seeds in (3, 5, 10):
        losses = np.random.default_rng(SEED).standard_normal((runs, seeds))
        intervals = [bootstrap_interval(sample) or (0.0, 0.0) for sample in losses]
        held = np.mean([low <= 0 <= high for low, high in intervals])
        half = stats.t.ppf(0.975, seeds - 1) * losses.std(-1, ddof=1) / np.sqrt(seeds)
        students = np.mean(np.abs(losses.mean(-1)) <= half)
        print(f"  {seeds:>2} seeds: bootstrap {100 * held:.1f}, Student's t {100 * students:.1f}", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="The field's rules for winning tickets, where the truth is known.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    runs = 1000 if parser.parse_args().quick else 10_000
    print(f"{machine(1)}\nseed {SEED}")
    habits(runs)
    coverage(runs // 5)


if __name__ == "__main__":
    main()
