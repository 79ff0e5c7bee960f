"""Files: what goes in comes out, equal content is equal bytes, damage is noticed, nothing is executed."""

from __future__ import annotations

import json
import os
import pickle
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from helpers import FAMILY_CASES, REWIND, make_training

from gentickets import disk
from gentickets.data import Batches
from gentickets.disk import write_whole
from gentickets.errors import Status, TicketError
from gentickets.files import parse_json, read_json
from gentickets.files.tensor_header import read_header
from gentickets.masks import Mask
from gentickets.results import Result, parse_result
from gentickets.runs.folder import RunFolder, locked
from gentickets.runs.formats import pack_ticket, read_snapshot, read_ticket, write_snapshot, write_ticket
from gentickets.search import first_ticket, next_ticket
from gentickets.tensorfile import pack, read_tensors
from gentickets.tickets import Origin, Ticket
from gentickets.training import grow


def some_ticket(case: str, batches: Batches, density: float = 0.3) -> Ticket:
    training = make_training(case, ema={"generator": 0.9} if case.startswith("gan") else {})
    dense = first_ticket(training, batches, rewind_to=REWIND)
    grow(training, dense, batches, seed=0)
    return next_ticket(training, dense, density=density)


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_a_ticket_comes_back_bit_for_bit(case: str, batches: Batches, tmp_path: Path) -> None:
    ticket = some_ticket(case, batches)
    path = tmp_path / "ticket.safetensors"
    told = {section: {} for section in ("task", "data", "train", "search", "quality")}
    write_ticket(path, ticket, told)
    back, recipe = read_ticket(path)
    assert recipe == told
    assert back.origin == ticket.origin
    assert all(torch.equal(back.mask[name], ticket.mask[name]) for name in ticket.mask)
    assert set(back.weights) == set(ticket.weights)
    for name, value in ticket.masked_weights().items():
        assert torch.equal(back.weights[name], value)
        assert back.weights[name].dtype == value.dtype
    assert set(back.optim) == set(ticket.optim)
    for key, value in ticket.optim.items():
        name = key.split("/", 1)[1].rsplit("/", 1)[0]
        kept = ticket.mask.get(name)
        masked = value if kept is None or kept.shape != value.shape else value * kept
        assert torch.equal(back.optim[key], masked)


def test_equal_tickets_are_equal_bytes_and_pruned_is_plus_zero(batches: Batches) -> None:
    ticket = some_ticket("vae-mlp", batches)
    noisy = {
        name: torch.where(ticket.mask[name], value, -0.0) if name in ticket.mask else value
        for name, value in ticket.weights.items()
    }
    other = replace(ticket, weights=dict(reversed(noisy.items())), mask=Mask(dict(list(ticket.mask.items())[::-1])))
    assert pack_ticket(ticket) == pack_ticket(other)
    text = pack_ticket(ticket)
    assert os.uname().nodename.encode() not in text[: 1 << 14]


def test_a_ticket_is_as_small_as_it_is_sparse(batches: Batches, tmp_path: Path) -> None:
    sizes = {}
    for density in (1.0, 0.2):
        ticket = replace(some_ticket("vae-mlp", batches, density), optim={})
        sizes[density] = len(pack_ticket(ticket))
        kept, total = ticket.mask.kept, ticket.mask.total
        rest = sum(v.numel() * v.element_size() for n, v in ticket.weights.items() if n not in ticket.mask)
        assert sizes[density] < 4 * kept + total / 8 + rest + 5000
    assert sizes[0.2] < 0.5 * sizes[1.0]


def test_snapshots_come_back_with_notes_and_best_weights(batches: Batches, tmp_path: Path) -> None:
    training = make_training("gan-conv", ema={"generator": 0.9})
    dense = first_ticket(training, batches, rewind_to=REWIND)
    grow(training, dense, batches, seed=0)
    snapshot = training.snapshot(10)
    best = {"a/b": torch.arange(3)}
    write_snapshot(tmp_path / "s", snapshot, {"phase": "grow", "notes": [1, 2]}, best)
    back, extra, again = read_snapshot(tmp_path / "s")
    assert back.step == 10
    assert extra == {"phase": "grow", "notes": [1, 2]}
    assert torch.equal(again["a/b"], best["a/b"])
    for part in ("weights", "optim", "ema"):
        one, other = getattr(snapshot, part), getattr(back, part)
        assert set(one) == set(other)
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "t"
    weights = {"layer.weight": torch.randn(4, 5), "layer.bias": torch.randn(4)}
    mask = Mask({"layer.weight": torch.rand(4, 5) > 0.5})
    write_ticket(path, Ticket(mask, weights, Origin("iterative", 0, 1, 0)))
    sound = path.read_bytes()
    header = 8 + int.from_bytes(sound[:8], "little")
    for bit in range(8 * header, 8 * len(sound), 7):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(TicketError, match="damaged") as caught:
            read_ticket(path)
        assert caught.value.status == Status.TICKET


@pytest.mark.parametrize("length", [0, 4, 8, 100, -1])
def test_truncated_files_are_damaged(length: int, batches: Batches, tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_ticket(path, some_ticket("ae-mlp", batches))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(TicketError, match="damaged"):
        read_ticket(path)


def test_a_file_of_another_length_than_it_says_is_refused_before_it_is_read(batches: Batches, tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_ticket(path, some_ticket("ae-mlp", batches))
    sound = path.read_bytes()
    for length in (len(sound) - 100, len(sound) + 1, 1 << 40):  # the last is sparse, and more than memory holds
        path.write_bytes(sound)
        os.truncate(path, length)
        for read in (read_header, read_ticket):
            with pytest.raises(TicketError, match="damaged, cut short") as caught:
                read(path)
            assert caught.value.status == Status.TICKET


def test_pickles_are_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "executed"),)

    path = tmp_path / "t"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(TicketError, match="no safetensors file: it begins like a pickle"):
        read_ticket(path)
    assert not (tmp_path / "executed").exists()


def test_other_files_say_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(2)}))
    with pytest.raises(TicketError, match="not one of gentickets"):
        read_ticket(path)
    path.write_bytes(pack("snapshot", {}, {"step": 0, "extra": {}}))
    with pytest.raises(TicketError, match="holds 'snapshot', not 'ticket'"):
        read_ticket(path)
    with pytest.raises(TicketError, match="no file"):
        read_ticket(tmp_path / "missing")
    with pytest.raises(TicketError, match="folder"):
        read_ticket(tmp_path)


@pytest.mark.parametrize("read", [read_header, read_ticket, lambda path: read_json(path, 2)])
def test_what_is_no_file_is_not_waited_for(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TicketError, match="is no file") as caught:
        read(tmp_path / "pipe")
    assert caught.value.status == Status.TICKET


def test_a_json_file_that_is_no_text_or_has_no_format_is_told_plainly() -> None:
    for data, why in ((b"\xff\xfe{}", "it is no UTF-8 text"), (b"{}", "it states no format")):
        with pytest.raises(TicketError, match=f"x is damaged: {why}$"):
            parse_json(data, Path("x"), 2)


def test_a_newer_format_is_refused_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gentickets import tensorfile

    path = tmp_path / "t"
    monkeypatch.setattr(tensorfile, "FORMAT", 2)
    path.write_bytes(pack("ticket", {}, {}))
    monkeypatch.setattr(tensorfile, "FORMAT", 1)
    with pytest.raises(TicketError, match=r"format 2.*reads up to 1.*upgrade"):
        read_ticket(path)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"shapes": {"w": [2, 2]}, "origin": {}, "recipe": None},
        {
            "shapes": {"w": [10**12]},
            "origin": {"method": "x", "rewind_to": 0, "round": 0, "seed": 0},
            "recipe": None,
        },
        {
            "shapes": {"w": [-1]},
            "origin": {"method": "x", "rewind_to": 0, "round": 0, "seed": 0},
            "recipe": None,
        },
        {"shapes": [1], "origin": {"method": "x", "rewind_to": 0, "round": 0, "seed": 0}, "recipe": None},
    ],
)
def test_headers_that_lie_are_refused_before_anything_is_made(header: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "t"
    tensors = {"mask/w": torch.zeros(1, dtype=torch.uint8), "weights-kept/w": torch.zeros(3)}
    path.write_bytes(pack("ticket", tensors, header))
    with pytest.raises(TicketError) as caught:
        read_ticket(path)
    assert caught.value.status == Status.TICKET


def test_packing_is_one_metadata_key_and_reads_elsewhere(tmp_path: Path, batches: Batches) -> None:
    path = tmp_path / "t"
    write_ticket(path, some_ticket("vae-mlp", batches))
    with safetensors.safe_open(path, "pt") as file:
        assert list(file.metadata()) == ["gentickets"]
        told = json.loads(file.metadata()["gentickets"])
    assert set(told) == {"format", "kind", "header", "sha256"}
    assert read_tensors(path, "ticket")[1] == told["header"]


def test_a_write_that_fails_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_whole(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_written_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "f", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


def test_two_writers_cannot_hold_one_folder(tmp_path: Path) -> None:
    with locked(tmp_path / "run"), pytest.raises(TicketError, match="another process") as caught:
        locked(tmp_path / "run")
    assert caught.value.status == Status.LOCKED
    with locked(tmp_path / "run"):
        pass


def test_results_come_back_and_damaged_ones_are_named(tmp_path: Path) -> None:
    result = Result("ticket", 0, 3, 0.488, 500, 450, "last", test={"frechet": 1.5}, densities={"a": 0.5})
    assert parse_result(result.to_json(), tmp_path) == result
    for text in ("", "[]", "{}", '{"format": 1}', '{"format": 1, "arm": 3, "what": 1}'):
        with pytest.raises(TicketError, match=tmp_path.name):
            parse_result(text, tmp_path)
    with pytest.raises(TicketError, match="format 9"):
        parse_result('{"format": 9}', tmp_path)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(TicketError, match="no run"):
        RunFolder(tmp_path).read_record()
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(TicketError, match="damaged"):
        RunFolder(tmp_path).read_record()
