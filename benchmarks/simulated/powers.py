"""How often the true verdict is found, and whether printed chances come true."""

from __future__ import annotations

import numpy as np
from simulated import first_edition
from simulated.cells import Cell

from gentickets.simulation import Level, Runs, World, draw_runs, run_verdicts
from gentickets.statistics import (
    VERDICTS,
    Arms,
    Terms,
    judge,
)
from gentickets.statistics.outlook import outlook

FIRST_WORDS = {"winner": 6, "head start": 5, "tie": 3, "loser": 1}
"""What the first edition calls these truths, as places in its `WORDS`."""


def power(truth: str, seeds: int, runs: int, seed: int) -> dict[str, list[float]]:
    """The share of runs with the true verdict after each analysis, by the first edition's rule and by this one."""
    cell = Cell(truth, seeds=seeds, controls=7, levels=2)
    world = cell.world
    new = run_verdicts(world, cell.terms, runs=runs, seed=seed)[..., 0]
    old = run_verdicts(world, cell.terms, runs=runs, seed=seed, rule=first_edition.codes)[..., 0]
    wins = VERDICTS.index("WINS")
    return {
        "second": [float((one == world.truth(0)).mean()) for one in new],
        "first": [float((one == FIRST_WORDS[truth]).mean()) for one in old],
        "first, WINS": [float((one == wins).mean()) for one in old],
    }


def calibration(worlds: int, draws: int, seed: int) -> dict[str, list[list[float]]]:
    """Chances of the verdict with 10 seeds, printed at 5: kind -> [chance, came true] of every verdict and world.

    ``plugged in`` is what the first edition printed: as many new seeds, from the means and covariances of those there.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[list[float]]] = {"predictive": [], "plugged in": []}
    for number in range(worlds):
        leads = tuple(rng.normal(0.2, 0.4) + rng.normal(0, 0.2, 3))
        level = Level(float(rng.uniform(-1.2, 0.3)), leads)
        more = Level(level.loss + rng.normal(0, 0.2), tuple(one + rng.normal(0, 0.2) for one in leads))
        world = World((level, level), longer=more)
        terms = Terms(world.margin, 5)
        drawn = draw_runs(world, 1, 10, seed + number)
        true = int(judge(drawn.levels, terms, longer=drawn.longer).codes[0, 0])
        first = _single(drawn.first(5))
        printed = outlook(first.levels, terms, 10, longer=first.longer, draws=draws, seed=number)
        plugged = _plugged_in(first, terms, draws, seed + number)
        for kind, chances in (("predictive", list(printed.values())), ("plugged in", plugged)):
            found[kind] += [[chance, float(code == true)] for code, chance in enumerate(chances)]
    return found


def brier(pairs: list[list[float]]) -> float:
    """The mean over worlds of the squared distance between chances and what came (Brier, 1950)."""
    chance, came = np.array(pairs).T
    return float(((chance - came) ** 2).sum() / (len(pairs) / len(VERDICTS)))


def between(pairs: list[list[float]], low: float, high: float) -> tuple[float, float, int]:
    """Of chances in a range: their mean, how many came true, and of how many."""
    chance, came = np.array(pairs).T
    rows = (chance >= low) & (chance <= high)
    return float(chance[rows].mean()), float(came[rows].mean()), int(rows.sum())


def _single(runs: Runs) -> Runs:
    """One run in arrays (seeds)."""

    def row(one: Arms) -> Arms:
        return Arms(one.ticket[0], one.dense[0], {name: arm[0] for name, arm in one.controls.items()})

    return Runs(tuple(map(row, runs.levels)), row(runs.longer) if runs.longer else None, runs.declared)


def _plugged_in(runs: Runs, terms: Terms, draws: int, seed: int) -> list[float]:
    arms: list[np.ndarray] = []
    for one in (*runs.levels, runs.longer):
        assert one is not None
        arms += [one.ticket, one.dense, *one.controls.values()]
    seen = np.stack(arms)
    centred = (seen - seen.mean(-1, keepdims=True)) / np.sqrt(seen.shape[-1] - 1)
    standard = np.random.default_rng(seed).standard_normal((draws, 10, seen.shape[-1]))
    values = np.einsum("as,dns->adn", centred, standard) + seen.mean(-1)[:, None, None]
    size = len(arms) // 3
    levels = []
    for place in range(3):
        own = values[place * size : (place + 1) * size]
        names = runs.levels[0].controls
        levels.append(Arms(own[0], own[1], dict(zip(names, own[2:], strict=True))))
    codes = judge(levels[:2], terms, longer=levels[2]).codes[:, 0]
    return (np.bincount(codes, minlength=len(VERDICTS)) / draws).tolist()
