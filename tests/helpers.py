"""What many tests write alike: tiny tasks of every family, commands as they are typed."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from click.testing import Result as Ran
from gentickets_cli.main import cli

from gentickets import disk
from gentickets.experiment.options import Options
from gentickets.optimizers import Schedule
from gentickets.quality.pictures import COMPRESSION
from gentickets.recipe import Recipe, load_recipe, read_recipe
from gentickets.results import Result
from gentickets.seeds import derive
from gentickets.tasks import FAMILIES, Autoencoder, Optim, Task
from gentickets.training import Plan, Training

HOUSE = Path(__file__).parents[1]
MODULES = sorted([*HOUSE.glob("gentickets/**/*.py"), *HOUSE.glob("cli/*.py")])
HERE = Options(jobs=0, device="cpu")
"""A run without worker processes."""
EVERY_STEP = Options(jobs=0, save_every=0.0, device="cpu", keep_all=True)
"""In this process, the state stored after every step: a crash can hit any moment of the writing."""
TIGHT = dict(COMPRESSION)
"""How pictures are packed outside the tests: see conftest."""
PROGRAM = [sys.executable, "-m", "gentickets_cli"]
STEPS = 10
REWIND = 3
SIZES: dict[str, dict[str, int]] = {
    "mlp": {"width": 12, "depth": 2, "latent": 4},
    "linear": {"width": 64, "latent": 3},
    "maxpool": {"width": 4},
    "resnet18": {"width": 3, "latent": 4},
    "resnet": {"width": 8, "latent": 4},
}
FAMILY_CASES: dict[str, dict[str, object]] = {
    "ae-mlp": {"family": "ae", "network": "mlp"},
    "ae-conv": {"family": "ae", "network": "conv"},
    "vae-mlp": {"family": "vae", "network": "mlp", "likelihood": "bernoulli"},
    "vae-conv": {"family": "vae", "network": "conv", "beta": 2.0},
    "gan-mlp": {"family": "gan", "network": "mlp", "loss": "hinge", "critic_steps": 2},
    "gan-conv": {"family": "gan", "network": "conv"},
    "tied-mlp": {"family": "tied", "network": "mlp"},
    "wgan-mlp": {"family": "gan", "network": "mlp", "loss": "wasserstein", "critic_steps": 3, "clip": 0.1},
    "ae-linear": {"family": "ae", "network": "linear"},
    "ae-maxpool": {"family": "ae", "network": "maxpool"},
    "vae-resnet18": {"family": "vae", "network": "resnet18"},
    "gan-sngan": {"family": "gan", "network": "sngan", "loss": "hinge", "critic_steps": 2},
    "wgan-gp-resnet": {"family": "gan", "network": "resnet", "loss": "wasserstein-gp", "critic_steps": 2},
    "wgan-gp-conv": {"family": "gan", "network": "conv", "loss": "wasserstein-gp", "critic_width": 6},
    "gan-conv-all": {"family": "gan", "network": "conv", "norm": "batch-all", "slope": 0.0},
}
"""Every family that the promises are made for; a new one joins by being listed."""
OTHER_CASES: dict[str, dict[str, object]] = {"gda": {"family": "gda", "width": 12, "latent": 4}}
"""Families that not every criterion can score: descent-ascent is no descent on one loss, so GraSP has no Hessian."""


class Tied(Autoencoder):
    """An autoencoder whose middle layers share one weight."""

    def __init__(self, image: tuple[int, int, int], width: int, **keywords: object) -> None:
        super().__init__(image, width=width, **keywords)
        self.decoder[2].weight = self.encoder[3].weight


def make_task(case: str, seed: int = 0, **changes: object) -> Task:
    """A tiny task of one of the family cases."""
    keywords = dict({**FAMILY_CASES, **OTHER_CASES}[case])
    family = str(keywords.pop("family"))
    with torch.random.fork_rng([]):
        torch.manual_seed(derive(seed, "init"))
        return {**FAMILIES, "tied": Tied}[family](
            (1, 8, 8), **{**SIZES.get(str(keywords.get("network")), {"width": 4, "latent": 4}), **keywords, **changes}
        )


def make_training(case: str, seed: int = 0, *, optimizer: str = "adam", steps: int = STEPS, **plan: object) -> Training:
    """A tiny task ready to train."""
    settings = {"adam": {"lr": 1e-3}, "adamw": {"lr": 1e-3, "weight_decay": 0.01}}
    others = {"sgd": {"lr": 1e-3, "momentum": 0.9}, "rmsprop": {"lr": 1e-4, "momentum": 0.5}}
    optim = Optim(optimizer, **{**settings, **others}[optimizer])
    return Training(make_task(case, seed), Plan(optim, Schedule("cosine", steps, 2), **plan))


def in_terminal(columns: int, *args: str, program: Sequence[str] = PROGRAM, **variables: str) -> str:
    """What a command (or another program) prints on a terminal of that width."""
    import fcntl
    import pty
    import struct
    import termios

    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    env |= {"TERM": "xterm-256color", **variables}
    with subprocess.Popen([*program, *args], stdin=child, stdout=child, stderr=child, env=env) as process:
        os.close(child)
        shown = b""
        try:
            while part := os.read(parent, 65536):
                shown += part
        except OSError:  # the terminal is gone: the command has ended
            pass
    os.close(parent)
    assert process.returncode == 0
    return shown.decode()


def call(*arguments: object) -> Ran:
    """What a command of `gentickets` prints and ends with, run in this process."""
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def reading(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, for recipes of made-up runs: plain values, as `run.json` has them, become a Recipe."""

    def read(*given: Any, **named: Any) -> Any:
        return function(*(read_recipe(one) if isinstance(one, Mapping) else one for one in given), **named)

    return read


def diagonal(*axes: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Of a product of axes so few rows that every value of every axis stands in one of them at least."""
    values = [tuple(axis) for axis in axes]
    return [tuple(axis[place % len(axis)] for axis in values) for place in range(max(map(len, values)))]


def product(*axes: Iterable[Any]) -> list[Any]:
    """A product of axes as parameters of a test: the fast suite takes its diagonal, ``-m full`` the rest."""
    values = [tuple(axis) for axis in axes]
    kept = diagonal(*values)
    return [pytest.param(*row, marks=() if row in kept else pytest.mark.full) for row in itertools.product(*values)]


TINY: dict[str, dict[str, Any]] = {
    "task": {"family": "vae"},
    "data": {"name": "digits", "batch_size": 16},
    "train": {},
    "search": {"rounds": 1, "seeds": 1, "budget": False},
    "quality": {"frechet": False},
}
"""What a tiny recipe says where a test does not say otherwise."""


def recipe_text(**sections: Mapping[str, Any] | None) -> str:
    """The text of a tiny recipe: ``TINY`` with changes; None takes a key, or a whole section, out.

    ``recipe_text(train={"steps": 8}, quality=None)``
    """
    whole = {name: {**TINY.get(name, {}), **(keys or {})} for name, keys in {**TINY, **sections}.items()}
    lines = []
    for name, keys in whole.items():
        if sections.get(name, keys) is not None:
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in keys.items() if value is not None)]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


SMALL = recipe_text(
    task={"width": 8, "latent": 2},
    train={"steps": 6, "lr": 0.001},
    search={"keep": 0.5, "rewind_to": 2, "controls": ["reinit", "shuffle"], "scaling": "off", "budget": None},
    quality=None,
    claim={"metric": "negative_elbo", "level": 0.5},
)
"""A run of three arms and one round, six steps each."""
SMALL_FAMILIES = {
    "ae": ["task.family=ae", "task.depth=1", "claim.metric=reconstruction", "train.ema={decoder = 0.9}"],
    "vae": ["task.family=vae", "task.network=conv", "task.width=4", "train.ema={encoder = 0.9}"],
    "gan": [
        "task.family=gan",
        "task.depth=1",
        "claim.metric=frechet",
        "train.ema={generator = 0.9}",
        "task.critic_steps=2",
    ],
    "conv gan": ["task.family=gan", "task.network=conv", "task.width=4", "claim.metric=frechet"],
    "verdict": ["task.family=vae", "task.depth=1", 'search.controls=["snip"]', "search.budget=false",
                "verdict.forks=[1, 4]", "verdict.beside=false"],
}  # fmt: skip
"""Overrides that make it a run of each family."""


def small_recipe(tmp_path: Path, family: str, *more: str) -> Recipe:
    """``SMALL`` as a file of that folder, for one of ``SMALL_FAMILIES``, with overrides."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return load_recipe(str(path), overrides=[*SMALL_FAMILIES[family], *more])


def content(run: Path) -> dict[str, bytes]:
    """Every ticket and every trained network; every result without seconds, memory, energy and checksum."""
    found = {str(p.relative_to(run)): p.read_bytes() for p in sorted(run.glob("seed-*/*/*/*.safetensors"))}
    for path in sorted(run.glob("seed-*/*/*/result.json")):
        told = json.loads(path.read_text())
        told |= {"seconds": None, "memory": None, "energy": None, "checksum": None}
        found[str(path.relative_to(run))] = json.dumps(told, sort_keys=True).encode()
    return found


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the project's may catch it."""


def crash_at(monkeypatch: pytest.MonkeyPatch, count: int, moment: str) -> None:
    """The count-th write from now dies: before its rename (a draft is left), or just after it."""
    left = [count]
    replace = os.replace

    def dying(source: object, target: object) -> None:
        left[0] -= 1
        if left[0] == 0 and moment == "before":
            Path(str(target)).with_name(f".gentickets-{count:032x}.draft").write_bytes(b"half a file")
            raise Killed
        replace(source, target)  # type: ignore[arg-type]
        if left[0] == 0:
            raise Killed

    monkeypatch.setattr(disk.os, "replace", dying)


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it holds; fail where it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def made_up_run(path: Path, results: Iterable[Result], recipe: Mapping[str, Any], **record: Any) -> Path:
    """A run folder with results that nobody trained; ``record`` adds to what `run.json` says.

    Its claim is one of the second edition, declared with the recipe's seeds.
    """
    path.mkdir(parents=True)
    seeds = recipe.get("search", {}).get("seeds", 3)
    claim = {"declared": {"seeds": seeds}, "edition": 2, "hash": "0" * 64, "seeds": [seeds]}
    claimed = {"claim": claim} if recipe.get("claim") else {}
    whole = {"format": 1, "recipe": recipe, "seeds": [0, 1, 2], **claimed, **record}
    (path / "run.json").write_text(json.dumps(whole), encoding="utf-8")
    (path / "recipe.toml").write_text("seed = 0\n", encoding="utf-8")
    for one in results:
        folder = path / f"seed-{one.seed}" / one.arm / f"round-{one.round:02d}"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(one.to_json(), encoding="utf-8")
    return path


JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "boolean": (bool,), "integer": (int,), "number": (int, float), "null": (type(None),),
    "object": (dict,), "array": (list,),
}  # fmt: skip
KEYWORDS = {
    "$schema", "$defs", "$ref", "title", "description", "type", "const", "anyOf", "properties", "required",
    "additionalProperties", "prefixItems", "items", "minItems",
}  # fmt: skip


def unlike(value: Any, schema: Any, whole: Mapping[str, Any] | None = None, at: str = "$") -> list[str]:
    """Where a document is not what a JSON Schema says, in the part of that language that `report.schemas` writes."""
    whole = schema if whole is None else whole
    if isinstance(schema, bool):
        return [] if schema else [f"{at} is not known"]
    assert schema.keys() <= KEYWORDS
    if "$ref" in schema:
        return unlike(value, whole["$defs"][schema["$ref"].removeprefix("#/$defs/")], whole, at)
    if "anyOf" in schema:
        found = [unlike(value, one, whole, at) for one in schema["anyOf"]]
        return [] if [] in found else list(itertools.chain(*found))
    if "const" in schema and value != schema["const"]:
        return [f"{at} is not {schema['const']}"]
    wanted = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", JSON_TYPES)
    if not any(isinstance(value, JSON_TYPES[one]) and (one == "boolean" or type(value) is not bool) for one in wanted):
        return [f"{at} is no {' or '.join(wanted)}"]
    inner: list[tuple[str, Any, Any]] = []
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        inner = [(f"{at}.{name}", one, known.get(name, others)) for name, one in value.items()]
    elif isinstance(value, list):
        first, rest = schema.get("prefixItems", []), schema.get("items", True)
        inner = [(f"{at}[{i}]", one, first[i] if i < len(first) else rest) for i, one in enumerate(value)]
    lacking = [f"{at}.{name} is not there" for name in schema.get("required", ()) if name not in value]
    lacking += [f"{at} is too short"] if isinstance(value, list) and len(value) < schema.get("minItems", 0) else []
    return lacking + [text for name, one, own in inner for text in unlike(one, own, whole, name)]


class Page(HTMLParser):
    """A page as a browser would see it: its tags with their attributes, and its text with plain single spaces."""

    def __init__(self, html: str, between: str = "") -> None:
        """``between`` stands between the texts of two tags."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        self.text = " ".join(between.join(self.texts).replace("\N{NO-BREAK SPACE}", " ").split())
        self.ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)

    def count(self, tag: str) -> int:
        """How many tags of a kind there are."""
        return sum(name == tag for name, _ in self.tags)
