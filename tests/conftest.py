"""The tests' fixtures: one thread, a cache of our own, tiny data, registries as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch

from gentickets.criteria import CRITERIA
from gentickets.data import Batches, Images, Splits, load
from gentickets.experiment import options
from gentickets.experiment.evaluation import Examiner
from gentickets.experiment.options import Options
from gentickets.quality import pictures
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
    """Threads on purpose; feature extractors are trained once for all workers, and the user's cache is left alone."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    session = tmp_path_factory.getbasetemp()
    shared = session.parent if "PYTEST_XDIST_WORKER" in os.environ else session
    os.environ["GENTICKETS_CACHE"] = str(shared / "cache")


@pytest.fixture(scope="session", autouse=True)
def _pictures_are_compressed_in_no_time() -> None:
    """The same pixels: most of the time of a tiny run in this process went into packing them as tightly as can be."""
    pictures.COMPRESSION = {"compress_level": 1}


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


@contextmanager
def _empty_plots() -> Iterator[None]:
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        drawn = Figure.savefig

        def save(figure: Figure, file: Any, **settings: Any) -> None:
            if settings.get("format") == "svg":
                file.write('<svg width="1pt" height="1pt"></svg>')
            else:
                drawn(figure, file, **settings)

        patch.setattr(Figure, "savefig", save)
        yield


@pytest.fixture(scope="module")
def without_plots() -> Iterator[None]:
    """Pages that this process writes have empty plots: drawing them takes longer than all else of a page."""
    with _empty_plots():
        yield


@pytest.fixture
def plotless() -> Iterator[None]:
    """The same for one test, in a file whose others look at the plots."""
    with _empty_plots():
        yield
