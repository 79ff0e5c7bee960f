"""What a claim means, in one spelling, with a hash over it from which the seeds of its run follow. Torch-free.

The hash is over the keys that change a trained or a judged number, defaults filled in. So neither the order of keys nor
comments nor the spelling of numbers changes it, nor do keys that only say where and how fast something is computed, nor
those that add arms, nor keys of later versions as long as they change nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gentickets.metrics import known
from gentickets.recipe.asked import declared_controls
from gentickets.recipe.schema import Recipe
from gentickets.seeds import derive

EDITION = 2
"""Of the rule by which claims are judged and hashed; the first one's records do not say it."""
KEYS: dict[str, tuple[str, ...]] = {
    "data": ("name", "batch_size", "size", "channels", "valid"),
    "train": (
        "steps", "optimizer", "lr", "betas", "eps", "weight_decay", "momentum", "alpha", "schedule", "warmup",
        "clip_norm", "ema", "precision", "compile", "objectives",
    ),
    "search": (
        "method", "criterion", "pooled", "temperature", "score_batches", "cuts", "rounds", "keep", "only_rounds", "by",
        "every", "patience", "tolerance", "rule", "gamma_l1", "after", "multiple", "widths", "widen", "rewind_to",
        "rewind", "optimizer_state", "scope", "prune", "other", "exempt",
    ),
    "quality": ("samples", "checkpoints", "features"),
}  # fmt: skip
"""Section -> its keys that change a trained or a judged number; [task] counts with all of its keywords."""
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "data": ("folder", "workers"),
    "search": ("seeds", "controls", "control_rounds", "scaling", "budget", "longer"),
    "quality": ("frechet", "figures", "inception", "downstream", "train", "curve", "patience", "tolerance"),
}
"""Section -> its keys that do not: places, speed, what is measured besides, and what only adds arms and seeds.

[verdict] is left out too, and so is [transfer]: a transfer has the claim of its target. Whoever adds a key to a section
says here or in `KEYS` what it is, and in `LATER` if it is one of the latter; a test asks.
"""
LATER: dict[str, Any] = {}
"""Key (``train.clip_value``) of later versions -> the value with which it changes nothing."""
SETS = ("prune", "exempt")
"""Lists whose order means nothing."""


def meaning(recipe: Recipe) -> dict[str, Any]:
    """What a claim is about and how it is judged, as plain values in one spelling. The recipe must have a [claim]."""
    resolved = recipe.resolved()
    told: dict[str, Any] = {"edition": EDITION, "claim": _claim(recipe), "seed": recipe.seed}
    told["task"] = _spoken("task", resolved["task"], tuple(resolved["task"]))
    for section, keys in KEYS.items():
        told[section] = _spoken(section, resolved[section], keys)
    return dict(_spelt(told))


def claim_hash(recipe: Recipe) -> str:
    """SHA-256 (hex) of what a recipe claims: see `meaning`."""
    text = json.dumps(meaning(recipe), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def seeds_from(recipe: Recipe) -> str | None:
    """The SHA-256 that the seeds of a run follow from: the claim's hash, or that of its matrix.

    None where the repetitions are the seeds: without a claim, and where seeds were chosen by hand.
    """
    if recipe.claim is None or recipe.seed is not None:
        return None
    return str(recipe.claimed.get("seeds_from") or claim_hash(recipe))


def random_seeds(recipe: Recipe) -> dict[int, int] | None:
    """Repetition -> the seed of its random streams; None where the repetitions are the seeds (`seeds_from`)."""
    if (root := seeds_from(recipe)) is None:
        return None
    return {label: derive(int(root[:16], 16), "seed", label) for label in recipe.seeds}


def seeds_of(recipe: Recipe) -> dict[int, int]:
    """Repetition -> the seed of its random streams: derived from the claim's hash, or the repetition's own number."""
    return random_seeds(recipe) or {label: label for label in recipe.seeds}


def declared_seeds(recipe: Recipe) -> int:
    """The number of seeds that was declared, of which a run may have more by now."""
    return int(recipe.claimed.get("declared", {}).get("seeds", recipe.search.seeds))


def _claim(recipe: Recipe) -> dict[str, Any]:
    if (claim := recipe.claim) is None:
        raise ValueError("a recipe without [claim] claims nothing")
    row = known(claim.metric)
    return {
        **{key: getattr(claim, key) for key in ("unit", "margin", "alpha", "spending", "looks", "disasters", "images")},
        "metric": (row.alias_of if row else None) or claim.metric,
        "lead": claim.margin / 4 if claim.lead is None else claim.lead,
        "level": claim.level if claim.declared is None else recipe.claim_round,
        "levels": recipe.judged_rounds,
        "controls": sorted(declared_controls(recipe)),
        "seeds": declared_seeds(recipe),
    }


def _spoken(section: str, table: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The keys of a section that count, but for later ones that change nothing."""
    found = {key: table[key] for key in keys if key in table}
    neutral = {key: LATER[path] for key in found if (path := f"{section}.{key}") in LATER}
    told = {key: value for key, value in found.items() if key not in neutral or value != neutral[key]}
    return told | {key: sorted(told[key]) for key in SETS if key in told}


def _spelt(value: Any) -> Any:
    """A value in one spelling: nothing for what is none or empty, whole numbers without a point, lists for tuples."""
    if isinstance(value, Mapping):
        plain = {key: _spelt(one) for key, one in value.items()}
        return {key: one for key, one in plain.items() if one is not None and one != {}}
    if isinstance(value, list | tuple):
        return [_spelt(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
