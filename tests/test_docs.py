"""What the documents say runs: the reader of docs/runs.md reads what gentickets writes, without gentickets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REWIND, make_training

from gentickets.data import Batches
from gentickets.runs.formats import read_ticket, write_ticket
from gentickets.search import first_ticket, next_ticket

DOCS = Path(__file__).parents[1] / "docs"
Read = Callable[[Path], tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]]


def reader() -> Read:
    """The function in the one Python block of docs/runs.md, which must not import what it does without."""
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "runs.md").read_text(encoding="utf-8"), re.DOTALL)
    assert "torch" not in re.findall(r"^(?:import|from) (.*)", block, re.MULTILINE)
    assert not re.search(r"^(import|from) .*(torch|gentickets)", block, re.MULTILINE)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/runs.md", "exec"), names)
    read: Read = names["read"]
    return read


def written(case: str, batches: Batches, path: Path) -> None:
    """A tiny pruned ticket with buffers and optimizer state, the recipe's text beyond ASCII."""
    training = make_training(case)
    dense = first_ticket(training, batches, rewind_to=REWIND)
    told = {section: {} for section in ("task", "data", "train", "search", "quality")}
    ticket = next_ticket(training, dense, density=0.3)
    write_ticket(path, ticket, {**told, "data": {"name": "Ziffern für uns", "lr": 1e-7}})


@pytest.mark.parametrize("case", ["gan-conv", "vae-mlp"])
def test_the_documents_reader_reads_a_ticket_as_we_do(case: str, batches: Batches, tmp_path: Path) -> None:
    path = tmp_path / "ticket.safetensors"
    written(case, batches, path)
    ticket, recipe = read_ticket(path)
    mask, weights, optim, header = reader()(path)
    assert header["origin"] == asdict(ticket.origin)
    assert header["recipe"] == recipe
    for ours, theirs in ((ticket.mask, mask), (ticket.weights, weights), (ticket.optim, optim)):
        assert set(ours) == set(theirs)
        assert len(ours) > 0
        for name, value in ours.items():
            assert theirs[name].dtype == value.numpy().dtype
            assert np.array_equal(theirs[name], value.numpy()), name
    assert any(not kept.all() for kept in mask.values())
    assert any(kept.size % 8 for kept in mask.values()) or case == "gan-conv", "a last byte that is not full"


def test_the_documents_reader_notices_damage(batches: Batches, tmp_path: Path) -> None:
    path = tmp_path / "ticket.safetensors"
    written("vae-mlp", batches, path)
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.raises(ValueError, match="damaged"):
        reader()(path)
