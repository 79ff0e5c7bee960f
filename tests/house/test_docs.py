"""What the documents say runs: the reader in docs/runs.md reads what gentickets writes, without gentickets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import HOUSE

from gentickets.masks import Channels, Mask
from gentickets.runs.formats import read_ticket, write_ticket
from gentickets.tickets import Origin, Ticket

DOCS = HOUSE / "docs"
Read = Callable[[Path], tuple[dict[str, Any], ...]]


@pytest.fixture(scope="module")
def read() -> Read:
    """The function in the one Python block of docs/runs.md, which may not import what it promises to do without."""
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "runs.md").read_text(encoding="utf-8"), re.DOTALL)
    assert not re.search(r"^(import|from) .*(torch|gentickets)", block, re.MULTILINE)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/runs.md", "exec"), names)
    found: Read = names["read"]
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ticket with all that a ticket can hold: odd sizes, other strides, buffers, moments, text beyond ASCII."""
    rng = torch.Generator().manual_seed(0)
    shapes = {"g.0.weight": (5, 3), "g.1.weight": (2, 3, 3, 3), "d.weight": (1, 8)}
    weights = {name: torch.randn(shape, generator=rng) for name, shape in shapes.items()}
    weights["g.1.weight"] = weights["g.1.weight"].to(memory_format=torch.channels_last)
    mask = Mask({name: torch.rand(value.shape, generator=rng) < 0.4 for name, value in weights.items()})
    weights |= {"g.0.bias": torch.randn(5, generator=rng), "g.2.num_batches_tracked": torch.tensor(7)}
    optim = {"generator/g.1.weight/exp_avg": torch.randn(2, 3, 3, 3, generator=rng)}
    optim |= {"generator/g.1.weight/step": torch.tensor(3.0), "generator/g.0.bias/exp_avg": torch.ones(5)}
    told: dict[str, Any] = {section: {} for section in ("task", "train", "search", "quality")}
    told["data"] = {"folder": "Bilder für uns", "rate": 1e-7, "none": None}
    ema = {"g.0.weight": torch.randn(5, 3, generator=rng), "g.0.bias": torch.zeros(5)}
    channels = Channels({"g.0": torch.rand(11, generator=rng) < 0.5})
    write_ticket(tmp_path / "t", Ticket(mask, weights, Origin("iterative", 3, 4, 5), optim, ema, channels), told)
    return tmp_path / "t"


def test_the_documents_reader_reads_a_ticket_as_we_do(read: Read, path: Path) -> None:
    ticket, recipe = read_ticket(path)
    mask, weights, optim, ema, channels, header = read(path)
    assert header["channels"] == {"g.0": 11}
    assert header["origin"] == asdict(ticket.origin)
    assert header["recipe"] == recipe
    parts = [(ticket.mask, mask), (ticket.weights, weights), (ticket.optim, optim), (ticket.ema, ema)]
    for ours, theirs in [*parts, (ticket.channels or {}, channels)]:
        assert set(ours) == set(theirs)
        for name, value in ours.items():
            assert theirs[name].dtype == value.numpy().dtype
            assert np.array_equal(theirs[name], value.numpy()), name


def test_the_documents_reader_notices_damage(read: Read, path: Path) -> None:
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.raises(ValueError, match="damaged"):
        read(path)
