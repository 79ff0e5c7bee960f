"""Portable tickets: signs on other magnitudes by hand, files that are small and sound, and the way there and back."""

from __future__ import annotations

import base64
import json
import math
import re
import tracemalloc
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import FAMILY_CASES, HOUSE, REWIND, call, make_task, make_training
from torch import Tensor, nn

from gentickets.actions.portable import CONTROLS, check_portable, train_portable, write_portables
from gentickets.actions.train_ticket import Environment
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.experiment.job import Stopped
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.masks import Channels, Mask
from gentickets.portable import Portable, norm_names, planted, portable_of, signed, signs_shuffled
from gentickets.recipe import load_recipe
from gentickets.runs.formats import pack_ticket, read_snapshot, read_ticket, write_ticket
from gentickets.runs.portable import is_portable, pack_portable, read_portable, write_portable
from gentickets.search import first_ticket, next_ticket
from gentickets.tensorfile import pack
from gentickets.tickets import Origin, Ticket, copied, state_of
from gentickets.training import grow, train

pytestmark = pytest.mark.usefixtures("without_pictures", "without_plots")

ORIGIN = Origin("iterative", 3, 4, 5)
STORED = (
    "SAQAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJnZW50aWNrZXRzIjoie1wiZm9ybWF0XCI6MSxcImhlYWRlclwiOntcIm9yaWdpblwiOntcImFybVwi"
    "OlwidGlja2V0XCIsXCJtZXRob2RcIjpcIml0ZXJhdGl2ZVwiLFwicmV3aW5kXCI6XCJ3ZWlnaHRzXCIsXCJyZXdpbmRfdG9cIjozLFwicm91bmRc"
    "Ijo0LFwic2VlZFwiOjUsXCJ0aWVkXCI6e319LFwicmVjaXBlXCI6bnVsbCxcInNoYXBlc1wiOntcImQud2VpZ2h0XCI6WzEsOF0sXCJnLjAud2Vp"
    "Z2h0XCI6WzUsM10sXCJnLjEud2VpZ2h0XCI6WzIsMywzLDNdLFwiZy4yLndlaWdodFwiOlszLDNdfX0sXCJraW5kXCI6XCJwb3J0YWJsZVwiLFwi"
    "c2hhMjU2XCI6XCJkNGE5NmU2MTNhNDA4ZTc0OWJlN2ExNDQwMjk0YTIzNjkyY2Y3ZjQ5MzgwMzUwNzFhMjU1NTFmMzFhNzkyMzFjXCJ9In0sIm5v"
    "cm1zL2cuMy5iaWFzIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOls1XSwiZGF0YV9vZmZzZXRzIjpbMCwyMF19LCJub3Jtcy9nLjMud2VpZ2h0Ijp7"
    "ImR0eXBlIjoiRjMyIiwic2hhcGUiOls1XSwiZGF0YV9vZmZzZXRzIjpbMjAsNDBdfSwibWFzay9kLndlaWdodCI6eyJkdHlwZSI6IlU4Iiwic2hh"
    "cGUiOls5XSwiZGF0YV9vZmZzZXRzIjpbNDAsNDldfSwibWFzay9nLjAud2VpZ2h0Ijp7ImR0eXBlIjoiVTgiLCJzaGFwZSI6WzEwXSwiZGF0YV9v"
    "ZmZzZXRzIjpbNDksNTldfSwibWFzay9nLjEud2VpZ2h0Ijp7ImR0eXBlIjoiVTgiLCJzaGFwZSI6WzE1XSwiZGF0YV9vZmZzZXRzIjpbNTksNzRd"
    "fSwibWFzay9nLjIud2VpZ2h0Ijp7ImR0eXBlIjoiVTgiLCJzaGFwZSI6WzEwXSwiZGF0YV9vZmZzZXRzIjpbNzQsODRdfSwic2lnbnMvZC53ZWln"
    "aHQiOnsiZHR5cGUiOiJVOCIsInNoYXBlIjpbMF0sImRhdGFfb2Zmc2V0cyI6Wzg0LDg0XX0sInNpZ25zL2cuMC53ZWlnaHQiOnsiZHR5cGUiOiJV"
    "OCIsInNoYXBlIjpbMV0sImRhdGFfb2Zmc2V0cyI6Wzg0LDg1XX0sInNpZ25zL2cuMS53ZWlnaHQiOnsiZHR5cGUiOiJVOCIsInNoYXBlIjpbM10s"
    "ImRhdGFfb2Zmc2V0cyI6Wzg1LDg4XX0sInNpZ25zL2cuMi53ZWlnaHQiOnsiZHR5cGUiOiJVOCIsInNoYXBlIjpbMl0sImRhdGFfb2Zmc2V0cyI6"
    "Wzg4LDkwXX19ICAgAAAAAAAAAIAAAMA/yKogAAAAgD8hG0K/3MEkvz5qJb8t6SK+QKvjv3gBYwAAAAEAAXgBs9ADAACgAGd4AZPkr9Fz2MkAAAZm"
    "Acx4AfvfAAACgAGATOYePL+A"
)
"""A portable ticket of format 1, as it was first written."""
SMALL = [
    "seed=0",
    "search.seeds=2",
    "train.steps=8",
    "search.rounds=3",
    "quality.frechet=false",
    "search.budget=false",
    "search.controls=[]",
]


def some_portable() -> Portable:
    """Odd sizes, other strides, a full tensor, an empty one, norms."""
    rng = torch.Generator().manual_seed(0)
    shapes = {"g.0.weight": (5, 3), "g.1.weight": (2, 3, 3, 3), "g.2.weight": (3, 3), "d.weight": (1, 8)}
    mask = {name: torch.rand(shape, generator=rng) < 0.4 for name, shape in shapes.items()}
    mask["g.1.weight"] = mask["g.1.weight"].to(memory_format=torch.channels_last)
    mask["g.2.weight"], mask["d.weight"] = torch.ones(3, 3, dtype=torch.bool), torch.zeros(1, 8, dtype=torch.bool)
    positive = {name: (torch.rand(kept.shape, generator=rng) < 0.5) & kept for name, kept in mask.items()}
    norms = {"g.3.weight": torch.randn(5, generator=rng), "g.3.bias": torch.tensor([0.0, -0.0, 1.5, 3e-39, 1.0])}
    return Portable(Mask(mask), positive, norms, ORIGIN)


def found(case: str, batches: Batches, density: float = 0.3) -> tuple[Ticket, dict[str, Tensor], nn.Module]:
    """A ticket, what it grew into, and its networks."""
    training = make_training(case)
    dense = first_ticket(training, batches, rewind_to=REWIND)
    grow(training, dense, batches, seed=0)
    ticket = next_ticket(training, dense, density=density)
    grow(training, ticket, batches, seed=0)
    return ticket, copied(state_of(training.task)), training.task


def same(one: Portable, other: Portable) -> bool:
    parts = [(one.mask, other.mask), (one.positive, other.positive), (one.norms, other.norms)]
    equal = all(set(a) == set(b) and all(torch.equal(a[n], b[n]) for n in a) for a, b in parts)
    return equal and one.origin == other.origin


def start_of(mask: Mapping[str, Tensor], **weights: Tensor) -> Ticket:
    full = Mask({name: torch.ones_like(kept) for name, kept in mask.items()})
    return Ticket(full, weights, Origin("iterative", 0, 0, 7))


# by hand


def test_planting_is_the_hands_arithmetic() -> None:
    kept, fresh = torch.tensor([[True, False, True, True]]), torch.tensor([[-1.0, 2.0, 3.0, -4.0]])
    trained = {"c.weight": torch.tensor([[0.5, -9.0, -0.1, -7.0]]), "c.bias": torch.tensor([5.0])}
    portable = portable_of(Ticket(Mask({"c.weight": kept}), {}, ORIGIN), trained, nn.Linear(1, 1))
    start = start_of({"c.weight": kept}, **{"c.weight": fresh, "c.bias": torch.tensor([6.0])})
    ticket = planted(portable, start)
    size = 1 / math.sqrt(3 / 4)
    assert torch.allclose(ticket.weights["c.weight"], torch.tensor([[size, 0.0, -3 * size, -4 * size]]))
    assert not torch.signbit(ticket.weights["c.weight"][0, 1]), "pruned is +0.0"
    assert ticket.weights["c.bias"] == 6.0, "biases are the fresh network's"
    assert ticket.origin == replace(ORIGIN, method="portable", arm="portable", rewind_to=0, seed=7)
    assert ticket.optim == {}
    assert torch.equal(fresh, torch.tensor([[-1.0, 2.0, 3.0, -4.0]])), "the fresh network is left as it was"


def test_a_layer_without_weights_is_zeros_and_a_full_one_is_not_scaled() -> None:
    fresh, yes = torch.tensor([-1.0, 2.0]), torch.tensor([True, True])
    assert torch.equal(signed(fresh, ~yes, yes), torch.zeros(2))
    assert torch.equal(signed(fresh, yes, torch.tensor([True, False])), torch.tensor([1.0, -2.0]))


def test_a_weight_of_zero_is_positive_and_pruned_ones_have_no_sign() -> None:
    kept = torch.tensor([True, True, False])
    trained = {"w": torch.tensor([0.0, -1.0, 3.0])}
    portable = portable_of(Ticket(Mask({"w": kept}), {}, ORIGIN), trained, nn.Identity())
    assert portable.positive["w"].tolist() == [True, False, False]


def test_norms_of_every_kind_are_known_and_those_of_other_components_left() -> None:
    task = nn.Module()
    task.a = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.PReLU())
    task.b = nn.Sequential(nn.BatchNorm1d(4, affine=False), nn.InstanceNorm1d(4, affine=True), nn.RMSNorm(4))
    wanted = [f"a.{i}.{name}" for i in (1, 2, 3) for name in ("weight", "bias")] + ["a.4.weight"]
    assert norm_names(task, ["a"]) == wanted
    assert norm_names(task, ["a", "b"]) == [*wanted, "b.1.weight", "b.1.bias", "b.2.weight"]


# the control


def test_shuffled_signs_change_each_layer_that_can_and_no_count() -> None:
    portable = some_portable()
    other = signs_shuffled(portable, 3)
    assert other.mask is portable.mask
    for name, kept in portable.mask.items():
        assert other.positive[name].sum() == portable.positive[name].sum()
        assert not (other.positive[name] & ~kept).any()
        movable = 0 < int(portable.positive[name].sum()) < int(kept.sum())
        assert torch.equal(other.positive[name], portable.positive[name]) is not movable
    assert same(other, signs_shuffled(portable, 3))
    assert not same(other, signs_shuffled(portable, 4))


def test_signs_that_cannot_change_are_refused() -> None:
    kept = torch.tensor([True, True, False])
    for positive in (kept, torch.zeros(3, dtype=torch.bool)):
        with pytest.raises(TicketError, match="all the same") as caught:
            signs_shuffled(Portable(Mask({"w": kept}), {"w": positive}, {}, ORIGIN), 0)
        assert caught.value.status == Status.FAILED


# what does not fit


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"c.weight": torch.zeros(2, 2)}, r"'c.weight' with shape \(1, 4\), not \(2, 2\)"),
        ({"d.weight": torch.zeros(1)}, "the portable ticket has no tensor 'd.weight'"),
        ({"c.scale": torch.zeros(2)}, r"'c.scale' has shape \(3,\), the network needs \(2,\)"),
        ({"c.scale": None}, "no norm parameter 'c.scale'"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Tensor | None], said: str) -> None:
    kept = torch.ones(1, 4, dtype=torch.bool)
    portable = Portable(Mask({"c.weight": kept}), {"c.weight": kept}, {"c.scale": torch.ones(3)}, ORIGIN)
    weights = {"c.weight": torch.ones(1, 4), "c.scale": torch.ones(3), **changes}
    there = {name: value for name, value in weights.items() if value is not None}
    masked = {name: value.bool() for name, value in there.items() if name.endswith("weight")}
    with pytest.raises(TicketError, match=said) as caught:
        planted(portable, start_of(masked, **there))
    assert caught.value.status == Status.TICKET
    assert "\n" not in str(caught.value)


def test_only_an_initialization_is_planted_in() -> None:
    kept = torch.tensor([True, False])
    portable = Portable(Mask({"w": kept}), {"w": kept}, {}, ORIGIN)
    start = start_of({"w": kept}, w=torch.ones(2))
    for other in (replace(start, origin=ORIGIN), replace(start, mask=portable.mask)):
        with pytest.raises(TicketError, match="initialization, and this is none"):
            planted(portable, other)


def test_signs_and_trained_weights_must_be_of_the_ticket() -> None:
    kept = torch.tensor([True, False])
    ticket = Ticket(Mask({"w": kept}), {}, ORIGIN)
    for trained in ({}, {"w": torch.ones(3)}, {"w": torch.tensor([1.0, math.nan])}):
        with pytest.raises(TicketError) as caught:
            portable_of(ticket, trained, nn.Identity())
        assert caught.value.status == Status.TICKET
    with pytest.raises(TicketError, match="narrower network"):
        portable_of(replace(ticket, channels=Channels({"c": kept})), {"w": torch.ones(2)}, nn.Identity())
    for signs in ({}, {"w": torch.ones(3, dtype=torch.bool)}, {"w": torch.ones(2)}):
        with pytest.raises(TicketError) as caught:
            Portable(Mask({"w": kept}), signs, {}, ORIGIN)
        assert caught.value.status == Status.TICKET


# the file


def test_a_portable_ticket_comes_back_bit_for_bit(tmp_path: Path) -> None:
    portable = some_portable()
    told: dict[str, Any] = {section: {} for section in ("task", "data", "train", "search", "quality")}
    write_portable(tmp_path / "p", portable, told)
    back, recipe = read_portable(tmp_path / "p")
    assert same(back, portable)
    assert torch.signbit(back.norms["g.3.bias"][1])
    assert recipe == told
    assert is_portable(tmp_path / "p")


def test_equal_portable_tickets_are_equal_bytes() -> None:
    portable = some_portable()
    backwards = {name: kept.contiguous() for name, kept in reversed(list(portable.mask.items()))}
    noisy = {name: portable.positive[name] | ~kept for name, kept in backwards.items()}
    other = Portable(Mask(backwards), noisy, dict(reversed(portable.norms.items())), ORIGIN)
    assert pack_portable(other) == pack_portable(portable)


def test_a_portable_ticket_of_the_first_format_still_loads(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(base64.b64decode(STORED))
    assert same(read_portable(tmp_path / "p")[0], some_portable())


def test_it_is_small(tmp_path: Path) -> None:
    """200,000 weights, 5 % kept: about 2 bits for each kept place that zlib needs, and one sign."""
    rng = torch.Generator().manual_seed(0)
    kept = torch.rand(400, 500, generator=rng) < 0.05
    portable = Portable(Mask({"w": kept}), {"w": kept & (torch.rand(400, 500, generator=rng) < 0.5)}, {}, ORIGIN)
    weights = torch.where(kept, 1.0, 0.0)
    small, ticket = len(pack_portable(portable)), len(pack_ticket(Ticket(portable.mask, {"w": weights}, ORIGIN)))
    assert small < 12_000
    assert small < ticket / 5


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "p"
    write_portable(path, some_portable())
    sound = path.read_bytes()
    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(TicketError) as caught:
            read_portable(path)
        assert caught.value.status == Status.TICKET, place
    for length in range(0, len(sound), 7):
        path.write_bytes(sound[:length])
        with pytest.raises(TicketError) as caught:
            read_portable(path)
        assert caught.value.status == Status.TICKET


def crafted(path: Path, header: Mapping[str, Any] | None = None, **tensors: Any) -> None:
    """A file with a right SHA-256 and whatever content: of 8 weights the first four are kept, and positive."""
    stored: dict[str, Any] = {"mask/w": zlib.compress(b"\xf0"), "signs/w": b"\xf0", **tensors}
    held = {
        name: torch.frombuffer(bytearray(value), dtype=torch.uint8) if isinstance(value, bytes) else value
        for name, value in stored.items()
        if value is not None
    }
    path.write_bytes(
        pack("portable", held, {"origin": asdict(ORIGIN), "recipe": None, "shapes": {"w": [8]}, **(header or {})})
    )


def test_what_is_crafted_soundly_is_read(tmp_path: Path) -> None:
    crafted(tmp_path / "p")
    portable, _ = read_portable(tmp_path / "p")
    assert portable.mask["w"].tolist() == [True] * 4 + [False] * 4
    assert portable.positive["w"].tolist() == [True] * 4 + [False] * 4


@pytest.mark.parametrize(
    "content",
    [
        {"mask/w": zlib.compress(b"\xf0")[:-1]},
        {"mask/w": zlib.compress(b"\xf0")[:-5] + b"\0\0\0\0\0"},
        {"mask/w": zlib.compress(b"\xf0") + b"\0"},
        {"mask/w": zlib.compress(b"\xf0") + zlib.compress(b"\xf0")},
        {"mask/w": zlib.compress(b"\xf0\0")},
        {"mask/w": zlib.compress(b"")},
        {"mask/w": b"\xf0"},
        {"mask/w": torch.zeros(0, dtype=torch.uint8)},
        {"mask/w": torch.tensor([0.5])},
        {"mask/w": None},
        {"signs/w": None},
        {"signs/w": b"\xf1"},
        {"signs/w": b"\xf0\0"},
        {"signs/w": torch.zeros(0, dtype=torch.uint8)},
        {"signs/w": torch.zeros(1, 1, dtype=torch.uint8)},
        {"signs/v": b"\xf0"},
        {"weights/w": torch.ones(3)},
        {"norms/n": torch.tensor([math.nan])},
        {"norms/n": torch.ones(1, dtype=torch.float64)},
        {"header": {"shapes": {"w": [3]}}},
        {"header": {"shapes": {"w": [9]}}},
        {"header": {"shapes": {"w": [10**12]}}},
        {"header": {"shapes": {"w": [10**40]}}},
        {"header": {"shapes": [8]}},
        {"header": {"shapes": {}}},
        {"header": {"origin": {}}},
        {"header": {"recipe": {"task": {}}}},
    ],
    ids=str,
)
def test_files_that_lie_are_refused(content: dict[str, Any], tmp_path: Path) -> None:
    crafted(tmp_path / "p", **content)
    with pytest.raises(TicketError) as caught:
        read_portable(tmp_path / "p")
    assert caught.value.status == Status.TICKET
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [[2, -4, -1], [-2, -4], [8.0], [True, 8], 8, "8", None])
def test_what_is_no_shape_is_named(shape: object, tmp_path: Path) -> None:
    crafted(tmp_path / "p", {"shapes": {"w": shape}})
    with pytest.raises(TicketError, match="is no shape") as caught:
        read_portable(tmp_path / "p")
    assert caught.value.status == Status.TICKET


def test_a_bomb_takes_no_more_memory_than_the_shape_calls_for(tmp_path: Path) -> None:
    crafted(tmp_path / "p", **{"mask/w": zlib.compress(bytes(50_000_000), 9)})
    tracemalloc.start()
    try:
        with pytest.raises(TicketError, match="does not hold the 1 bytes"):
            read_portable(tmp_path / "p")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_newer_format_and_other_kinds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gentickets import tensorfile

    path = tmp_path / "p"
    monkeypatch.setattr(tensorfile, "FORMAT", 2)
    path.write_bytes(pack("portable", {}, {}))
    monkeypatch.setattr(tensorfile, "FORMAT", 1)
    with pytest.raises(TicketError, match=r"format 2.*upgrade"):
        read_portable(path)
    write_ticket(path, Ticket(Mask({}), {}, ORIGIN))
    with pytest.raises(TicketError, match="holds 'ticket', not 'portable'"):
        read_portable(path)
    assert not is_portable(path)
    path.write_bytes(b"\x80\x04")
    assert not is_portable(path)
    assert not is_portable(tmp_path / "none")


def test_the_documents_reader_reads_a_portable_ticket_as_we_do(tmp_path: Path) -> None:
    text = (HOUSE / "docs/runs.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(compile("".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), "docs/runs.md", "exec"), names)
    read: Callable[[Path], Any] = names["read_portable"]
    portable = some_portable()
    write_portable(tmp_path / "p", portable)
    signs, norms, header = read(tmp_path / "p")
    assert header["origin"] == asdict(ORIGIN)
    assert set(signs) == set(portable.mask)
    for name, kept in portable.mask.items():
        wanted = torch.where(kept, torch.where(portable.positive[name], 1, -1), 0)
        assert np.array_equal(signs[name], wanted.numpy()), name
    assert all(np.array_equal(norms[name], value.numpy()) for name, value in portable.norms.items())
    sound = (tmp_path / "p").read_bytes()
    (tmp_path / "p").write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.raises(ValueError, match="damaged"):
        read(tmp_path / "p")


# every family


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_every_family_is_planted_and_keeps_its_zeros(case: str, batches: Batches, tmp_path: Path) -> None:
    ticket, trained, task = found(case, batches)
    write_portable(tmp_path / "p", portable_of(ticket, trained, task))
    portable, _ = read_portable(tmp_path / "p")
    training = make_training(case, seed=9)
    start = first_ticket(training, batches, rewind_to=0)
    made = planted(portable, start)
    for name, kept in made.mask.items():
        fresh, value = start.weights[name], made.weights[name]
        assert torch.allclose(value[kept].abs(), fresh[kept].abs() * ticket.mask.densities[name] ** -0.5)
        assert torch.equal(value[kept] >= 0, trained[name][kept] >= 0)
        assert not value[~kept].any()
    own = set(portable.norms)
    assert all(torch.equal(made.weights[name], trained[name]) for name in own)
    rest = [name for name in start.weights if name not in own and name not in made.mask]
    assert all(torch.equal(made.weights[name], start.weights[name]) for name in rest)
    training.start(made)
    for layer in training.task.modules():
        if hasattr(layer, "parametrizations"):
            assert abs(float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) - 1) < 0.02
    train(training, batches, range(2), mask=made.mask, seed=9)
    state = state_of(training.task)
    assert all(not state[name][~kept].any() for name, kept in made.mask.items())
    assert any(not torch.equal(state[name], made.weights[name]) for name in made.mask)


@pytest.mark.parametrize(("case", "norms"), [("vae-mlp", False), ("vae-conv", True), ("gan-sngan", True)])
def test_norms_go_along_where_there_are_any(case: str, norms: bool, batches: Batches) -> None:
    ticket, trained, task = found(case, batches)
    portable = portable_of(ticket, trained, task)
    assert bool(portable.norms) is norms
    assert not [name for name in portable.norms if "running" in name or name in portable.mask]
    scales = [name for name in portable.norms if name.endswith("weight")]
    fresh = state_of(make_task(case, 9))
    assert all(not torch.equal(trained[name], fresh[name]) for name in scales), "they are the trained ones"


# the commands


def sets(*more: str) -> list[str]:
    return [word for one in [*SMALL, *more] for word in ("--set", one)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plain run, and one of the same recipe with portable tickets."""
    folder = tmp_path_factory.mktemp("portable")
    recipe = load_recipe("tiny", overrides=SMALL)
    find(recipe, folder / "plain", Options(jobs=0, device="cpu"))
    ran = call("find", "tiny", *sets(), "--portable", "--out", folder / "own", "--device", "cpu", "--jobs", 1)
    assert ran.exit_code == 0, ran.output
    assert "6 portable tickets" in ran.stderr
    return folder


def files(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.glob("seed-*/*/*/*.safetensors")}


def test_find_writes_portable_tickets_and_changes_nothing_else(runs: Path) -> None:
    plain, own = files(runs / "plain"), files(runs / "own")
    made = {name for name in own if name.endswith("/portable.safetensors")}
    assert made == {f"seed-{s}/ticket/round-0{r}/portable.safetensors" for s in (0, 1) for r in (1, 2, 3)}
    assert {name: data for name, data in own.items() if name not in made} == plain
    assert "seed-0/ticket/round-01/trained.safetensors" not in own, "dropped, as without portable tickets"
    for path in sorted((runs / "own").glob("seed-*/ticket/round-0[23]")):
        portable, recipe = read_portable(path / "portable.safetensors")
        ticket, told = read_ticket(path / "ticket.safetensors")
        trained = read_snapshot(path / "trained.safetensors")[0].weights
        assert recipe == told
        assert all(torch.equal(portable.mask[name], ticket.mask[name]) for name in ticket.mask)
        for name, kept in ticket.mask.items():
            assert torch.equal(portable.positive[name], (trained[name] >= 0) & kept)


def test_a_finished_run_just_writes_them_and_tells_what_is_gone(runs: Path) -> None:
    before = files(runs / "plain")
    ran = call("find", "tiny", *sets(), "--portable", "--out", runs / "plain", "--json")
    assert ran.exit_code == 0, ran.output
    assert len(json.loads(ran.stdout)) == 1
    after, own = files(runs / "plain"), files(runs / "own")
    assert {name: after[name] for name in before} == before
    made = {name for name in after if name not in before}
    assert made == {f"seed-{s}/ticket/round-0{r}/portable.safetensors" for s in (0, 1) for r in (2, 3)}
    assert all(after[name] == own[name] for name in made)
    (told,) = [line for line in ran.stderr.splitlines() if "dropped before" in line]
    assert told.count("round-01") == 2
    times = {name: (runs / "plain" / name).stat().st_mtime_ns for name in made}
    written = write_portables(runs / "plain", load_recipe("tiny", overrides=SMALL), Options())
    assert (len(written.files), len(written.missing)) == (4, 2)
    assert times == {name: (runs / "plain" / name).stat().st_mtime_ns for name in made}, "not written again"


def test_recipes_whose_tickets_cannot_be_portable_are_refused_before_anything_runs(tmp_path: Path) -> None:
    birds = ["search.method=early_bird", "search.by=channels"]
    with pytest.raises(TicketError, match="narrower networks, not masks"):
        check_portable(load_recipe("quick/vae_earlybird", overrides=birds))
    ran = call("find", "width/gda", "--portable", "--out", tmp_path / "run")
    assert (ran.exit_code, "a sweep of widths has no ticket" in ran.stderr) == (2, True)
    assert not (tmp_path / "run").exists()


def test_train_plants_it_in_the_next_seed_and_names_the_control(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = runs / "own/seed-0/ticket/round-03/portable.safetensors"
    ran = call("train", path, "--device", "cpu", "--json")
    assert ran.exit_code == 0, ran.output
    folder = Path("runs/own-seed-0-ticket-round-03-portable-seed-1-train")
    told = json.loads(ran.stdout)
    assert (told["folder"], told["seed"], told["control"]) == (str(folder), 1, None)
    assert (told["starts_at"], told["steps_taken"]) == (0, 8)
    assert "planted in the network of seed 1: a portable ticket is a one-bit warm start" in ran.stderr
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("its control: ")]
    assert line == f"its control: gentickets train {path} --control shuffled-signs --device cpu"
    given, recipe = read_ticket(folder / "given.safetensors")
    portable, _ = read_portable(path)
    assert recipe is not None
    assert recipe["seed"] == 1
    assert (given.origin.method, given.origin.seed, given.origin.rewind_to) == ("portable", 1, 0)
    trained = read_snapshot(Path(told["trained"]))[0].weights
    for name, kept in portable.mask.items():
        assert torch.equal(given.weights[name][kept] >= 0, portable.positive[name][kept])
        assert not trained[name][~kept].any()
    export = ["export", "--format", "safetensors"]
    for command in (["show"], ["sample", "--out", "s.png"], ["cost", "--seconds", "0.1"], export):
        after = call(command[0], folder, *command[1:])
        assert after.exit_code == 0, after.output
    shuffled = call("train", path, "--control", "shuffled-signs", "--device", "cpu", "--json")
    assert shuffled.exit_code == 0, shuffled.output
    other = json.loads(shuffled.stdout)
    assert other["control"] == "shuffled-signs"
    assert other["folder"] == "runs/own-seed-0-ticket-round-03-portable-shuffled-signs-seed-1-train"
    assert other["negative_elbo"] != told["negative_elbo"]
    assert f"of: gentickets train {path} --device cpu" in shuffled.stderr
    control, _ = read_ticket(Path(other["folder"]) / "given.safetensors")
    assert control.origin.method == "portable-shuffled-signs"
    for name, kept in portable.mask.items():
        assert torch.equal(control.weights[name].abs(), given.weights[name].abs())
        assert int((control.weights[name] > 0).sum()) == int((portable.positive[name] & kept).sum())


def test_the_fresh_network_is_the_one_that_find_trains(runs: Path, tmp_path: Path) -> None:
    """So its dense control ends where the dense run of that seed ended, bit for bit."""
    path = runs / "own/seed-0/ticket/round-03/portable.safetensors"
    train_portable(path, tmp_path / "dense", Environment(device="cpu"), seed=1, control="dense")
    ours = read_snapshot(tmp_path / "dense/seed-1/train/round-00/trained.safetensors")[0].weights
    theirs = read_snapshot(runs / "own/seed-1/ticket/round-00/trained.safetensors")[0].weights
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_controls_are_what_they_say(runs: Path, tmp_path: Path) -> None:
    path = runs / "own/seed-0/ticket/round-03/portable.safetensors"
    made = {}
    for control in CONTROLS:
        ran = call("train", path, "--control", control, "--seed", 5, "--out", tmp_path / control, "--steps", 3)
        assert ran.exit_code == 0, ran.output
        made[control] = read_ticket(tmp_path / control / "given.safetensors")[0]
    dense, own = made["dense"], made["fresh-signs"]
    assert dense.mask.density == 1.0
    for name, kept in own.mask.items():
        scaled = dense.weights[name] * kept * own.mask.densities[name] ** -0.5
        assert torch.allclose(own.weights[name], scaled)
        assert torch.allclose(made["shuffled-signs"].weights[name].abs(), scaled.abs())
    ticket = path.with_name("ticket.safetensors")
    refused = call("train", ticket, "--control", "dense")
    assert (refused.exit_code, "no portable ticket" in refused.stderr) == (2, True)


def test_a_stopped_planting_goes_on_to_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    path = runs / "own/seed-0/ticket/round-03/portable.safetensors"
    place, taken = Environment(device="cpu"), []
    train_portable(path, tmp_path / "whole", place, seed=4)
    for stop_at in (2, 3):
        taken.clear()
        with pytest.raises(Stopped):
            train_portable(
                path, tmp_path / "cut", place, seed=4, save_every=0.0,
                stop=lambda at=stop_at: len(taken) >= at, report=lambda steps, of: taken.append(steps),
            )  # fmt: skip
    train_portable(path, tmp_path / "cut", place, seed=4)
    assert taken[-1] > 3
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    assert (tmp_path / "cut/given.safetensors").read_bytes() == (tmp_path / "whole/given.safetensors").read_bytes()
    with pytest.raises(TicketError, match="another ticket, or with other settings"):
        train_portable(path, tmp_path / "cut", place, seed=4, control="shuffled-signs")


def test_a_portable_file_is_shown_and_asks_to_be_trained_first(runs: Path, tmp_path: Path) -> None:
    path = runs / "own/seed-0/ticket/round-03/portable.safetensors"
    shown = call("show", path)
    assert shown.exit_code == 0, shown.output
    assert "one-bit warm start" in shown.stderr
    told = json.loads(call("show", path, "--json").stdout)
    assert (told["kind"], told["bytes"], told["round"]) == ("portable", path.stat().st_size, 3)
    assert told["sparsity"] == pytest.approx(1 - 0.8**3, abs=1e-3)
    portable, _ = read_portable(path)
    assert told["positive"] == {name: int(positive.sum()) for name, positive in portable.positive.items()}
    for command in (["sample", "--out", str(tmp_path / "s.png")], ["cost"], ["export", "--out", str(tmp_path / "e")]):
        ran = call(command[0], path, *command[1:])
        assert ran.exit_code == 2, ran.output
        (line,) = [line for line in ran.stderr.splitlines() if "measuring" not in line]
        assert f"is a portable ticket, which has no network of its own; train it first: gentickets train {path}" in line
    (tmp_path / "portable.safetensors").write_bytes(path.read_bytes()[:-1])
    for command in ("show", "train"):
        assert call(command, tmp_path).exit_code == 3
