"""Metrics: one row for each figure of merit, and what a family declares of its own. Torch-free.

Whoever needs a fact about a metric asks here: which way it is good, what it is of, what it needs, how it is called.
A new metric is a row of `TABLE` and the function that measures it. A metric that nobody has declared is refused, since
one that is judged upside down looks like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from gentickets.errors import TicketError

Way = Literal["lower", "higher"]
"""Which way a metric is good."""
Need = Literal["sample", "reconstruct", "extractor", "logits", "inception", "classifier", "downstream"]
"""A family that samples, or that rebuilds images; features, those that classify, the original Inception's; a classifier
of the data's labels; a second one, trained on samples, on request."""


Floor = Literal["zero", "one", "pixel entropy", "real against real"]
"""What the best possible model reaches: 0, 1, the mean entropy of the test pixels taken as probabilities (nats per
image), or the metric between two halves of the real images."""


@dataclass(frozen=True)
class Metric:
    """One figure of merit."""

    name: str
    """In results and recipes."""
    title: str
    """As a person writes it."""
    better: Way | None
    """None: it says nothing of quality by itself."""
    of: Literal["images", "samples"]
    """What it is taken of: the split's images, as the family sees or rebuilds them, or samples of its prior."""
    needs: tuple[Need, ...]
    """None: the family's `figures` gives it."""
    unit: str
    least: tuple[int, int] = (1, 1)
    """How many samples and how many real images it needs at least."""
    alias_of: str | None = None
    """The metric whose other name this is, where the needs of this one are met."""
    guard: str | None = None
    """The metric that stands right after it, because collapsed samples can score well by it alone (Trap 30e)."""
    leads: bool = False
    """Whether it stands for a run that claims nothing, before all that do not lead; the first of several."""
    silent: str = ""
    """Where it says nothing of quality: why."""
    remark: str = ""
    """What must be known to read a table that has it."""
    floor: Floor | None = None
    """What the best possible model reaches in it. None: nobody knows, or the family says so (`floor_of`)."""
    averaged: bool = False
    """Whether it is a mean over the split's images, each of which has a value of its own."""

    @property
    def compares(self) -> bool:
        """Whether it compares features of samples with those of real images."""
        return "extractor" in self.needs


TABLE = (
    Metric("negative_elbo", "negative ELBO", "lower", "images", (), "nats per image", leads=True, averaged=True),
    Metric(
        "reconstruction", "reconstruction", "lower", "images", (), "squared error per pixel, or nats",
        leads=True, averaged=True,
    ),
    Metric(
        "kl", "KL divergence", None, "images", (), "nats per image", averaged=True,
        silent="a collapsed encoder has none",
        remark="KL divergence is a part of the negative ELBO and no merit of its own.",
    ),
    Metric(
        "discriminator_loss", "discriminator loss", None, "images", (), "the loss's own",
        silent="a weak discriminator has much of it beside any generator",
    ),
    Metric("mean_gap", "mean gap", "lower", "images", (), "squared distance of mean images"),
    Metric(
        "frechet", "Fréchet distance", "lower", "samples", ("sample", "extractor"), "squared distance of features",
        least=(2, 2), guard="coverage", leads=True, floor="real against real",
    ),
    Metric(
        "fid", "FID", "lower", "samples", ("sample", "extractor", "inception"), "squared distance of features",
        least=(2, 2), alias_of="frechet", guard="coverage", leads=True, floor="real against real",
    ),
    Metric(
        "kid", "KID", "lower", "samples", ("sample", "extractor"), "squared MMD of features",
        least=(2, 2), guard="coverage", floor="zero",
    ),
    Metric(
        "inception_score", "Inception Score", "higher", "samples", ("sample", "extractor", "logits"), "classes",
        least=(2, 0), guard="coverage",
    ),
    Metric(
        "precision", "precision", "higher", "samples", ("sample", "extractor"), "fraction",
        least=(1, 4), guard="coverage", floor="one",
    ),
    Metric("recall", "recall", "higher", "samples", ("sample", "extractor"), "fraction", least=(4, 1), floor="one"),
    Metric("density", "density", "higher", "samples", ("sample", "extractor"), "neighbourhoods, over k", least=(1, 6)),
    Metric("coverage", "coverage", "higher", "samples", ("sample", "extractor"), "fraction", least=(1, 6), floor="one"),
    Metric(
        "accuracy_on_samples", "accuracy on samples", "higher", "samples", ("sample", "classifier", "downstream"),
        "fraction", floor="one",
    ),
    Metric(
        "accuracy_on_reconstructions", "accuracy on reconstructions", "higher", "images",
        ("reconstruct", "classifier"), "fraction", floor="one",
    ),
)  # fmt: skip
"""Every metric that gentickets measures, in the order in which they are measured and told."""
_ROWS = {row.name: row for row in TABLE}
_OWN: dict[str, Metric] = {}
COMPARED = tuple(row.name for row in TABLE if row.compares and row.alias_of is None)
"""Metrics that a recipe may ask for, each by its one name."""
OF_SAMPLES = tuple(row.name for row in TABLE if row.of == "samples")
LEADING = tuple(row.name for row in TABLE if row.leads)


def known(name: str | None) -> Metric | None:
    """The row of a metric; None where nobody has declared one of that name, so far."""
    return None if name is None else _ROWS.get(name) or _OWN.get(name)


def metric(name: str) -> Metric:
    """The row of a metric; TicketError, which says how to declare one, where there is none."""
    if row := known(name):
        return row
    how = f"a family of your own declares one by its figures(), and which way it is good by better = {{'{name}': "
    raise TicketError(f"nobody has declared the metric '{name}': {how}'higher'}} or 'lower'")


def better(name: str) -> Way | None:
    """Which way a metric is good; None for one that says nothing of quality alone.

    >>> better("frechet"), better("recall"), better("kl")
    ('lower', 'higher', None)

    Raises TicketError for one that nobody has declared.
    """
    return metric(name).better


def way(name: str | None) -> Way | None:
    """As `better`, where nothing is judged by it: None also for one that nobody has declared so far."""
    row = known(name)
    return row.better if row else None


def says_nothing(name: str) -> bool:
    """Whether a metric says nothing of quality by itself."""
    row = known(name)
    return row is not None and row.better is None


def as_loss(name: str, value: float) -> float:
    """The value such that less of it is better."""
    return -value if better(name) == "higher" else value


def of_samples(name: str | None) -> bool:
    """Whether a metric is one of samples, which a collapse can flatter."""
    row = known(name)
    return row is not None and row.of == "samples"


def averaged(name: str | None) -> bool:
    """Whether a metric is a mean over images, each of which has a value of its own.

    >>> averaged("negative_elbo"), averaged("frechet")
    (True, False)
    """
    row = known(name)
    return row is not None and row.averaged


def floor_of(name: str, own: Mapping[str, Floor] | None = None) -> Floor | None:
    """What the best possible model reaches in a metric, as its family says (``own``), else as its row does.

    >>> floor_of("frechet"), floor_of("inception_score"), floor_of("accuracy", {"accuracy": "one"})
    ('real against real', None, 'one')
    """
    row = known(name)
    return (own or {}).get(name, row.floor if row else None)


def check_floors(floors: Mapping[str, object]) -> None:
    """Raise TicketError for a floor of a family's own figure that is none of `Floor`."""
    for name, floor in floors.items():
        if floor not in get_args(Floor):
            raise TicketError(f"floor['{name}'] is {floor!r}; it must be {', '.join(map(repr, get_args(Floor)))}")


def declare(names: Iterable[str], ways: Mapping[str, object]) -> None:
    """Take over the metrics of a family: what its `figures` has, and which way each is good.

    ``ways`` is the family's ``better``: where it is empty, its figures are lower is better, as `Task.figures` asks;
    where it names any, it must name them all. Names of `TABLE` mean what they mean there. Raises TicketError for a way
    that is none, a name left out, and one that means something else in another run or in the table.
    """
    for name in names:
        if name not in _ROWS and ways and name not in ways:
            raise TicketError(f"better says nothing of the figure '{name}': add '{name}': 'lower', 'higher' or None")
        _declare(name, ways.get(name, "lower" if name not in _ROWS else _ROWS[name].better))


def _declare(name: str, way: object) -> None:
    if way is not None and way not in get_args(Way):
        raise TicketError(f"better['{name}'] is {way!r}; it must be 'lower', 'higher' or None")
    title = name.replace("_", " ")
    row = Metric(name, title, way, "images", (), "the family's own", averaged=True)  # type: ignore[arg-type]
    if (there := known(name)) is not None and there.better != way:
        whose = "gentickets'" if name in _ROWS else "another run's"
        raise TicketError(f"the figure '{name}' is declared {way} here, and {whose} is {there.better}: rename it")
    _OWN.setdefault(name, row)
