"""Run: a run folder in Python, with what can be asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gentickets.actions.locate import progress_of, recipe_of
from gentickets.actions.names import find_run, ticket_of_run
from gentickets.recipe import Recipe
from gentickets.results import Result, read_results
from gentickets.runs.folder import RunFolder

if TYPE_CHECKING:
    import PIL.Image

    from gentickets.actions.cost import Costs
    from gentickets.analysis.run_verdict import RunVerdict
    from gentickets.analysis.summary import Summary
    from gentickets.report import Report
    from gentickets.table import Table
    from gentickets.tickets import Ticket


class Run:
    """One run folder, finished or not. Whatever is asked is read anew, so that an unfinished run can be watched.

    Example:
        ``run = gentickets.load_run("runs/digits_vae"); print(run.verdict().sentence)``
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.path.resolve().name

    @property
    def recipe(self) -> Recipe:
        """The recipe, as the run has recorded it."""
        return recipe_of(RunFolder(self.path))

    @property
    def seeds(self) -> list[int]:
        """The repetitions, as folders and tables name them."""
        return self.recipe.seeds

    @property
    def results(self) -> Sequence[Result]:
        """The result of every finished round: its metrics, steps, FLOPs and seconds."""
        return read_results(self.path)

    @property
    def summary(self) -> Summary:
        """Means over seeds, costs, and the verdict on the claim: what ``report.json`` holds."""
        from gentickets.analysis.run import read_run

        return read_run(self.path).summary

    @property
    def finished(self) -> bool:
        """Whether every round that the recipe asks for is done."""
        done, rounds = progress_of(RunFolder(self.path))
        return done == rounds

    def table(self) -> Table:
        """The table of all rounds so far, as the terminal shows it: texts in ``rows`` under ``columns``."""
        from gentickets.report.tables.run import table

        return table(self.summary)

    def verdict(self) -> RunVerdict:
        """The verdict on the claim, from the results as they are: nothing is trained, and nothing is written.

        Raises TicketError where the run claims nothing. `gentickets.verdict` trains what is missing first.
        """
        from gentickets.analysis.judge import judge_run

        return judge_run(self.path)

    def report(self, out: str | PathLike[str] | None = None) -> Report:
        """Write ``report.html`` and ``report.json`` into the run, or into the folder ``out``."""
        from gentickets.report import write_report

        return write_report([self.path], None if out is None else Path(out))

    def cost(
        self, *, every: bool = False, seconds: float = 10.0, data: str | PathLike[str] = "data", download: bool = False,
        device: str = "auto", threads: int | None = None, plugins: Sequence[str | PathLike[str]] = (),
    ) -> Costs:  # fmt: skip
        """What the networks of the claimed level (or of ``every`` level) cost, measured for about ``seconds`` seconds.

        Dense, masked and compact networks are compared: weights, FLOPs, seconds, bytes.
        """
        from gentickets.actions.cost import cost_of_run
        from gentickets.actions.train_ticket import Environment
        from gentickets.experiment.plugin_errors import as_plugin_errors

        files = [Path(plugin) for plugin in plugins]
        with as_plugin_errors(files):
            environment = Environment(Path(data), device, threads, files, download)
            return cost_of_run(self.path, environment, seconds=seconds, every=every)

    def ticket_path(self, seed: int | None = None, level: float | None = None) -> Path:
        """The ticket's file at ``level``, a sparsity (0.8: a fifth of the weights is kept), of ``seed``.

        By default: the level of the claim (the sparsest where nothing is claimed), the first seed. Raises TicketError
        for a seed or a level that the run does not have.
        """
        return ticket_of_run(self.path, seed=seed, level=level)

    def ticket(self, seed: int | None = None, level: float | None = None) -> Ticket:
        """The ticket itself, its mask and the weights that it starts from: see `ticket_path`."""
        from gentickets.runs.formats import read_ticket

        return read_ticket(self.ticket_path(seed, level))[0]

    def samples(
        self, seed: int | None = None, level: float | None = None, *, number: int = 64, latents: int = 0,
        data: str | PathLike[str] = "data", device: str = "auto", plugins: Sequence[str | PathLike[str]] = (),
    ) -> PIL.Image.Image:  # fmt: skip
        """A grid of ``number`` samples of a trained ticket, from latents of the seed ``latents``; see `ticket_path`.

        An autoencoder has no prior: its reconstructions of test images are drawn. Raises TicketError where the trained
        network has not been kept.
        """
        import io

        from PIL import Image

        from gentickets.actions.train_ticket import pictures

        _, png = pictures(
            self.ticket_path(seed, level), number=number, seed=latents, root=Path(data), device=device, threads=None,
            plugins=[Path(plugin) for plugin in plugins], download=False,
        )  # fmt: skip
        return Image.open(io.BytesIO(png))

    def __repr__(self) -> str:
        done, rounds = progress_of(RunFolder(self.path))
        return f"Run({str(self.path)!r}: {done} of {rounds} rounds)"

    def _repr_html_(self) -> str:
        summary: Any = self.summary
        from gentickets.report.tables.run import table

        shown = table(summary)._repr_html_()
        return f"<p><b>{escape(repr(self))}</b></p>{shown}<p>{escape(summary.verdict.sentence)}</p>"


def load_run(run: str | PathLike[str] | Run) -> Run:
    """The run in a folder, or of that name under ``runs/``.

    Raises TicketError where there is none, with the nearest names.

    Example:
        ``gentickets.load_run("digits_vae")``  # runs/digits_vae
    """
    return run if isinstance(run, Run) else Run(find_run(run))
