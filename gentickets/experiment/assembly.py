"""Builds live objects from a recipe: data, task, plan, batches, criterion, features."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from filelock import FileLock

from gentickets import data
from gentickets.criteria import CRITERIA, Criterion
from gentickets.data import Batches, Splits
from gentickets.definitions import CURRENT, Definitions
from gentickets.errors import Status, TicketError, nearest
from gentickets.experiment.given_family import require_built
from gentickets.optimizers import Schedule
from gentickets.quality import Extractor, OwnFeatures, extractor, inception
from gentickets.recipe import Recipe
from gentickets.recipe.sections import CRITERION_OPTIONS
from gentickets.seeds import derive
from gentickets.storage import ties_kept
from gentickets.tasks import FAMILIES, Optim, Task
from gentickets.training import Plan, Training


def load_plugins(paths: Sequence[Path]) -> dict[str, Any]:
    """Import the user's own modules; returns their public names. A plugin is code and is run, as the user asked."""
    names: dict[str, Any] = {}
    for path in paths:
        if not path.is_file():
            raise TicketError(f"no plugin file {path}")
        spec = importlib.util.spec_from_file_location(f"gentickets_plugin_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise TicketError(f"plugin {path} is no Python file")
        module: ModuleType = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise TicketError(f"plugin {path} does not import: {type(error).__name__}: {error}") from error
        names |= {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return names


def pick_device(name: str) -> torch.device:
    """The device by name; ``auto`` takes CUDA, then MPS, then the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise TicketError("--device cuda: this PyTorch finds no CUDA device; try --device cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        raise TicketError("--device mps: this PyTorch finds no MPS device; try --device cpu")
    return torch.device(name)


def settle_device(threads: int) -> None:
    """Set the number of threads, and choose kernels that give the same bits twice; a run promises both."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


class Assembly:
    """What a recipe describes, built when first asked for.

    ``image`` is the shape of the images where it is known; none: that of the data, which is loaded for it.
    ``definitions`` are those of the run that it is for.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        root: Path,
        device: str = "cpu",
        plugins: Sequence[Path] = (),
        download: bool = False,
        image: tuple[int, int, int] | None = None,
        definitions: Definitions = CURRENT,
    ) -> None:
        self.recipe, self.root, self.download, self._image = recipe, root, download, image
        self.definitions = definitions
        self.device = pick_device(device)
        self.plugins, self.plugin_files = load_plugins(plugins), list(plugins)
        self.plugin_names = sorted(path.name for path in plugins)
        self._own_features: dict[Path, OwnFeatures] = {}
        self._inception: Extractor | None = None

    @cached_property
    def splits(self) -> Splits:
        """The data, split."""
        wanted = self.recipe.data
        if callable(own := self.plugins.get(wanted.name)):
            splits = own(self.root)
            if not isinstance(splits, Splits):
                raise TicketError(f"the plugin's '{wanted.name}' must return gentickets.data.Splits")
            return splits
        with self._downloading():
            return data.load(
                wanted.name, root=self.root, folder=Path(wanted.folder) if wanted.folder else None,
                download=self.download, device=self.device, size=wanted.size, channels=wanted.channels,
                valid=wanted.valid,
            )  # fmt: skip

    def _downloading(self) -> AbstractContextManager[object]:
        """One worker downloads, and the others wait for it."""
        if not self.download:
            return nullcontext()
        self.root.mkdir(parents=True, exist_ok=True)
        return FileLock(self.root / ".download.lock")

    @property
    def image(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.splits.train.shape if self._image is None else self._image

    def task(self, seed: int, *, purpose: str = "init", **changes: object) -> Task:
        """The recipe's networks, initialized from ``seed``; ``changes`` replace keywords (a narrower width)."""
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(derive(seed, purpose))
            task = self._build(**changes)
            if self.recipe.task.family not in FAMILIES:
                require_built(task)
            with ties_kept(task):
                return task.to(self.device)

    def shapes(self) -> Task:
        """The recipe's networks without numbers, on the device ``meta``."""
        with torch.device("meta"):
            return self._build()

    def of(self, recipe: Recipe) -> Assembly:
        """What the recipe of a stored ticket describes, in the same place; its images' shape is the ticket's."""
        other = copy(self)
        other.__dict__.pop("splits", None)
        other.recipe, other._image = recipe, recipe.image
        return other

    def initialize(self, task: Task, seed: int) -> None:
        """Draw a task's weights anew, from the same place as those of new networks."""
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(derive(seed, "init"))
            task.initialize()

    def _build(self, **changes: object) -> Task:
        family, keywords = self.recipe.task.family, {**self.recipe.task.keywords, **changes}
        build = FAMILIES.get(family) or self.plugins.get(family)
        if build is None:
            own = [name for name, value in self.plugins.items() if _is_task(value)]
            raise TicketError(f"unknown family '{family}'. {nearest(family, [*FAMILIES, *own])}", Status.REQUEST)
        try:
            inspect.signature(build).bind(self.image, **keywords)
        except TypeError as error:
            raise TicketError(f"[task] family '{family}': {error}") from error
        task = build(self.image, **keywords)
        if not isinstance(task, Task):
            raise TicketError(f"the plugin's '{family}' is no gentickets.tasks.Task")
        return task

    def plan(self, span: int) -> Plan:
        """How to train over ``span`` steps."""
        train = self.recipe.train
        return Plan(
            Optim(**train.settings()), Schedule(train.schedule, span, train.warmup),
            {name: Optim(**train.settings(name)) for name in train.objectives}, dict(train.ema), train.clip_norm,
            precision=train.precision, compile=train.compile,
        )  # fmt: skip

    def training(self, task: Task, span: int) -> Training:
        """A task ready to train over ``span`` steps."""
        return Training(task, self.plan(span))

    def batches(self, seed: int) -> Batches:
        """The training batches in the order of ``seed``."""
        wanted, seed = self.recipe.data, derive(seed, "data")
        return Batches(self.splits.train, wanted.batch_size, seed=seed, workers=wanted.workers)

    @property
    def criterion(self) -> Criterion:
        """The recipe's criterion, with its options."""
        search, name = self.recipe.search, self.recipe.search.criterion
        found = CRITERIA.get(name) or self.plugins.get(name)
        if not callable(found):
            raise TicketError(f"unknown criterion '{name}'. {nearest(name, CRITERIA)}")
        options = [option for option, criteria in CRITERION_OPTIONS.items() if name in criteria]
        return partial(found, **{option: getattr(search, option) for option in options})

    @property
    def components(self) -> list[str] | None:
        """Components to prune; None for all."""
        return list(self.recipe.search.prune) or None

    def extractor(self, folder: Path) -> Extractor | None:
        """The features that samples are compared in; None where the recipe asks for none."""
        quality = self.recipe.quality
        if not quality.frechet:
            return None
        if quality.features == "own":
            return self.own_features(folder)
        if self._inception is None:
            with self._downloading():
                self._inception = inception(quality.inception, download=self.download, device=self.device)
        return self._inception

    def own_features(self, folder: Path) -> OwnFeatures:
        """The data's own classifier, pinned in ``folder``."""
        if folder not in self._own_features:
            self._own_features[folder] = extractor(self.splits, folder)
        return self._own_features[folder]

    def classifier(self, folder: Path) -> OwnFeatures | None:
        """What the accuracies are taken with; None for data without labels, and where no features are wanted."""
        labelled = self.splits.train.labels is not None and self.recipe.quality.frechet
        return self.own_features(folder) if labelled else None


def _is_task(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Task)
