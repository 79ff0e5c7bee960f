"""Seconds, exactness and memory of global magnitude pruning, against torch's `global_unstructured`.

    python benchmarks/thresholds.py [--sizes 10M 100M] [--quick]

Both prune the same plain linear layers: threshold, masks, application. The two are timed in one process, ours
before and after each of theirs, with the thread count given; a process whose thread pool is stalled (it
happens on virtual machines, and would flatter us) is noticed and started again. Memory is the growth of the
peak resident size in a process of its own, less the new masks.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from goals import goal
from torch import Tensor, nn
from torch.nn.utils import prune

from gentickets.masks import Magnitudes, Mask, apply_mask, full_mask, keep_top, prunable

STALLED = 75
FASTER, EXTRA = 30, 0.1
"""The goals: how many times as fast, and memory beyond weights and masks as a part of the weights'."""
LAYERS, INPUTS = 10, 1000


def make_net(size: int, seed: int) -> nn.Sequential:
    """Ten linear layers without bias that hold ``size`` normal weights together."""
    outputs = size // LAYERS // INPUTS
    layers = [nn.Linear(INPUTS, outputs, bias=False, device="meta") for _ in range(LAYERS)]
    net = nn.Sequential(*layers).to_empty(device="cpu")
    rng = torch.Generator().manual_seed(seed)
    for weight in net.parameters():
        nn.init.normal_(weight, generator=rng)
    return net


def ours(net: nn.Sequential, density: float) -> Mask:
    """Prune as a user of this library does."""
    weights = prunable(net)
    mask = keep_top(Magnitudes(weights), density, within=full_mask(net), scope="global")
    apply_mask(mask, weights)
    return mask


def theirs(net: nn.Sequential, density: float) -> Mask:
    """Prune with PyTorch's own utility, to the same number of weights."""
    total = sum(weight.numel() for weight in net.parameters())
    layers = [(layer, "weight") for layer in net]
    prune.global_unstructured(layers, prune.L1Unstructured, amount=total - int(density * total + 0.5))
    return Mask({f"{i}.weight": layer.get_buffer("weight_mask").bool() for i, layer in enumerate(net)})


def seconds(run: Callable[[nn.Sequential, float], Mask], net: nn.Sequential, density: float) -> float:
    """Wall time of one pruning."""
    start = time.perf_counter()
    run(net, density)
    return time.perf_counter() - start


def is_exact(size: int, density: float) -> bool:
    """Whether exactly the k largest are kept and applied, checked against torch.kthvalue."""
    before = torch.cat([weight.detach().flatten() for weight in make_net(size, 0).parameters()])
    net = make_net(size, 0)
    kept = torch.cat([tensor.flatten() for tensor in ours(net, density).values()])
    after = torch.cat([weight.detach().flatten() for weight in net.parameters()])
    k = int(density * size + 0.5)
    largest = torch.kthvalue(before.abs(), size - k + 1).values
    counted = int(kept.sum()) == k
    ordered = bool((before.abs()[kept] >= largest).all() and (before.abs()[~kept] <= largest).all())
    return counted and ordered and torch.equal(after, before * kept)


def thread_pool_is_stalled() -> bool:
    """Whether work shared between threads takes far longer than the same work in one thread."""
    values = torch.ones(1 << 22)

    def best() -> float:
        taken = []
        for _ in range(20):
            start = time.perf_counter()
            values.abs_()
            taken.append(time.perf_counter() - start)
        return statistics.median(taken)

    threads = torch.get_num_threads()
    shared = best()
    torch.set_num_threads(1)
    alone = best()
    torch.set_num_threads(threads)
    return shared > 3 * alone


def measure_time(size: int, density: float, repeats: int) -> dict[str, object]:
    """Medians and bests of both, interleaved, and whether ours is exact."""
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    ours(make_net(10**6, 0), density)
    theirs(make_net(10**6, 0), density)
    for seed in range(repeats):
        for name, run in (("ours", ours), ("theirs", theirs), ("ours", ours)):
            taken[name].append(seconds(run, make_net(size, seed), density))
    return {**taken, "exact": is_exact(size, density), "stalled": thread_pool_is_stalled()}


def measure_memory(size: int, density: float, who: str) -> dict[str, object]:
    """Bytes by which the peak resident size grows, less the mask that results (a byte a weight)."""
    run = {"ours": ours, "theirs": theirs}[who]
    run(make_net(10**5, 0), density)
    net = make_net(size, 0)
    within = full_mask(net)  # as big as the one that `ours` makes, so that only the result counts as growth
    ballast: list[Tensor] = []
    peak = peak_bytes()
    while peak_bytes() == peak:  # fill up what was used before and is free again
        ballast.append(torch.ones(1 << 18))
    before = peak_bytes()
    if who == "ours":
        mask = keep_top(Magnitudes(prunable(net)), density, within=within, scope="global")
        apply_mask(mask, prunable(net))
    else:
        run(net, density)
    return {"bytes": max(0, peak_bytes() - before - size), "ballast": len(ballast)}


def peak_bytes() -> int:
    """The largest resident size so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_a_process(arguments: list[str], attempts: int = 5) -> dict[str, object]:
    """Run this file again in a fresh process, and once more while its threads are stalled."""
    for _ in range(attempts):
        done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
        if done.returncode == 0:
            found: dict[str, object] = json.loads(done.stdout)
            return found
        if done.returncode != STALLED:
            sys.exit(done.returncode)
        print("  (thread pool stalled, starting again)", file=sys.stderr)
    sys.exit("the thread pool stalled every time: try --threads 1")


def report(size: int, options: argparse.Namespace) -> None:
    """Measure one size and print its lines."""
    common = ["--density", str(options.density), "--threads", str(options.threads), "--sizes", str(size)]
    times = in_a_process([*common, "--repeats", str(options.repeats), "--child", "time"])
    memory = {who: in_a_process([*common, "--child", who])["bytes"] for who in ("ours", "theirs")}
    print(f"{size / 1e6:,.0f} M weights ({size * 4 / 1e6:,.0f} MB)")
    for who, label in (("ours", "gentickets"), ("theirs", "torch.nn.utils.prune.global_unstructured")):
        taken, extra = times[who], memory[who]
        assert isinstance(taken, list)
        assert isinstance(extra, int)
        print(
            f"  {label:42} median {statistics.median(taken):8.3f} s   best {min(taken):8.3f} s"
            f"   extra memory {extra / 1e6:8.1f} MB = {extra / (4 * size):6.1%} of the weights"
        )
    fast, slow = times["ours"], times["theirs"]
    assert isinstance(fast, list)
    assert isinstance(slow, list)
    ratio, best = statistics.median(slow) / statistics.median(fast), min(slow) / min(fast)
    print(f"  {'ratio':42} median {ratio:8.1f} x   best {best:8.1f} x   as torch.kthvalue: {times['exact']}")
    goal(f"{size / 1e6:,.0f} M: ours / global_unstructured, for {FASTER} x", 1 / ratio, 1 / FASTER)
    assert isinstance(memory["ours"], int)
    goal(f"{size / 1e6:,.0f} M: extra memory / weights", memory["ours"] / (4 * size), EXTRA)
    goal(f"{size / 1e6:,.0f} M: masks unlike torch.kthvalue's", float(not times["exact"]), 0)


def parse_size(text: str) -> int:
    """``10M`` or a plain number, a multiple of 10,000."""
    size = int(float(text[:-1]) * 1e6) if text[-1] in "mM" else int(text)
    return size // (LAYERS * INPUTS) * LAYERS * INPUTS


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=parse_size)
    parser.add_argument("--quick", action="store_true", help="10M, once")
    parser.add_argument("--density", type=float, default=0.2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--child", choices=["time", "ours", "theirs"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.sizes = options.sizes or ([10**7] if options.quick else [10**7, 10**8])
    options.repeats = options.repeats or (1 if options.quick else 3)
    torch.set_num_threads(options.threads)
    if options.child is None:
        where = f"torch {torch.__version__}, {platform.machine()}, {options.threads} threads"
        print(f"{where}, density {options.density}", flush=True)
        for size in options.sizes:
            report(size, options)
    elif options.child == "time":
        if thread_pool_is_stalled():
            sys.exit(STALLED)
        found = measure_time(options.sizes[0], options.density, options.repeats)
        if found["stalled"]:
            sys.exit(STALLED)
        print(json.dumps(found))
    else:
        print(json.dumps(measure_memory(options.sizes[0], options.density, options.child)))


if __name__ == "__main__":
    main()
