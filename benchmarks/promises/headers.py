"""Headers of tensor files mutated by the million."""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from promises import broken
from promises.damage import damaged, plain
from promises.part import Part, World

HEADERS = 10_000
"""Tries in one batch."""
SLOW = 1.0
"""Seconds that no header may take."""


def headers(world: World, number: int) -> str | None:
    """Ten thousand mutated headers of tensor files: each is refused, or changes nothing, within a second."""
    from gentickets.errors import Status, TicketError
    from gentickets.tensorfile import unpack

    data, whole = _tensor_file(world)
    _forbid_code()
    broken.apply(world.broken)
    chance = random.Random(number)
    for _ in range(HEADERS):
        changed = _mutated(data, chance)
        started = time.perf_counter()
        try:
            with _reading():
                found = unpack(changed, "ticket", Path("mutated"))
        except TicketError as error:
            if error.status is not Status.TICKET:
                return f"status {error.status}: {error}"
        except Exception as error:
            return f"{type(error).__name__}: {error} for {changed[:120]!r}"
        else:
            if not _equal(found, whole):
                return f"a header that was changed is taken: {changed[:200]!r}"
        if (seconds := time.perf_counter() - started) > SLOW:
            return f"{seconds:.1f} s for {changed[:120]!r}"
    return None


def _tensor_file(world: World) -> tuple[bytes, Any]:
    """A small ticket's bytes, and what they hold."""
    import torch

    from gentickets import Mask, Origin, Ticket
    from gentickets.runs.formats import pack_ticket
    from gentickets.tensorfile import unpack

    weights = {"net.weight": torch.arange(12.0).reshape(3, 4), "net.bias": torch.ones(3)}
    mask = Mask({"net.weight": torch.arange(12).reshape(3, 4) % 2 == 0})
    data = pack_ticket(Ticket(mask, weights, Origin("iterative", 1, 1, 0)))
    return data, unpack(data, "ticket", Path("whole"))


def _equal(found: Any, whole: Any) -> bool:
    return bool(found[1] == whole[1] and plain(found[0]) == plain(whole[0]))


_VALUES = (
    "-1", "0", "1e999", "NaN", "null", "true", '""', '"F32"', '"F128"', "[]", "{}", "[[]]", "[9999999999999]", "[-1]",
    "[0,0]", "[0,18446744073709551616]", "1" * 400, '"\\ud800"', "[" * 200 + "]" * 200, '{"a":' * 100 + "1" + "}" * 100,
)  # fmt: skip


def _mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with another header: bytes changed in it, its length, a value, a key, or a great many keys."""
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + length], data[8 + length :]
    kind = chance.randrange(12)
    if kind < 6:
        changed = damaged(header, chance)
    elif kind == 6:
        size = chance.choice([0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1, chance.randrange(2**64)])
        return size.to_bytes(8, "little") + header + rest
    elif kind == 11 and chance.random() < 0.002:
        many = ",".join(f'"{name}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for name in range(200_000))
        changed = b"{" + many.encode() + b"," + header[1:]
    else:
        changed = _another_value(header, chance)
    return len(changed).to_bytes(8, "little") + changed + rest


def _another_value(header: bytes, chance: random.Random) -> bytes:
    """The header's JSON with a value replaced somewhere, or a key doubled."""
    table = json.loads(header)
    name = chance.choice(list(table))
    mark = "\N{SNOWMAN}"
    if chance.random() < 0.2 or not isinstance(table[name], dict):
        table[name] = mark
    else:
        inner = dict(table[name])
        inner[chance.choice(list(inner))] = mark
        table[name] = inner
    text = json.dumps(table, ensure_ascii=False).replace(f'"{mark}"', chance.choice(_VALUES))
    if chance.random() < 0.1:
        text = '{"__metadata__":{},' + text[1:]
    return text.encode(errors="surrogatepass")


_READING: list[bool] = []
_FORBIDDEN = ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "ctypes.dlopen")


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Inside, a file is read: code that it brings along ends the process."""
    _READING.append(True)
    try:
        yield
    finally:
        _READING.pop()


def _forbid_code() -> None:
    """From now on, nothing of what a file brings along may run while it is read."""
    if "watched" not in _KNOWN:
        _KNOWN.add("watched")

        def watch(event: str, given: Any) -> None:
            if _READING and event in _FORBIDDEN:
                print(f"a header led to {event} {given}", file=sys.stderr)
                os._exit(99)

        sys.addaudithook(watch)


_KNOWN: set[str] = set()


TENSORS = Part(
    "headers",
    "A tensor file with any header is refused (status 3) or unchanged: nothing runs, hangs or takes over a second.",
    1_000_000, 20_000, headers,
    {"checksum": "checksums are not compared"},
    HEADERS,
)  # fmt: skip
