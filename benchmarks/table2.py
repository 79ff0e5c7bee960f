"""The paper's Table 2 in small: dense, IMP, early bird, early bird in bf16, SNIP and GraSP on one DCGAN.

Runs `gentickets find` once for each method, on the same data, seeds and steps (into ``--out``; what is there is gone
on with), and prints one table: quality, weights, FLOPs and seconds. FLOPs and seconds are of the ticket's training, and
behind the plus of what was spent to find it; both without evaluating. Seconds are those of the runs, ``--jobs`` of them
side by side: let the machine do nothing else. Every method keeps the same share of weights as far as it can be told
beforehand: half of the channels is about a quarter of the weights.

    python benchmarks/table2.py [--data data] [--download] [--device cpu] [--jobs 2] [--out runs/table2] [--quick]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from measure import machine

from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.recipe import load_recipe
from gentickets.report import write_report
from gentickets.results import Result, read_results

BASE = [
    "data.name=mnist", "data.size=16", "data.batch_size=64", "task.width=64", "train.steps=1000",
    "quality.samples=5000", "search.controls=[]", "search.every=20",
]  # fmt: skip
NOT_BIRDS = ["search.keep=0.64", "search.rounds=3"]
ONCE = ["search.only_rounds=[3]", "search.rewind_to=0"]
METHODS: dict[str, list[str]] = {
    "early bird": [],
    "early bird, bf16": ["train.precision=bf16"],
    "IMP ticket": [*NOT_BIRDS, "search.method=iterative", "search.rewind_to=50", "search.budget=false"],
    "SNIP": [*NOT_BIRDS, "search.method=at_start", "search.criterion=snip", *ONCE],
    "GraSP": [*NOT_BIRDS, "search.method=at_start", "search.criterion=grasp", *ONCE],
}
"""Row -> what it changes in the recipe."""
QUICK = ["train.steps=60", "task.width=8", "search.seeds=2", "search.every=2", "quality.samples=200"]
QUICK_BIRD = ["search.rule=published", "search.tolerance=0.9"]
ONLY_BIRDS = ("every", "rule", "tolerance")


def run(method: str, chosen: argparse.Namespace) -> Path:
    """Find tickets by one method; returns the run's folder."""
    bird = method.startswith("early bird")
    wanted = [*BASE, *METHODS[method], *(QUICK if chosen.quick else ())]
    wanted += QUICK_BIRD if chosen.quick and bird else []
    if method == "IMP ticket" and chosen.quick:
        wanted += ["search.rewind_to=5"]
    if not bird:
        wanted = [one for one in wanted if not one.startswith(tuple(f"search.{key}=" for key in ONLY_BIRDS))]
    recipe = load_recipe("quick/dcgan" if not bird else "quick/dcgan_earlybird", overrides=[*wanted, *_no_claim(bird)])
    out = chosen.out / method.replace(",", "").replace(" ", "_").lower()
    options = Options(chosen.data, chosen.device, None, chosen.jobs, (), chosen.download)
    find(recipe, out, options)
    write_report([out])
    return out


def _no_claim(bird: bool) -> list[str]:
    return [] if bird else ["search.control_rounds=[3]", "claim.level=0.737856"]


def figure(cells: Sequence[Result], name: str) -> str:
    """Mean and sd of a figure over the seeds."""
    values = [cell.test[name] for cell in cells]
    return f"{mean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def row(name: str, cells: Sequence[Result], level: Mapping[str, Any] | None, dense: tuple[float, float]) -> str:
    """A line of the table."""
    done = [cell for cell in cells if cell.status == "done"]
    if not done:
        return f"| {name} | {cells[0].status}: {cells[0].why} | | | | | |"
    flops = [mean(cell.spent["train"] + cell.spent.get("warm-up", 0.0) for cell in done), 0.0]
    seconds = [mean(cell.seconds["train"] + cell.seconds.get("warm-up", 0.0) for cell in done), 0.0]
    if level is not None:
        flops[1], seconds[1] = level["search"]["flops"], level["search"]["seconds"]
    whole = f"{100 * (sum(flops) / dense[0] - 1):+.1f} %", f"{100 * (sum(seconds) / dense[1] - 1):+.1f} %"
    kept = mean(cell.weights["kept"] for cell in done)
    return (
        f"| {name} | {figure(done, 'frechet')} ({len(done)}) | {mean(cell.test['coverage'] for cell in done):.3f} "
        f"| {kept:,.0f} | {flops[0]:.3g} + {flops[1]:.3g} ({whole[0]}) | {seconds[0]:.1f} + {seconds[1]:.1f} "
        f"({whole[1]}) | {_emerged(done)} |"
    )


def _emerged(cells: Sequence[Result]) -> str:
    steps = [cell.steps - cell.trained for cell in cells]
    return ", ".join(map(str, steps)) if cells[0].channels else ""


def main() -> None:
    """Run every method and print the table."""
    parser = argparse.ArgumentParser(description="The paper's Table 2 in small.")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where MNIST is")
    parser.add_argument("--download", action="store_true", help="download it where it is missing")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=None, help="workers side by side (one per core)")
    parser.add_argument("--out", type=Path, default=Path("runs/table2"))
    parser.add_argument("--quick", action="store_true", help="does it run, in a minute; its figures mean nothing")
    chosen = parser.parse_args()
    print(machine(), flush=True)
    lines, reference = list[str](), (0.0, 0.0)
    for method in METHODS:
        out = run(method, chosen)
        results = read_results(out)
        level = json.loads((out / "ledger.json").read_text())["levels"]
        own = [cell for cell in results if cell.arm == "ticket"]
        last = max(cell.round for cell in own)
        dense = [cell for cell in own if cell.round == 0]
        if not lines:
            spent = [cell.spent["train"] + cell.spent.get("warm-up", 0.0) for cell in dense]
            seconds = [cell.seconds["train"] + cell.seconds.get("warm-up", 0.0) for cell in dense]
            reference = mean(spent), mean(seconds)
            lines.append(row("dense", dense, None, reference))
        elif "bf16" in method:
            lines.append(row("dense, bf16", dense, None, reference))
        found = next((one for one in level if one["round"] == last), None)
        lines.append(row(method, [cell for cell in own if cell.round == last], found, reference))
        print(f"{method}: done", flush=True)
    print(
        "\n| method | Frechet distance (seeds) | coverage | weights | FLOPs, training + search | seconds | emerged at |"
    )
    print("|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
