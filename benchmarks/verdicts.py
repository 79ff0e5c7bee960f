"""How often verdicts are wrong, and whether printed chances come true, in worlds where the truth is known.

Runs are drawn by the thousand from known distributions and judged by the code that judges a real one. In the worlds of
the first tables no ticket wins, each at the very edge of winning: "worse" by exactly the margin, against poor controls;
"matched" by one control exactly, far better than dense; "both" in turn over the levels; "vanishing": the declared level
wins at equal steps and is matched when trained longer, the others are worse. Two looks, as a claim has unless told;
undecided runs get twice as many seeds. Rates are in per cent.

    python benchmarks/verdicts.py [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np
from measure import goal, machine
from scipy import stats

from gentickets.simulation import (
    Level,
    Runs,
    World,
    as_needed,
    best_of_levels,
    draw_runs,
    run_verdicts,
    typical,
    within_one_deviation,
)
from gentickets.statistics import (
    EQUAL_STEPS,
    FASTER,
    UNDECIDED,
    WINS,
    Values,
    bootstrap_interval,
    chances,
    decide,
    holm,
    p_below,
    seeds_needed,
    shown,
)

SEED, ALPHA, MARGIN = 0, 0.05, 0.02
WORSE = Level(1 + MARGIN, {"reinit": 2.0})
MATCHED = Level(0.5, {"reinit": 0.5, "shuffle": 2.0})
GOOD = Level(0.5, {"reinit": 2.0})
NEAR = Level(1.0, {"reinit": 1.04, "shuffle": 1.06})
"""Good and near: a ticket as good as dense, 4 and 6 % better than its controls."""
EQUAL = Level(0.9, {"reinit": 0.9})
SEEDS, LEVELS, DEVIATIONS = tuple(range(3, 11)), (1, 2, 5, 10), (0.01, 0.02, 0.03, 0.05, 0.1)
Kind = Callable[[int, float], World]
WORLDS: dict[str, Kind] = {
    "worse": lambda levels, cv: World((WORSE,) * levels, cv=cv),
    "matched": lambda levels, cv: World((MATCHED,) * levels, cv=cv),
    "both": lambda levels, cv: World(tuple([WORSE, MATCHED][place % 2] for place in range(levels)), cv=cv),
    "vanishing": lambda levels, cv: World((GOOD, *(WORSE,) * (levels - 1)), longer=EQUAL, cv=cv),
}


def error(rate: float, runs: int) -> float:
    """The standard error of a simulated rate."""
    return float(np.sqrt(max(rate * (1 - rate), 1 / runs) / runs))


def false_wins(runs: int, quick: bool) -> float:
    """Print the rates of false wins, in %; returns the highest."""
    print(f"\nFalse wins of all levels, % of {runs:,} runs a cell; alpha {100 * ALPHA:g} %, two looks")
    print(" " * 22 + "".join(f"{f'{seeds} seeds':>10}" for seeds in SEEDS) + "     seeds in the end, from 3")
    worst = 0.0
    for name, kind in WORLDS.items():
        for cv in DEVIATIONS if name in ("worse", "matched") and not quick else (0.03,):
            for levels in LEVELS:
                world = kind(levels, cv)
                found = [run_verdicts(world, seeds, runs=runs, seed=SEED) for seeds in SEEDS]
                rates = [float(world.false_wins(one.words, MARGIN).any(0).mean()) for one in found]
                worst = max(worst, *rates)
                line = f"  {name:<10} {100 * cv:>3.0f} % {levels:>3}" + "".join(
                    f"{100 * rate:>10.2f}" for rate in rates
                )
                print(f"{line}{found[0].seeds.mean():>12.1f}", flush=True)
    print("  (columns: world, standard deviation over seeds as % of the mean, levels; a win at any look counts)")
    return worst


def shapes(runs: int) -> None:
    """Print rates where seeds are not normal."""
    print("\nThe same where seeds are not normal, %")
    print(" " * 66 + "".join(f"{f'{seeds} seeds':>10}" for seeds in (3, 5, 10)))
    both = (WORSE, MATCHED, WORSE)
    worlds = {
        "both, 3 levels, log-normal, 10 %": World(both, cv=0.1, distribution="log-normal"),
        "both, 3 levels, Student's t with 3 degrees, 10 %": World(both, cv=0.1, distribution="t"),
    }
    for factor in (10, 30, 100):
        level = Level(0.5, {"reinit": 0.5, "shuffle": 2.0}, scatter={"ticket": factor})
        name = f"matched, log-normal, the ticket {factor} %, its control 1 %"
        worlds[name] = World((level,), cv=0.01, distribution="log-normal")
    for name, world in worlds.items():
        found = (run_verdicts(world, seeds, runs=runs, seed=SEED).words for seeds in (3, 5, 10))
        rates = [world.false_wins(words, MARGIN).any(0).mean() for words in found]
        print(f"  {name:<64}" + "".join(f"{100 * rate:>10.2f}" for rate in rates), flush=True)


def parts(runs: int) -> None:
    """Print what happens when one part of the rules is left out."""
    print("\nFalse wins where a part of the rules is left out, %, 5 seeds unless told")
    for name, without, whole in left_out(runs):
        print(f"  {name:<74}{100 * without:>8.2f}   with it {100 * whole:>6.2f}")


def left_out(runs: int) -> Iterator[tuple[str, float, float]]:
    """Part, rate without it, rate with it."""

    def rate(world: World, words: np.ndarray) -> float:
        return float(world.false_wins(words, MARGIN).mean())

    ten = World((WORSE,) * 10)
    drawn = draw_runs(ten, runs, 5, SEED)
    each = np.concatenate([decide([shown(one, MARGIN)], ALPHA).words for one in drawn.levels], -1)
    yield "Holm over 10 levels", rate(ten, each), rate(ten, drawn.words(MARGIN, ALPHA))
    one = World((WORSE,))
    twice = run_verdicts(one, 5, alpha=2 * ALPHA, runs=runs, seed=SEED).words[-1]
    yield "alpha shared by two looks", rate(one, twice), rate(one, run_verdicts(one, 5, runs=runs, seed=SEED).words[-1])
    free = run_verdicts(one, 3, rule=as_needed, scheduled=False, runs=4 * runs, seed=SEED).words[-1]
    held = run_verdicts(one, 3, runs=4 * runs, seed=SEED).words[-1]
    yield "declared sizes of looks: 3 seeds, then as many as seem needed", rate(one, free), rate(one, held)
    losses = np.random.default_rng(SEED).standard_normal((runs, 12))
    any_size = np.logical_or.reduce([p_below(losses[:, :seeds]) <= ALPHA / 2 for seeds in range(3, 13)])
    two = np.logical_or.reduce([p_below(losses[:, :seeds]) <= ALPHA / 2 for seeds in (3, 6)])
    yield "declared sizes of looks: a look at each of 3, 4, ... 12 seeds", float(any_size.mean()), float(two.mean())
    matched = World((MATCHED,))
    (own,) = draw_runs(matched, runs, 5, SEED).levels
    fewer = Values(own.ticket, own.dense, {"shuffle": own.controls["shuffle"]})
    whole = rate(matched, decide([shown(own, MARGIN)], ALPHA).words)
    yield "one control", rate(matched, decide([shown(fewer, MARGIN)], ALPHA).words), whole
    twins = World((Level(0.5, {"reinit": 0.5, "scaled": 0.51}, scatter={"reinit": 10.0}),))
    (own,) = draw_runs(twins, runs, 5, SEED).levels
    plain, scaled = own.controls["reinit"], own.controls["scaled"]
    better = np.where((plain.mean(-1) < scaled.mean(-1))[:, None], plain, scaled)
    picked = decide([shown(Values(own.ticket, own.dense, {"better": better}), MARGIN)], ALPHA).words
    name = "both twins as opponents (the better mean alone; one scatters 10 times as far)"
    yield name, rate(twins, picked), rate(twins, decide([shown(own, MARGIN)], ALPHA).words)
    vanishing = WORLDS["vanishing"](2, 0.03)
    drawn = draw_runs(vanishing, runs, 5, SEED)
    words = drawn.words(MARGIN, ALPHA)
    short = holm(np.stack([shown(level, MARGIN).wins for level in drawn.levels], -1))[:, 1] <= ALPHA
    yield (
        "Holm with the whole claim of the longer trained level",
        float((short | (words[:, 0] == WINS)).mean()),
        rate(vanishing, words),
    )


def habits(runs: int) -> None:
    """Print how often the field's rules call a ticket winning that is worse by 3 %."""
    print("\nA ticket worse than dense by 3 %, ten levels, arms drawn apart: called winning, %")
    titles = ("within one sd", "best of ten", "verdict, ten levels")
    print(f"  {'seeds scatter by':<18}{'seeds':>6}" + "".join(f"{title:>22}" for title in titles))
    for cv in (0.03, 0.05):
        for seeds in (3, 5, 10, 30):
            world = World((Level(1.03, {"reinit": 2.0}),) * 10, cv=cv, correlation=0.0)
            drawn = draw_runs(world, runs, seeds, SEED)
            ours = world.false_wins(drawn.words(MARGIN, ALPHA), MARGIN)
            rates = (within_one_deviation(drawn.levels[0]), best_of_levels(drawn.levels), ours)
            print(f"  {100 * cv:>5.0f} %{seeds:>17}" + "".join(f"{100 * rate.mean():>22.1f}" for rate in rates))


def power(runs: int) -> float:
    """Print chances beside simulated shares; returns the largest difference in its standard errors."""
    print(f"\nChances at a look of {100 * ALPHA / 2:g} %, from a typical run | simulated on {runs:,} others, %")
    words = (WINS, EQUAL_STEPS, FASTER, UNDECIDED)
    print(" " * 32 + "".join(f"{word:>26}" for word in words))
    worst = 0.0
    longer = Level(0.95, {"reinit": 0.98, "shuffle": 1.0})
    worlds = {
        "one level": World((NEAR,), cv=0.02),
        "three levels, longer": World((NEAR, GOOD, WORSE), longer=longer, cv=0.02),
        "vanishing": World((GOOD,), longer=Level(0.95, {"reinit": 0.95}), cv=0.02),
    }
    for name, world in worlds.items():
        run = typical(world, 40, SEED)
        for seeds in (3, 5, 10, 20):
            printed = chances(run.levels, MARGIN, ALPHA / 2, seeds, longer=run.longer, draws=runs, seed=SEED)
            found = draw_runs(world, runs, seeds, SEED + 1).words(MARGIN, ALPHA / 2)[:, 0]
            cells = []
            for word in words:
                share = float((found == word).mean())
                worst = max(worst, abs(share - printed[word]) / (np.sqrt(2) * error(printed[word], runs)))
                cells.append(f"{100 * printed[word]:.1f} | {100 * share:.1f}")
            print(f"  {name:<22}{seeds:>2} seeds" + "".join(f"{cell:>26}" for cell in cells))
    return worst


def plugged_in(runs: int) -> None:
    """Print how far chances from few seeds scatter."""
    print(f"\nChance of {EQUAL_STEPS} printed from the first few seeds: quantiles over {runs} runs, %")
    print(
        f"  {'first seeds':>11}{'for':>6}{'true':>8}{'10 %':>8}{'25 %':>8}{'50 %':>8}{'75 %':>8}{'90 %':>8}{'mean':>8}"
    )
    world = World((NEAR,), cv=0.02)
    for first in (3, 5, 10):
        drawn = draw_runs(world, runs, first, SEED)
        for seeds in (5, 10, 20):
            true = (draw_runs(world, 20_000, seeds, SEED + 1).words(MARGIN, ALPHA / 2)[:, 0] == EQUAL_STEPS).mean()
            found = [
                chances(single(drawn, row), MARGIN, ALPHA / 2, seeds, draws=500)[EQUAL_STEPS] for row in range(runs)
            ]
            spread = [true, *np.quantile(found, (0.1, 0.25, 0.5, 0.75, 0.9)), np.mean(found)]
            print(f"  {first:>11}{seeds:>6}" + "".join(f"{100 * value:>8.0f}" for value in spread), flush=True)
        asked = [seeds_needed(single(drawn, row), MARGIN, ALPHA / 2, draws=250) or 201 for row in range(min(runs, 100))]
        spread = ", ".join(f"{value:.0f}" for value in np.quantile(asked, (0.1, 0.25, 0.5, 0.75, 0.9)))
        print(f"  {first:>11}   seeds needed, at the same quantiles: {spread}", flush=True)
    exact = seeds_needed(typical(world, 5, SEED).levels, MARGIN, ALPHA / 2)
    known = next(seeds for seeds in range(4, 41) if simulated_power(world, seeds) >= 0.8)
    print(f"  seeds needed, simulated: {known}; printed from a typical run: {exact}")


def simulated_power(world: World, seeds: int) -> float:
    """The chance that the first level is decided."""
    return float((draw_runs(world, 20_000, seeds, SEED + 2).words(MARGIN, ALPHA / 2)[:, 0] != UNDECIDED).mean())


def single(runs: Runs, row: int) -> list[Values]:
    """One run in arrays (seeds)."""
    return [
        Values(one.ticket[row], one.dense[row], {name: arm[row] for name, arm in one.controls.items()})
        for one in runs.levels
    ]


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


def speed() -> None:
    """Print how long the questions take that a verdict asks."""
    level = Level(1.0, {f"control {place}": 1.02 for place in range(6)})
    levels = single(draw_runs(World((level,) * 5), 1, 3, SEED), 0)
    print("\nSeconds, 5 levels with 6 controls, 2,000 draws")
    questions: dict[str, Callable[[], object]] = {
        "chances with 10 seeds": lambda: chances(levels, MARGIN, ALPHA / 2, 10),
        "chances with 200 seeds": lambda: chances(levels, MARGIN, ALPHA / 2, 200),
        "seeds needed": lambda: seeds_needed(levels, MARGIN, ALPHA / 2),
    }
    for name, ask in questions.items():
        start = perf_counter()
        ask()
        print(f"  {name:<24}{perf_counter() - start:>6.2f}")


def main() -> None:
    """Print all tables, and the goals beside what was found."""
    parser = argparse.ArgumentParser(description="How often verdicts are wrong where the truth is known.")
    parser.add_argument("--quick", action="store_true", help="fewer runs and worlds")
    quick = parser.parse_args().quick
    runs = 2000 if quick else 10_000
    start = perf_counter()
    print(f"{machine(1)}\nseed {SEED}")
    worst = false_wins(runs, quick)
    shapes(runs)
    parts(runs)
    habits(runs)
    furthest = power(2 * runs)
    plugged_in(runs // 25)
    coverage(runs // 2)
    speed()
    print(f"\nGoals ({perf_counter() - start:.0f} s)")
    goal("highest rate of false wins of the first table", worst, ALPHA + 3 * error(ALPHA, runs))
    goal("furthest printed chance from the simulated one, in standard errors", furthest, 4.0)


if __name__ == "__main__":
    main()
