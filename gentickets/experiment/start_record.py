"""Records how a run started (recipe, programs, machine), and what has changed when it goes on. Torch-free."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gentickets.definitions import CURRENT
from gentickets.errors import TicketError
from gentickets.experiment.options import Options
from gentickets.recipe import Recipe
from gentickets.recipe.declared import claim_record, recipe_of_record, run_identity
from gentickets.recipe.meaning import seeds_from


def record_of(recipe: Recipe, options: Options) -> dict[str, Any]:
    """What run.json holds beside its format."""
    plugins = {path.name: hashlib.sha256(_plugin_bytes(path)).hexdigest() for path in options.plugins}
    resolved = recipe.resolved()
    return {
        **({} if recipe.claim is None or recipe.explores else {"claim": claim_record(recipe)}),
        **({"explored": True} if recipe.explores else {}),
        "identity": run_identity(resolved, seeds_from(recipe)),
        "recipe": resolved,
        "text": text_hash(recipe),
        "name": recipe.name,
        "seeds": recipe.seeds,
        "device": _device(options.device),
        "threads": options.threads or 1,
        "plugins": plugins,
        "versions": versions(),
        "definitions": CURRENT.record(),
        "machine": {"system": platform.system(), "processor": processor(), "cores": available_cores()},
    }


def text_hash(recipe: Recipe) -> str:
    """The SHA-256 of a recipe's text, by which a run knows its own `recipe.toml`."""
    return hashlib.sha256(recipe.text.encode()).hexdigest()


def continued_record(before: Mapping[str, Any], now: Mapping[str, Any], done: int) -> tuple[dict[str, Any], list[str]]:
    """The record of a run that goes on after ``done`` rounds, and what has changed since it was last at work.

    A run of format 1 gets an identity, and is marked as one whose earlier results have no checksums. Other programs or
    another machine are recorded under ``attempts``.
    """
    record = dict(before)
    if "identity" not in before:
        root = seeds_from(recipe_of_record(before, where="run.json"))
        record |= {"identity": run_identity(before["recipe"], root), "unchecked": True}
    attempts = list(before.get("attempts", []))
    changes = changed(attempts or [before], now)
    if changes:
        record["attempts"] = [*attempts, {"versions": now["versions"], "machine": now["machine"], "done": done}]
    return record, changes


def changed(attempts: Sequence[Mapping[str, Any]], now: Mapping[str, Any]) -> list[str]:
    """What differs between the last attempt and now, in versions, system and processor; cores are no matter."""
    last = attempts[-1]
    machine, versions = last.get("machine", {}), last.get("versions", {})
    ours = {**now["versions"], **{key: now["machine"][key] for key in ("system", "processor")}}
    theirs = {**versions, **machine}
    return [f"{key} {theirs[key]} -> {ours[key]}" for key in ours if key in theirs and theirs[key] != ours[key]]


def _plugin_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise TicketError(f"no plugin file {path}")
    return path.read_bytes()


def versions() -> dict[str, str]:
    """The versions of what decides the bits."""
    found = {"python": platform.python_version()}
    for name in ("gentickets", "torch", "numpy", "scipy", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _device(asked: str) -> str:
    """What ``auto`` means here, without importing torch where no accelerator can be."""
    if asked != "auto":
        return asked
    if not (shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists() or sys.platform == "darwin"):
        return "cpu"
    from gentickets.experiment.assembly import pick_device

    return str(pick_device("auto"))


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
