"""Collects the diagnostics of trained networks over all seeds, as the results of the arm ``beside`` hold them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gentickets.analysis.results import RunResults
from gentickets.analysis.run_verdict import ArmDiagnostics, Diagnostics, Interpolation
from gentickets.analysis.stability import connected_from
from gentickets.analysis.text.format import Spread
from gentickets.arms import BESIDE

Recorded = Mapping[str, Any]
"""A result's ``beside``."""


def diagnostics_of(results: RunResults, round: int) -> Diagnostics | None:
    """The diagnostics of one level; None where no network was examined and no sample was measured."""
    seen = {cell.seed: cell.beside for cell in results.done(BESIDE, round) if cell.beside}
    arms = list(dict.fromkeys(["dense", "ticket", *(name for one in seen.values() for name in one.get("arms", {}))]))
    lines = tuple(_line(results, arm, round, list(seen.values())) for arm in arms)
    told = [line for line in lines if any((line.coverage, line.recall, line.latents, line.nearest))]
    paths = [{**path, "seed": seed} for seed, one in seen.items() for path in one.get("paths", ())]
    if not told and not paths:
        return None
    shares = {arm: _mean_shares(_of(arm, seen.values(), "classes")) for arm in arms}
    return Diagnostics(
        arms=tuple(told),
        classes={arm: share for arm, share in shares.items() if share},
        real=tuple(next((one["classes"] for one in seen.values() if one.get("classes")), ())),
        paths=tuple(_between(step, [path for path in paths if path["step"] == step]) for step in _steps(paths)),
        connected=connected_from(paths) if paths else None,
        rewind_to=results.search.rewind_to,
    )


def _line(results: RunResults, arm: str, round: int, seen: Sequence[Recorded]) -> ArmDiagnostics:
    place = ("ticket", 0) if arm == "dense" else (arm, round)
    latents, nearest = _of(arm, seen, "latents"), _of(arm, seen, "nearest")
    active = [one["active"] for one in latents]
    return ArmDiagnostics(
        arm=arm,
        coverage=Spread.of(results.values(*place, "coverage", "test")),
        recall=Spread.of(results.values(*place, "recall", "test")),
        latents=f"{statistics.mean(active):.3g} of {latents[0]['of']}" if active else None,
        nearest=statistics.mean(one["samples"] / one["test"] for one in nearest) if nearest else None,
        copies=statistics.mean(one["copies"] for one in nearest) if nearest else None,
    )


def _of(arm: str, seen: Iterable[Recorded], what: str) -> list[Any]:
    """What all seeds say of an arm."""
    found = (one.get("arms", {}).get(arm, {}).get(what) for one in seen)
    return [value for value in found if value]


def _mean_shares(shares: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(statistics.mean(of_class) for of_class in zip(*shares, strict=True))


def _steps(paths: Sequence[Recorded]) -> list[int]:
    return sorted({int(path["step"]) for path in paths})


def _between(step: int, paths: Sequence[Recorded]) -> Interpolation:
    finite = [path for path in paths if path["relative"] is not None]
    return Interpolation(
        step=step,
        relative={path["seed"]: float(path["relative"]) for path in finite},
        places=tuple(paths[0]["places"]),
        values={path["seed"]: tuple(path["values"]) for path in finite},
        metric=paths[0].get("metric"),
    )
