"""`gentickets cost`: what a ticket saves, what finding it cost, and when it has repaid that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gentickets.errors import TicketError
from gentickets.sparsity import in_brackets
from gentickets.table import Table

from .completion import completing
from .console import emit, json_option, note, paragraph, table
from .help import Command
from .options import PLUGIN, on_data_and_device

if TYPE_CHECKING:
    from gentickets.actions.cost import Costs
    from gentickets.actions.measure import Measured

FLOPS = {"GFLOPs": 1e9, "MFLOPs": 1e6, "kFLOPs": 1e3}
TIMES = {"s": 1.0, "ms": 1e-3, "\N{MICRO SIGN}s": 1e-6}


@click.command(
    cls=Command, subject="What is measured",
    examples=["gentickets cost runs/digits_vae", "gentickets cost digits_vae --channels 0.5"],
)  # fmt: skip
@click.argument("what", metavar="RUN|TICKET|RECIPE", shell_complete=completing("run", "ticket", "recipe"))
@click.option("--all", "every", is_flag=True, help="Measure every level of a run, not only the claimed one.")
@click.option("--channels", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="FRACTION",
              help="Also measure a recipe's networks with this fraction of their channels.")  # fmt: skip
@click.option("--multiple", type=click.IntRange(min=1), metavar="N",
              help="Round the number of channels to multiples of N (default: 1).")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(min=0.1), default=10.0, show_default=True,
              metavar="SECONDS",
              help="Measure for about this long.")  # fmt: skip
@PLUGIN
@on_data_and_device
@json_option
def cost(
    what: str, every: bool, channels: float | None, multiple: int | None, seconds: float, plugins: tuple[Path, ...],
    root: Path, download: bool, device: str, threads: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Measure what dense, masked and compact networks cost: weights, FLOPs, seconds, memory, disk.

    For a RUN, the networks of its claimed level are measured; for a TICKET (a file or the folder of its round), its
    own. The output also shows what the search cost, and after how many trainings or samples it has paid off. For a
    RECIPE (a TOML file or the name of a shipped recipe), the dense networks are measured.
    """
    from gentickets.experiment.plugin_errors import as_plugin_errors

    with as_plugin_errors(plugins):
        from gentickets.actions import cost as costs
        from gentickets.actions.names import find_run, find_ticket, kind_of
        from gentickets.actions.train_ticket import Environment

        kind, environment = kind_of(what), Environment(root, device, threads, plugins, download)
        _check(kind, what, every, channels, multiple)
        note("measuring ...")
        if kind == "run":
            found = costs.cost_of_run(find_run(what), environment, seconds=seconds, every=every)
        elif kind == "ticket":
            found = costs.cost_of_ticket(find_ticket(what), environment, seconds=seconds)
        else:
            found = costs.cost_of_recipe(what, environment, seconds=seconds, channels=channels, multiple=multiple or 1)
    if as_json:
        emit(found.as_dict(), True)
    else:
        _show(found)


def _check(kind: str, what: str, every: bool, channels: float | None, multiple: int | None) -> None:
    """Options that mean nothing with what is asked about."""
    if every and kind != "run":
        raise TicketError(f"--all: '{what}' is a {kind}, and only a run has several levels")
    if channels is not None and kind != "recipe":
        raise TicketError(
            f"--channels: '{what}' is a {kind}, with a mask already; give its recipe to see what fewer channels "
            'would save, and find them with [search] method = "early_bird"'
        )
    if multiple is not None and channels is None:
        raise TicketError("--multiple rounds what --channels leaves; give that too")


def _show(found: Costs) -> None:
    """A table of a training step, one of a sample, and what the search cost in sentences."""
    dense = found.networks[0]
    networks = [(_name(one), one, one.as_dict(dense)) for one in found.networks]
    size = found.about["batch_size"]
    headers, rows = _gains([told["step"] for _, _, told in networks])
    shown = Table(
        ["network", "weights", "kept", *headers, "MB at peak", "FLOPs are"],
        [
            [name, f"{one.weights:,}", f"{one.kept:,}", *row, _megabytes(one.memory), _counted(one, "step")]
            for (name, one, _), row in zip(networks, rows, strict=True)
        ],
        title=f"A training step, of {size} images", spare=("kept", "MB at peak"), more="more columns: --json",
    )  # fmt: skip
    table(shown)
    click.echo("")
    headers, rows = _gains([told["sample"] for _, _, told in networks])
    shown = Table(
        ["network", *headers, "MB stored", "FLOPs are"],
        [
            [name, *row, _megabytes(one.disk), _counted(one, "sample")]
            for (name, one, _), row in zip(networks, rows, strict=True)
        ],
        title=f"A sample, in batches of {size}",
    )
    table(shown)
    for spent in found.spent:
        click.echo("")
        paragraph(spent.sentence)
    for line in found.notes:
        note(line)


def _name(network: Measured) -> str:
    chosen = network.round is not None or network.sparsity
    return f"{network.name}, {100 * network.sparsity:.1f} %{in_brackets(network.share)}" if chosen else network.name


def _gains(told: Sequence[dict[str, Any] | None]) -> tuple[list[str], list[list[float | None]]]:
    """Headings and rows: FLOPs, how many times fewer than dense, time, how many times faster."""
    dense = told[0] or {"flops": None, "seconds": None}
    (flops, per), (time, second) = _unit(dense["flops"], FLOPS), _unit(dense["seconds"], TIMES)
    rows: list[list[float | None]] = []
    for one in told:
        if one is None:
            rows.append([None] * 4)
        else:
            count = None if one["flops"] is None else one["flops"] / per
            rows.append([count, one["flops_gain"], one["seconds"] / second, one["gain"]])
    return [flops, "fewer", time, "faster"], rows


def _unit(value: float | None, units: Mapping[str, float]) -> tuple[str, float]:
    """The largest unit in which the dense network's value is not small, for a whole column."""
    return next(((name, unit) for name, unit in units.items() if value and value >= unit), list(units.items())[-1])


def _counted(network: Measured, what: str) -> str:
    return ("theoretical" if network.theoretical else "executed") + (
        ", at least" if network.uncounted.get(what) else ""
    )


def _megabytes(count: int | None) -> float | None:
    return None if count is None else count / 1e6
