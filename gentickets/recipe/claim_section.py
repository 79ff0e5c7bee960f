"""[claim] and [verdict]: what is declared beforehand, and the trainings that judge it; torch-free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from gentickets.arms import CONTROLS
from gentickets.recipe.bounds import LISTED, Listed, Many, Natural, NonNegative, Section, Share, Word

if TYPE_CHECKING:
    Control: TypeAlias = str
else:  # the table knows the names
    Control = Literal[CONTROLS]

SHARE = 0.05
"""The margin where ``unit = "share"`` and none is given."""


class Claim(Section):
    """[claim]: what is declared beforehand."""

    metric: Word = Field(examples=["reconstruction"])
    """The metric that the claim is about."""
    unit: Literal["absolute", "share"] | None = None
    """Unit of margin and lead: the metric's own, or a fraction of the dense model's distance to the best possible value
    (the metric's floor); none: a fraction of the dense mean."""
    margin: NonNegative = 0.02
    """By how much a ticket may be worse than dense; with `unit = "share"` the default is 0.05."""
    lead: NonNegative | None = None
    """By how much a ticket must be better than a control, in the margin's unit; none: a quarter of the margin."""
    level: Share | Literal["validation"] = Field(examples=["validation"])
    """The sparsity that the claim is about, or "validation": the sparsest that is within the margin there."""
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    """The chance of any false verdict, over all levels, controls and interim analyses."""
    spending: Literal["linear", "late"] = "linear"
    """How interim analyses share ``alpha``: equally, or little at first, as O'Brien and Fleming (1979) do."""
    sparsities: Annotated[tuple[Share, ...], Listed, Many] = ()
    """Sparsities that get a verdict; empty: those at which controls run."""
    looks: Annotated[int, Field(ge=1, le=10)] = 2
    """Interim analyses: how often the claim may be judged, with more seeds each time; each spends some of ``alpha``."""
    controls: Annotated[tuple[Control, ...], Listed, Field(min_length=1, max_length=LISTED)] | None = None
    """Controls that a ticket must beat; none: the standard set."""
    disasters: Share | None = None
    """A win needs enough seeds to exclude that more than this fraction of seeds are disasters; none: not required."""
    images: Literal["fixed", "sample"] = "fixed"
    """Whether the claim is about these test images, or about all images that they are a sample of."""

    @model_validator(mode="before")
    @classmethod
    def _with_margin(cls, given: Any) -> Any:
        """The default margin of a unit that has another one."""
        if isinstance(given, dict) and "margin" not in given and given.get("unit") == "share":
            return {**given, "margin": SHARE}
        return given

    def resolved(self) -> dict[str, Any]:
        """Its keys as plain values; those of `NEUTRAL` only where they change what is claimed."""
        told = self.model_dump(mode="json").items()
        return {key: value for key, value in told if key not in NEUTRAL or value != NEUTRAL[key]}

    @property
    def declared(self) -> float | None:
        """The level that was declared, as a sparsity; None where validation chooses it."""
        return None if isinstance(self.level, str) else self.level


NEUTRAL: dict[str, Any] = {"unit": None, "lead": None, "spending": "linear", "controls": None, "disasters": None,
                           "images": "fixed"}  # fmt: skip
"""Keys of [claim] that came after its first edition -> the value that is as if they were not there."""


class Verdict(Section):
    """[verdict]: arms that a verdict needs beside the controls, and what is looked at beside its tests."""

    twice: bool = True
    """Train a dense model twice as long, to see whether the dense model has converged."""
    forks: Annotated[tuple[Natural, ...], Listed, Many] | None = None
    """Steps of the dense run from which the ticket is trained in two orders of data (stability); none: a few."""
    beside: bool = True
    """Whether to compute diagnostics: diversity, classes, active latents, nearest training images, stability."""
    whole: bool = True
    """Train dense, random, re-initialized and narrow networks for as many steps as ticket and search together."""
