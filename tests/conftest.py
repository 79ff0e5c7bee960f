"""The tests' fixtures: one thread, a cache of our own, tiny data, registries as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from gentickets.criteria import CRITERIA
from gentickets.data import Batches, Images, Splits, load
from gentickets.experiment import options
from gentickets.experiment.evaluation import Examiner
from gentickets.experiment.options import Options
from gentickets.tasks import FAMILIES


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each file's tests stay with one worker (``-n 2``), so that what a file's tests share is made once."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # files of few tests take longest, and would come last
    return LoadFileScheduling(config, log)


LONGEST = ("tests/runs/", "tests/transfer/", "tests/experiment/", "tests/actions/")
"""Rooms whose files take longest: they are begun first, so that two workers end together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def _one_thread_and_a_cache_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Threads on purpose; feature extractors are trained once a session, and the user's cache is left alone."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["GENTICKETS_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def images() -> Images:
    """The digits' training images, 8x8."""
    return load("digits").train


@pytest.fixture(scope="module")
def digits() -> Splits:
    """The digits, split; new for each file."""
    return load("digits")


@pytest.fixture(scope="session")
def batches(images: Images) -> Batches:
    """Batches of 16 in the order of seed 0."""
    return Batches(images, 16, seed=0)


@pytest.fixture(autouse=True)
def _registries_as_they_were() -> Iterator[None]:
    """What a test's plugin registers is gone when the test ends."""
    registries: list[dict[str, Any]] = [FAMILIES, CRITERIA]
    before = [dict(registry) for registry in registries]
    yield
    for registry, entries in zip(registries, before, strict=True):
        registry.clear()
        registry.update(entries)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run their rounds in this process: a worker takes seconds to start."""
    monkeypatch.setattr(options, "Options", lambda *given, **named: replace(Options(*given, **named), jobs=0))


@pytest.fixture(scope="module")
def without_pictures() -> Iterator[None]:
    """Runs in this process draw no sheets of samples: they take longer than much else in a tiny run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Examiner, "pictures", lambda self, folder, task: None)
        yield
