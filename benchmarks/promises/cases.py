"""The suite's own runs: seconds long, one for each kind of search, and the bytes that each must end with."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OURS_TO_DIFFER = ("seconds", "machine", "attempt", "checksum", "memory", "energy")
"""Keys of `result.json` that the promise of the same bytes leaves out: how long it took, where, and what that moves."""
RECIPE: dict[str, dict[str, Any]] = {
    "task": {"family": "vae", "network": "mlp", "width": 8, "depth": 1, "latent": 2},
    "data": {"name": "digits", "batch_size": 16},
    "train": {"steps": 10, "lr": 1e-3},
    "search": {
        "rounds": 1, "keep": 0.5, "rewind_to": 3, "seeds": 1, "controls": ["shuffle"], "scaling": "off",
        "budget": False,
    },
    "claim": {"metric": "negative_elbo", "margin": 0.02, "level": 0.5},
}  # fmt: skip
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "vae": {"task": {}},
    "ae": {"task": {"family": "ae"}, "claim": {"metric": "reconstruction"}, "train": {"ema": {"decoder": 0.9}}},
    "gan": {
        "task": {"family": "gan"}, "claim": {"metric": "frechet"}, "train": {"ema": {"generator": 0.9}},
        "search": {"controls": []},
    },
    "early_bird": {
        "task": {"network": "conv", "width": 8, "depth": None, "latent": 4}, "train": {"steps": 40},
        "search": {
            "method": "early_bird", "by": "weights", "rule": "published", "every": 4, "tolerance": 0.99, "patience": 3,
            "rewind_to": None, "controls": [],
        },
    },
    "transfer": {"task": {"family": "ae"}, "claim": {"metric": "reconstruction"}, "search": {"controls": []},
                 "transfer": {"controls": ["shuffle"]}},
    "verdict": {"search": {"controls": [], "longer": 2}, "verdict": {"twice": True, "forks": [1], "beside": True}},
}  # fmt: skip
"""Case -> what its recipe changes; None removes a key."""


@dataclass(frozen=True)
class Case:
    """One command and the folder that it fills."""

    name: str
    args: tuple[str, ...]
    """What stands behind ``gentickets`` but for ``--out``."""

    def command(self, out: Path, *more: str) -> list[str]:
        """The arguments of the command, writing to ``out``."""
        return [*self.args, "--out", str(out), *more]


def write_recipes(folder: Path) -> None:
    """One TOML file for each case."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in CHANGES:
        (folder / f"{name}.toml").write_text(recipe_text(name), encoding="utf-8")


def recipe_text(name: str) -> str:
    """A case's recipe as TOML."""
    sections: dict[str, dict[str, Any]] = {key: dict(value) for key, value in RECIPE.items()}
    for section, changes in CHANGES[name].items():
        sections[section] = {**sections.get(section, {}), **changes}
    lines = [f"seed = {int(name == 'transfer')}"]  # a source and its target may not begin with the same weights
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def cases(recipes: Path, source: Path) -> list[Case]:
    """Every case; ``source`` is the finished run that the transfer starts from."""
    found = []
    for name in CHANGES:
        file = str(recipes / f"{name}.toml")
        verb = {"transfer": ("transfer", str(source), "--to", file)}
        found.append(Case(name, verb.get(name, ("find", file))))
    return found


def content(run: Path) -> dict[str, str]:
    """Every tensor file, image and result of a run: relative path -> what has to be equal."""
    found: dict[str, str] = {}
    for path in sorted(run.glob("seed-*/**/*")):
        if path.suffix in (".safetensors", ".png", ".npz"):
            found[path.relative_to(run).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name == "result.json":
            found[path.relative_to(run).as_posix()] = _lasting(json.loads(path.read_text(encoding="utf-8")))
    return found


def difference(run: Path, whole: Mapping[str, str]) -> str | None:
    """What a run has otherwise than the one that was never interrupted; None where they are equal."""
    found = content(run)
    for name in sorted({*found, *whole}):
        if found.get(name) != whole.get(name):
            how = "is missing" if name not in found else "is new" if name not in whole else "differs"
            return f"{name} {how}"
    return None


def leftovers(run: Path) -> str | None:
    """A draft or stored state that a finished run still has."""
    for path in run.rglob("*"):
        if path.name.endswith(".draft") or path.name.startswith("progress.safetensors"):
            return f"{path.relative_to(run)} is left"
    return None


def emptied(folder: Path) -> Path:
    """A path at which nothing is."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _lasting(result: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in result.items() if key not in OURS_TO_DIFFER}, sort_keys=True)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
