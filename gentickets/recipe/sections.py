"""The sections of a recipe, with their defaults and ranges; torch-free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field

from gentickets.arms import TRANSFER_CONTROLS
from gentickets.methods import ITERATIVE, METHODS, METHODS_OF
from gentickets.metrics import COMPARED
from gentickets.recipe.bounds import (
    LISTED,
    Batch,
    Count,
    Few,
    Listed,
    Many,
    Natural,
    NonNegative,
    Positive,
    Section,
    Seeds,
    Share,
    Units,
    Word,
    Workers,
)  # fmt: skip
from gentickets.recipe.claim_section import Claim as Claim
from gentickets.recipe.claim_section import Control as Control
from gentickets.recipe.claim_section import Verdict as Verdict
from gentickets.recipe.families import Keywords
from gentickets.recipe.training import Train
from gentickets.scoring import SCORINGS

Moves = Literal["weights", "mask", "signs", "trained"]
if TYPE_CHECKING:
    OfTransfer: TypeAlias = str
    MethodName: TypeAlias = str
    SampleFigure = str
else:  # the tables know the names
    OfTransfer = Literal[TRANSFER_CONTROLS]
    MethodName, SampleFigure = Literal[tuple(METHODS)], Literal[COMPARED]

CHECKS = 50
"""An early bird's looks along a whole training, where ``every`` is not given."""
STOPPING = ("patience", "tolerance")
"""Keys of [quality] that mean nothing without ``curve``."""
CONTROLS_OF_MOVES: dict[str, tuple[OfTransfer, ...]] = {
    "weights": ("shuffle", "unmasked", "mask"),
    "trained": ("shuffle", "unmasked", "mask"),
    "signs": ("signs-shuffle", "mask"),
    "mask": ("shuffle",),
}
"""What moves in a [transfer] -> the controls that say something of it, and run unless told."""


class TaskChoice(Section):
    """[task]: the family, and its keywords beside it."""

    family: str
    options: Keywords

    @property
    def keywords(self) -> dict[str, Any]:
        """What the family's constructor is called with, besides the image's size."""
        return self.options.applying()

    @property
    def network(self) -> str:
        """The keyword ``network``, such as ``conv``; empty where the family has none."""
        return str(self.keywords.get("network") or "")

    @property
    def width(self) -> int | None:
        """The keyword ``width`` where it is a whole number, so that a narrower network can be asked for."""
        width = self.keywords.get("width")
        return width if isinstance(width, int) and not isinstance(width, bool) else None


class Data(Section):
    """[data]: which images, and how they come."""

    name: Word = Field(examples=["digits"])
    """One of `DATASETS`, or a plugin's."""
    batch_size: Batch = 64
    """Images in the batch of one step."""
    size: Annotated[int, Field(ge=4, le=1024)] | None = None
    """Side in pixels; none: as the data comes."""
    channels: Literal["grey", "rgb"] | None = None
    """Colour of the images; none: as the data comes, `rgb` for a folder."""
    folder: Word | None = None
    """With `name = "folder"`: the folder of images, absolute or from the current directory."""
    valid: Count | None = None
    """Images held out for choices; none: the data set's own number."""
    workers: Workers = 0
    """Processes that decode images ahead, where data does not fit into memory."""


class Search(Section):
    """[search]: prune, rewind, retrain; and what a ticket must beat."""

    method: MethodName = ITERATIVE
    """How tickets are searched."""
    criterion: Word = "magnitude"
    """One of `SCORINGS`, or a plugin's."""
    pooled: bool = False
    """Whether every weight is scored by the sum of all players' losses, not by its own player's."""
    temperature: Positive = 1.0
    """Divides the discriminator's logits while GraSP scores."""
    score_batches: Few = 8
    """Training batches that a criterion is given."""
    cuts: Few | None = None
    """With "at_start": cuts on the way to each density; none: 100 with SynFlow, else 1."""
    rounds: Few = 6
    """Rounds of pruning; after round r a fraction `keep`^r of the prunable weights is left."""
    keep: Share = 0.8
    """Of what is left, each round."""
    only_rounds: Annotated[tuple[Count, ...], Listed, Many] = ()
    """Rounds to do where each stands by itself ("one_shot", "at_start"); empty: every one."""
    by: Literal["channels", "weights"] = "channels"
    """With "early_bird": what is ranked and removed."""
    every: Count | None = None
    """With "early_bird": steps from one look to the next; none: a fiftieth of the training."""
    patience: Annotated[int, Field(ge=2, le=10**4)] = 5
    """With "early_bird": the newest mask is compared with all others of so many."""
    tolerance: Share | None = None
    """With "early_bird": the largest distance between them; none: 0.2, or 0.1 with the published rule."""
    rule: Literal["corrected", "published"] = "corrected"
    """With "early_bird": distances corrected for chance and held against noise, or as You et al. (2020) have them."""
    gamma_l1: NonNegative = 0.0
    """With "early_bird": L1 penalty on norm scales while it is searched; 1e-4 in the original."""
    after: Literal["continue", "rewind"] = "continue"
    """With "early_bird": go on from the step at which it emerged, or from ``rewind_to``."""
    multiple: Units = 1
    """With "early_bird": how many channels a group keeps is rounded to multiples of this."""
    widths: Annotated[tuple[Units, ...], Listed, Many] = ()
    """With "widths": the family's keyword ``width``, one after the other."""
    widen: Word = "width"
    """With "widths": the keyword that is varied."""
    rewind_to: Natural = 0
    """Steps."""
    rewind: Literal["weights", "lr", "none"] = "weights"
    """What is rewound: weights and learning rate, the learning rate alone, or nothing (fine-tuning)."""
    optimizer_state: Literal["rewound", "fresh"] = "rewound"
    """Whether a ticket starts with the optimizer state of step `rewind_to`, or without any."""
    scope: Literal["layer", "component", "global", "erk"] = "component"
    """Which weights are ranked together: each layer, each network, all, or each layer at ERK densities."""
    prune: Annotated[tuple[Word, ...], Listed, Many] = ()
    """Components; empty: every one."""
    other: Literal["rewound", "fresh", "trained"] = "rewound"
    """What the components that are not pruned start each round from."""
    exempt: Annotated[tuple[Word, ...], Listed, Many] = ()
    """Patterns of parameter names."""
    seeds: Seeds = 3
    """Repetitions; a verdict needs at least three."""
    controls: Annotated[tuple[Control, ...], Listed, Many] = ()
    """Controls to train at the ticket's sparsity."""
    control_rounds: Annotated[tuple[Count, ...], Listed, Many] | None = None
    """Rounds at which controls are trained; none: the claim's and the last."""
    scaling: Literal["both", "on", "off"] = "both"
    """Whether the surviving weights of controls are scaled up: with and without, always, or never."""
    budget: bool = True
    """Whether to train a dense network for as many steps as the whole search takes (compute-matched)."""
    longer: Literal[0] | Annotated[int, Field(ge=2, le=10**4)] = 0
    """Train dense, ticket and controls again for so many times the steps, at the claim's level; 0: not."""

    def applies(self, key: str) -> bool:
        """Whether a key means anything with this method and this criterion."""
        if key in CRITERION_OPTIONS:
            return self.criterion in CRITERION_OPTIONS[key]
        return self.method in METHODS_OF.get(key, (self.method,))


CRITERION_OPTIONS = {
    key: criteria
    for key in Search.model_fields
    if (criteria := tuple(row.name for row in SCORINGS.values() if key in row.options))
}
"""Option of [search] -> the criteria that have it."""


class Quality(Section):
    """[quality]: how good is measured."""

    samples: Annotated[int, Field(ge=2, le=10**9)] | None = None
    """None: as many as the split has."""
    checkpoints: Few = 1
    """Figures are the mean of the last so many."""
    frechet: bool = True
    """Whether samples are compared with real images at all."""
    figures: Annotated[tuple[SampleFigure, ...], Listed, Many] | None = None
    """Which figures of samples; none: every one that the features allow."""
    features: Literal["own", "inception"] = "own"
    """A small classifier of the data itself, or the Inception network of the FID."""
    inception: Word | None = None
    """The Inception network's weights file; none: torch-fidelity's download."""
    downstream: bool = False
    """Whether to train a classifier on samples (`accuracy_on_samples`)."""
    train: bool = False
    """Whether to take the figures on the training split too."""
    curve: Annotated[int, Field(ge=0, le=10**4)] = 0
    """Evaluations on validation along the training, for the early-stopping step."""
    patience: Few = 3
    """The early-stopping step is that of the best evaluation before so many in a row brought less than..."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """...this fraction of improvement."""


class Transfer(Section):
    """[transfer]: a ticket carried from a source into this recipe's networks, and what it must beat."""

    source: Word | None = None
    """A recipe, a run or a ticket; none: the command line names it."""
    routes: Annotated[dict[Word, Word], Many] = Field(default={})
    """Path in the source -> path in the target, of components or layers; empty: what fits of a known pair."""
    match: Literal["name", "order"] = "name"
    """How the layers below a route find one another."""
    partial: bool = False
    """Whether layers that do not fit may be left out."""
    moves: Moves = "weights"
    """The mask with the source's early weights, alone, with the trained ticket's signs, or its trained weights."""
    rest: Share | None = None
    """The density that layers which got nothing are pruned to; none: they stay dense."""
    widths: bool = False
    """Whether the ticket is stretched or shrunk to other numbers of channels."""
    deepen: Literal["interpolate", "append"] | None = None
    """How layers repeat in a deeper target: each in place, or all of them again."""
    noise: NonNegative = 0.0
    """Of moved weights, relative to each layer's standard deviation: parts the copies in a wider target."""
    scale: bool = False
    """Whether the survivors of a mask that moves alone are scaled by (kept fraction of the layer)^-1/2."""
    align: Natural = 0
    """Steps of dense training of the target after which the source's channels are matched with its own; 0: not."""
    rounds: Annotated[tuple[Count, ...], Listed, Field(min_length=1, max_length=LISTED)] | None = None
    """The target's rounds at which a ticket is carried over; none: those of its controls."""
    controls: Annotated[tuple[OfTransfer, ...], Listed, Many] | None = None
    """What the transferred ticket must beat; none: what goes with ``moves``."""


class Sections(Section):
    """All sections of a recipe, in the order of the file; one that may be None may be lacking altogether."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """The first of seeds that are chosen by hand; none: they follow from the claim's hash, and without one from 0."""
    task: TaskChoice
    data: Data
    train: Train
    search: Search = Search()
    quality: Quality = Quality()
    claim: Claim | None = None
    transfer: Transfer | None = None
    verdict: Verdict | None = None


SECTIONS: dict[str, type[Section]] = {
    key: (get_args(field.annotation) or (field.annotation,))[0]
    for key, field in Sections.model_fields.items()
    if key not in ("seed", "task")
}
"""Name -> what its table may hold; that of [task] follows from the family."""
OPTIONAL = tuple(key for key in SECTIONS if Sections.model_fields[key].default is None)
"""Sections that a recipe may lack altogether."""
