"""Calibrates the sizes of interim analyses for paired t tests, exactly, and writes the table that verdicts use.

A test of size a may err at spent(a, t) by the analysis that holds a part t of all seeds. The first analysis tests at
what it may spend; how much larger than its own spending each later one may test is solved for here, for normal
contrasts, at n, 2 n (and 4 n) seeds.

Given T of 2 n seeds, the seeds' direction is uniform on a sphere, so the joint law of T at n and 2 n needs two
integrals, and that with 4 n seeds three; both by Gauss-Legendre quadrature. Some entries are tried again by simulation.

    python benchmarks/spending.py            # prints the table beside the one handed in, and what simulation says
    python benchmarks/spending.py --quick    # compares the table that verdicts read, and calibrates one row of it again
    python benchmarks/spending.py --write    # writes gentickets/statistics/spending_table.py too
"""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import optimize, special

from gentickets.statistics.spending import KINDS, spent
from gentickets.statistics.spending_table import TABLE

HOME = Path(__file__).resolve().parent.parent
TARGET = HOME / "gentickets" / "statistics" / "spending_table.py"
SIZES = (
    1e-9, 1e-7, 1e-6, 1e-5, 3e-5, 1e-4, 2e-4, 5e-4, 0.001, 0.0015, 0.0025, 0.0035, 0.005, 0.0075, 0.01, 0.0125, 0.016,
    0.02, 0.025, 0.03, 0.035, 0.04, 0.045, 0.05, 0.06, 0.08, 0.1, 0.14, 0.2,
)  # fmt: skip
ROWS = {2: (3, 4, 5, 6, 8, 10, 15, 20, 30), 3: (3, 4, 5, 6, 8, 10)}
HANDED = {
    3: (0.621, 0.606, 0.582, 0.553, 0.546, 0.536),
    4: (0.641, 0.627, 0.601, 0.568, 0.562, 0.544),
    5: (0.653, 0.637, 0.612, 0.581, 0.574, 0.544),
    6: (0.665, 0.648, 0.622, 0.594, 0.586, 0.563),
    8: (0.672, 0.659, 0.634, 0.603, 0.595, 0.571),
    10: (0.679, 0.665, 0.641, 0.604, 0.596, 0.576),
    15: (0.693, 0.682, 0.655, 0.624, 0.614, 0.595),
}
"""What the specification gives for linear spending and two analyses, found by 6 million paths."""
HANDED_SIZES = (0.05, 0.04, 0.025, 0.0125, 0.01, 0.005)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)
_ANGLES = np.linspace(-np.pi / 2, np.pi / 2, 3001)[1:-1]
Array = np.ndarray


def quadrature(low: Array, high: Array) -> tuple[Array, Array]:
    """Nodes and weights (..., nodes) of integrals from ``low`` to ``high`` (...)."""
    half = (high - low)[..., None] / 2
    return low[..., None] + half * (1 + _NODES), half * _WEIGHTS


def cosine(t: Array, n: int) -> Array:
    """The cosine between n seeds and their mean's direction, from Student's t of them."""
    return t / np.sqrt(t * t + n - 1)


def first_misses(cosines: Array, n: int, bound: float) -> Array:
    """The chance that T of the first n seeds is above ``bound`` (< 0), given the cosine of all 2 n (...)."""
    m, rest = np.asarray(cosines, dtype=float), np.sqrt(1 - np.square(cosines))
    # T(n) > bound: where (m + rest v) / sqrt 2 >= 0, or the residual's part w is large enough
    b = bound * bound
    leading, linear, constant = (n - 1) / 2 + b, (n - 1) * m / rest, (n - 1) / 2 * (m / rest) ** 2 - b
    root = (-linear - np.sqrt(np.maximum(linear * linear - 4 * leading * constant, 0.0))) / (2 * leading)
    zero = np.clip(-m / rest, -1.0, 1.0)
    v, weights = quadrature(np.clip(root, -1.0, zero), zero)
    with np.errstate(divide="ignore"):
        needed = (n - 1) * (m[..., None] + rest[..., None] * v) ** 2 / (2 * b * rest[..., None] ** 2 * (1 - v * v))
    chance = special.betaincc((n - 1) / 2, (n - 1) / 2, np.clip(needed, 0.0, 1.0))
    density = (1 - v * v) ** (n - 2) / special.beta(0.5, n - 1)
    above = 0.5 - 0.5 * np.sign(zero) * special.betainc(0.5, n - 1, zero * zero)
    return above + (chance * density * weights).sum(-1)


def normal_theory(size: float) -> float:
    """The second of two analyses' size by linear spending if contrasts had known variances, over the test's."""
    first = special.ndtri(size / 2)

    def alone(second: float) -> float:
        u, weights = quadrature(np.array(0.0), np.array(second))
        missed = special.ndtr((special.ndtri(u) * np.sqrt(0.5) - first) / np.sqrt(0.5))
        return float((missed * weights).sum())

    return float(optimize.brentq(lambda tried: alone(tried) - size / 2, size / 2, size)) / size


@lru_cache(maxsize=4)
def _first_misses(n: int, first: float) -> Array:
    """The same at all angles of a fine grid."""
    return first_misses(np.sin(_ANGLES), n, special.stdtrit(n - 1, first))


def second_alone(n: int, first: float, second: float) -> float:
    """The chance that T of 2 n seeds rejects at size ``second`` and that of the first n has not at ``first``."""
    u, weights = quadrature(np.array(0.0), np.array(second))
    cosines = cosine(special.stdtrit(2 * n - 1, u), 2 * n)
    return float((weights * first_misses(cosines, n, special.stdtrit(n - 1, first))).sum())


def third_alone(n: int, first: float, second: float, third: float) -> float:
    """The chance that T of 4 n seeds rejects at ``third`` and neither earlier one has."""
    bound = special.stdtrit(2 * n - 1, second)
    missed = _first_misses(n, first)
    u, weights = quadrature(np.array(0.0), np.array(third))
    m = cosine(special.stdtrit(4 * n - 1, u), 4 * n)
    rest = np.sqrt(1 - m * m)
    zero = np.clip(-m / rest, -1.0, 1.0)
    total = np.zeros_like(u)
    for low, high in ((-np.ones_like(zero), zero), (zero, np.ones_like(zero))):
        v, of_v = quadrature(low, high)
        along = (m[:, None] + rest[:, None] * v) / np.sqrt(2)
        size = rest[:, None] * np.sqrt(1 - v * v)
        # T(2 n) = along sqrt(2n - 1) / (size sqrt w) > bound
        with np.errstate(divide="ignore"):
            least = np.where(along < 0, np.abs(along) * np.sqrt(2 * n - 1) / (size * abs(bound)), 0.0)
        theta, of_w = quadrature(np.arcsin(np.clip(least, 0.0, 1.0)), np.full_like(least, np.pi / 2))
        sine = np.sin(theta)
        found = np.interp(np.arctan2(along[..., None], size[..., None] * sine), _ANGLES, missed)
        density = 2 * (sine * np.cos(theta)) ** (2 * n - 2) / special.beta(n - 0.5, n - 0.5)
        inner = (found * density * of_w).sum(-1)
        over = (1 - v * v) ** (2 * n - 2) / special.beta(0.5, 2 * n - 1)
        total += (inner * over * of_v).sum(-1)
    return float((weights * total).sum())


def nominal(n: int, size: float, analyses: int, kind: str) -> list[float]:
    """The sizes at which a test of size ``size`` may test at each analysis."""
    times = [2.0 ** (number - analyses + 1) for number in range(analyses)]
    budget = [float(spent(size, time, kind)) for time in times]
    found = [budget[0]]
    for place in range(1, analyses):
        own = budget[place] - budget[place - 1]

        def excess(tried: float, place: int = place, own: float = own) -> float:
            alone = second_alone(n, found[0], tried) if place == 1 else third_alone(n, found[0], found[1], tried)
            return alone / own - 1

        high = min(0.999 * 0.5, budget[place]) if place == 1 else min(0.499, budget[place])
        if excess(own) >= 0:  # by the quadrature's error: what is left is all that there is
            found.append(own)
        else:
            found.append(float(optimize.brentq(excess, own, high, rtol=1e-7)) if excess(high) > 0 else high)
    return found


def rounded_down(ratio: float) -> float:
    """Four digits: more than the quadrature's error, which is under 1e-4 of the ratio."""
    digits = 3 - math.floor(math.log10(ratio))
    return math.floor(ratio * 10**digits) / 10**digits


def calibrated() -> dict[tuple[str, int], dict[int, list[tuple[float, ...]]]]:
    """(kind, analyses) -> seeds -> for each size, the later analyses' sizes over it, rounded down."""
    found: dict[tuple[str, int], dict[int, list[tuple[float, ...]]]] = {}
    for kind in KINDS:
        for analyses in (2, 3):
            rows = {}
            for n in ROWS[analyses]:
                each = [nominal(n, size, analyses, kind)[1:] for size in SIZES]
                rows[n] = [
                    tuple(rounded_down(one / size) for one in later) for later, size in zip(each, SIZES, strict=True)
                ]
            found[kind, analyses] = rows
            print(f"{kind}, {analyses} analyses: done", flush=True)
    return found


def simulated(n: int, sizes: list[float], paths: int, seed: int = 0) -> float:
    """The chance that any analysis at n, 2 n, ... rejects at those sizes, in simulated normal contrasts."""
    rng, hits, chunk = np.random.default_rng(seed), 0, 50_000
    for _ in range(paths // chunk):
        drawn = rng.standard_normal((chunk, n * 2 ** (len(sizes) - 1)))
        found = np.zeros(chunk, dtype=bool)
        for number, size in enumerate(sizes):
            own = drawn[:, : n * 2**number]
            t = own.mean(-1) * np.sqrt(own.shape[-1]) / own.std(-1, ddof=1)
            found |= t <= special.stdtrit(own.shape[-1] - 1, size)
        hits += int(found.sum())
    return hits / paths


def text(table: dict[tuple[str, int], dict[int, list[tuple[float, ...]]]]) -> str:
    """The module that verdicts read."""
    lines = [
        '"""The calibrated sizes of later interim analyses, written by `python benchmarks/spending.py --write`."""',
        "",
        "from __future__ import annotations",
        "",
        *textwrap.wrap(f"SIZES = {SIZES!r}  # fmt: skip", 116, subsequent_indent=" " * 9),
        '"""Sizes of a test over all its analyses."""',
        "TABLE: dict[tuple[str, int], dict[int, tuple[tuple[float, ...], ...]]] = {",
    ]
    for (kind, analyses), rows in table.items():
        lines.append(f'    ("{kind}", {analyses}): {{')
        for n, row in rows.items():
            lines += textwrap.wrap(f"{n}: {tuple(row)!r},", 112, initial_indent=" " * 8, subsequent_indent=" " * 12)
        lines.append("    },")
    lines += [
        "}  # fmt: skip",
        '"""(kind, analyses) -> seeds at the first analysis -> at each size, what later analyses test at, over it."""',
        "",
    ]
    return "\n".join(lines)


def compared(table: Mapping[tuple[str, int], Mapping[int, Sequence[tuple[float, ...]]]], paths: int) -> None:
    """Print the table for two analyses beside the one handed in, and the error rates that simulation finds."""
    print("\nsecond analysis, linear spending: size over alpha' | handed in")
    print("   n " + "".join(f"{size:>16g}" for size in HANDED_SIZES))
    for n, row in HANDED.items():
        own = [table["linear", 2][n][list(SIZES).index(size)][0] for size in HANDED_SIZES]
        print(f"{n:>4} " + "".join(f"{a:>9.4f} |{b:>5.3f}" for a, b in zip(own, row, strict=True)))
    error = 100 * math.sqrt(0.05 * 0.95 / paths)
    print(f"\nsimulated chance of any rejection, %, {paths:,} paths (standard error {error:.3f} at 5 %)")
    for kind, analyses, n in (("linear", 2, 3), ("linear", 2, 10), ("linear", 3, 5), ("late", 2, 5), ("late", 3, 3)):
        place = SIZES.index(0.05)
        later = [0.05 * ratio for ratio in table[kind, analyses][n][place]]
        first = float(spent(0.05, 2.0 ** (1 - analyses), kind))
        print(f"  {kind:<7}{analyses} analyses from {n:>2}: {100 * simulated(n, [first, *later], paths):.3f}")


def main() -> None:
    """Calibrate, compare, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the table that verdicts use")
    parser.add_argument("--quick", action="store_true", help="does the table that verdicts read hold, in short")
    asked = parser.parse_args()
    if asked.quick:
        kind, n, place = "linear", 3, SIZES.index(0.05)
        own = rounded_down(nominal(n, 0.05, 2, kind)[1] / 0.05)
        print(f"{kind}, 2 analyses from {n} seeds at 0.05: {own} now, {TABLE[kind, 2][n][place][0]} stored")
        compared(TABLE, 200_000)
        return
    table = calibrated()
    if asked.write:
        TARGET.write_text(text(table), encoding="utf-8")
    compared(table, 2_000_000)


if __name__ == "__main__":
    main()
