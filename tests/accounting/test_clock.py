"""Seconds, bytes and joules: what is timed by turns, what is noticed, and what cannot be told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gentickets.accounting import clock, energy, interleaved, meters, peak_memory
from gentickets.accounting.clock import Timing, timed
from gentickets.errors import TicketError

CPU = torch.device("cpu")


def sleeper(seconds: float, log: list[str], name: str) -> Callable[[], None]:
    def call() -> None:
        log.append(name)
        time.sleep(seconds)

    return call


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still unless somebody moves it."""
    now = [0.0]
    monkeypatch.setattr(clock, "perf_counter", lambda: now[0])
    return now


def taking(now: list[float], *seconds: float) -> Callable[[], None]:
    """A call that takes so long, one after the other and from the start again."""
    calls = [0]

    def call() -> None:
        now[0] += seconds[calls[0] % len(seconds)]
        calls[0] += 1

    return call


def test_contenders_take_turns_in_an_order_that_rotates() -> None:
    log: list[str] = []
    found = interleaved({name: sleeper(0.021, log, name) for name in "abc"}, repeats=5, seconds=0.0, warmup=1)
    assert log[:3] == ["a", "b", "c"], "warm-up"
    assert "".join(log[3:]) == "abcbcacababcbca"
    assert all(len(timing.seconds) == 5 for timing in found.values())
    assert all(timing.median == pytest.approx(0.021, abs=0.01) for timing in found.values())


def test_medians_quartiles_and_gains_by_hand(ticking: list[float]) -> None:
    contenders = {"dense": taking(ticking, 0.4), "compact": taking(ticking, 0.1, 0.1, 0.2)}
    found = interleaved(contenders, repeats=6, seconds=100.0, warmup=3)
    assert found["dense"].seconds == pytest.approx((0.4,) * 6)
    assert sorted(found["compact"].seconds) == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.2, 0.2])
    assert found["compact"].median == pytest.approx(0.1)
    assert found["compact"].quartiles == pytest.approx((0.1, 0.175))
    assert found["compact"].gain(found["dense"]) == pytest.approx((4.0, 2.5, 4.0))
    assert found["dense"].over(4).median == pytest.approx(0.1)
    with pytest.raises(TicketError, match="side by side"):
        found["dense"].gain(Timing((1.0,), 1.0))


def test_the_first_call_is_booked_apart(ticking: list[float]) -> None:
    (found,) = interleaved({"a": taking(ticking, 30.0, *[0.1] * 99)}, repeats=5, seconds=9.0).values()
    assert (found.first, found.unsteady) == (30.0, None)
    assert max(found.seconds) == pytest.approx(0.1)


def test_short_calls_are_repeated_within_a_turn_and_time_ends_the_turns(ticking: list[float]) -> None:
    calls = [0]

    def call() -> None:
        calls[0] += 1
        ticking[0] += 0.001

    (found,) = interleaved({"a": call}, repeats=100, seconds=0.19, warmup=2).values()
    assert len(found.seconds) == 10, "turns of 20 ms until 190 ms have gone by"
    assert calls[0] == 2 + 10 * 20
    assert found.median == pytest.approx(0.001)


def test_a_scattered_measurement_is_taken_again_and_told_if_it_stays_so(ticking: list[float]) -> None:
    calm = interleaved({"a": taking(ticking, *[0.1, 0.1, 0.5] * 4, *[0.1] * 100)}, repeats=10, seconds=99.0)
    assert calm["a"].unsteady is None
    assert calm["a"].seconds == pytest.approx((0.1,) * 10)
    wild = interleaved({"a": taking(ticking, 0.1, 0.5)}, repeats=10, seconds=99.0)
    assert "quartiles are 133 % of its median apart" in str(wild["a"].unsteady)


def test_the_slow_state_is_noticed(monkeypatch: pytest.MonkeyPatch, ticking: list[float]) -> None:
    slow = iter([25.0, 1.0])
    monkeypatch.setattr(clock, "slowness", lambda: next(slow))
    call = taking(ticking, *[2.0] * 7, *[0.1] * 99)  # two to warm up and five turns in the slow state
    found = interleaved({"a": call}, repeats=5, seconds=99.0)
    assert (found["a"].median, found["a"].unsteady) == (pytest.approx(0.1), None)
    monkeypatch.setattr(clock, "slowness", lambda: 25.0)
    assert "25 times as long" in str(interleaved({"a": call}, repeats=5, seconds=9.0)["a"].unsteady)
    monkeypatch.undo()
    assert clock.slowness() == 1.0, "one thread has nobody to wait for"


def test_timed_is_the_mean_of_the_calls_in_a_row(ticking: list[float]) -> None:
    assert timed(taking(ticking, 1.0, 2.0, 3.0), CPU, 3) == 2.0


@pytest.mark.skipif(not meters.CLEAR_REFS.exists(), reason="needs Linux")
def test_peak_memory_is_what_was_needed_above_the_start_also_where_it_is_free_again() -> None:
    held = torch.ones(2_000_000)  # 8 MB that were there before
    with peak_memory(CPU) as peak:
        torch.ones(10_000_000).sum()  # 40 MB, gone at the end
        assert peak.bytes is None, "not before it is over"
    assert peak.bytes == peak.above == pytest.approx(40e6, abs=6e6)
    with peak_memory(CPU) as small:
        torch.ones(2_500_000).sum()
    assert small.bytes == pytest.approx(10e6, abs=4e6), "a peak before does not count"
    assert held.sum() == 2e6


def test_memory_that_cannot_be_told_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "CLEAR_REFS", tmp_path / "no" / "clear_refs")
    with peak_memory(CPU) as peak:
        pass
    assert peak.bytes is None
    monkeypatch.undo()
    monkeypatch.setattr(meters, "STATUS", tmp_path / "status")
    with peak_memory(CPU) as peak:
        pass
    assert peak.bytes is None
    with peak_memory(torch.device("meta")) as peak:
        pass
    assert peak.bytes is None


def domain(folder: Path, name: str, microjoules: int, wraps: int = 262_143_328_850) -> Path:
    place = folder / ("intel-rapl:" + name.replace("package-", "").replace("core", "0:0").replace("psys", "9"))
    place.mkdir(exist_ok=True)
    (place / "name").write_text(f"{name}\n")
    (place / "energy_uj").write_text(f"{microjoules}\n")
    (place / "max_energy_range_uj").write_text(f"{wraps}\n")
    return place


def test_energy_is_the_packages_and_a_counter_may_wrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "POWERCAP", tmp_path)
    for name, start in (("package-0", 5_000_000), ("package-1", 9_999_999), ("core", 1), ("psys", 1)):
        domain(tmp_path, name, start, wraps=9_999_999)
    with energy(CPU) as used:
        domain(tmp_path, "package-0", 7_500_000, wraps=9_999_999)
        domain(tmp_path, "package-1", 1_000_000 - 1, wraps=9_999_999)
        domain(tmp_path, "core", 900_000)
        domain(tmp_path, "psys", 900_000)
    assert used.joules == pytest.approx(2.5 + 1.0)
    assert used.source == "RAPL"


def test_energy_that_cannot_be_read_is_none_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "POWERCAP", tmp_path)
    with energy(CPU) as used:
        pass
    assert (used.joules, used.source) == (None, None)
    place = domain(tmp_path, "package-0", 1)
    (place / "energy_uj").unlink()  # as for users without the right to read it
    with energy(CPU) as used:
        pass
    assert used.joules is None
    domain(tmp_path, "package-0", 1)
    with energy(CPU) as used:
        (place / "energy_uj").write_text("broken")
    assert used.joules is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with energy(torch.device("cuda")) as used:
        pass
    assert used.joules is None


def test_a_gpu_is_asked_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Meter:
        count = 1_000

        def nvmlInit(self) -> None:  # noqa: N802 - the library's names
            pass

        def nvmlDeviceGetHandleByUUID(self, name: str) -> str:  # noqa: N802
            assert name == "GPU-1234"
            return name

        def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
            self.count += 2_500
            return self.count

    class Properties:
        uuid = "1234"

    monkeypatch.setitem(sys.modules, "pynvml", Meter())
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    with energy(torch.device("cuda")) as used:
        pass
    assert (used.joules, used.source) == (2.5, "NVML")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_a_gpu_the_device_has_finished() -> None:
    device = torch.device("cuda")
    big, small = (torch.randn(n, n, device=device) for n in (4096, 1024))
    found = interleaved({"big": lambda: big @ big, "small": lambda: small @ small}, device=device, seconds=1.0)
    assert found["small"].gain(found["big"])[0] > 8, "64 times the work is not queued in the same time"
    with peak_memory(device) as peak:
        torch.empty(10_000_000, device=device)
    assert peak.above == pytest.approx(40e6, rel=0.1)
    assert peak.bytes is not None
    assert peak.bytes > 40e6 + 4 * 4096**2
