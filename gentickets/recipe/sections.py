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
    """Training images that are held out for validation; none: the data set's own number."""
    workers: Workers = 0
    """Processes that decode images ahead, where data does not fit into memory."""


class Search(Section):
    """[search]: prune, rewind, retrain; and what a ticket must beat."""

    method: MethodName = ITERATIVE
    """How tickets are searched."""
    criterion: Word = "magnitude"
    """One of `SCORINGS`, or a plugin's."""
    pooled: bool = False
    """Score every weight by the sum of all players' losses, instead of by its own player's."""
    temperature: Positive = 1.0
    """Divides the discriminator's logits while GraSP scores."""
    score_batches: Few = 8
    """Training batches that the criterion computes its scores on."""
    cuts: Few | None = None
    """With "at_start": in how many steps to prune to each density; none: 100 with SynFlow, else 1."""
    rounds: Few = 6
    """Rounds of pruning; after round r a fraction `keep`^r of the prunable weights is left."""
    keep: Share = 0.8
    """Fraction of the remaining weights that each round keeps."""
    only_rounds: Annotated[tuple[Count, ...], Listed, Many] = ()
    """With "one_shot" and "at_start": the rounds to train; empty: all of them."""
    by: Literal["channels", "weights"] = "channels"
    """With "early_bird": what is ranked and removed."""
    every: Count | None = None
    """With "early_bird": steps between two masks that are compared; none: a fiftieth of the training."""
    patience: Annotated[int, Field(ge=2, le=10**4)] = 5
    """With "early_bird": how many consecutive masks must agree."""
    tolerance: Share | None = None
    """With "early_bird": how far apart they may be; none: 0.2, or 0.1 with the published rule."""
    rule: Literal["corrected", "published"] = "corrected"
    """With "early_bird": distances corrected for chance and tested against noise, or as in You et al. (2020)."""
    gamma_l1: NonNegative = 0.0
    """With "early_bird": weight of an L1 penalty on norm scales during the search; 1e-4 in You et al. (2020)."""
    after: Literal["continue", "rewind"] = "continue"
    """With "early_bird": train on from the step at which the mask was found, or rewind to ``rewind_to``."""
    multiple: Units = 1
    """With "early_bird": round the number of channels in each group to multiples of this."""
    widths: Annotated[tuple[Units, ...], Listed, Many] = ()
    """With "widths": the widths to train."""
    widen: Word = "width"
    """With "widths": the keyword of the family that is varied."""
    rewind_to: Natural = 0
    """The training step to rewind to."""
    rewind: Literal["weights", "lr", "none"] = "weights"
    """What is rewound: weights and learning rate, the learning rate alone, or nothing (fine-tuning)."""
    optimizer_state: Literal["rewound", "fresh"] = "rewound"
    """Whether a ticket starts with the optimizer state of step `rewind_to`, or without any."""
    scope: Literal["layer", "component", "global", "erk"] = "component"
    """Which weights are ranked together: each layer, each network, all, or each layer at ERK densities."""
    prune: Annotated[tuple[Word, ...], Listed, Many] = ()
    """Components to prune; empty: all."""
    other: Literal["rewound", "fresh", "trained"] = "rewound"
    """Where components that are not pruned start each round: rewound, newly initialized, or as trained."""
    exempt: Annotated[tuple[Word, ...], Listed, Many] = ()
    """Patterns of parameter names that are not pruned, as in `decoder.*`."""
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
    """Samples to draw for metrics; none: as many as the split has images."""
    checkpoints: Few = 1
    """Average metrics over this many of the last checkpoints."""
    frechet: bool = True
    """Whether to compute the metrics of samples."""
    figures: Annotated[tuple[SampleFigure, ...], Listed, Many] | None = None
    """Which metrics of samples to compute; none: all that the features allow."""
    features: Literal["own", "inception"] = "own"
    """The network that computes features: a small classifier of the data, or the Inception network of the FID."""
    inception: Word | None = None
    """The file of the Inception network's weights; none: the one that torch-fidelity downloads."""
    downstream: bool = False
    """Whether to train a classifier on samples, for the metric `accuracy_on_samples`."""
    train: bool = False
    """Whether to compute the metrics on training images too."""
    curve: Annotated[int, Field(ge=0, le=10**4)] = 0
    """How often to evaluate on validation during training, to find the early-stopping step."""
    patience: Few = 3
    """Evaluations without improvement after which training would have stopped."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The fraction by which an evaluation has to improve to count."""


class Transfer(Section):
    """[transfer]: a ticket carried from a source into this recipe's networks, and what it must beat."""

    source: Word | None = None
    """The recipe, run or ticket to transfer from; none: the command line names it."""
    routes: Annotated[dict[Word, Word], Many] = Field(default={})
    """Path in the source -> path in the target, of components or layers; empty: what is usual for the two families."""
    match: Literal["name", "order"] = "name"
    """How layers below a route are matched: by name, or by their order."""
    partial: bool = False
    """Leave out layers that do not fit, instead of refusing the transfer."""
    moves: Moves = "weights"
    """What moves: the mask with early weights, the mask alone, with trained signs, or with trained weights."""
    rest: Share | None = None
    """Density to which layers without a counterpart are pruned; none: they stay dense."""
    widths: bool = False
    """Whether to fit the ticket to another number of channels."""
    deepen: Literal["interpolate", "append"] | None = None
    """How layers are repeated in a deeper target: each one in place, or the whole sequence again."""
    noise: NonNegative = 0.0
    """Noise on transferred weights, as a multiple of each layer's root mean square; makes copies differ."""
    scale: bool = False
    """With `moves = "mask"`: scale the kept weights by (kept fraction of the layer)^-1/2."""
    align: Natural = 0
    """Dense training steps of the target before its channels are matched with the source's; 0: no matching."""
    rounds: Annotated[tuple[Count, ...], Listed, Field(min_length=1, max_length=LISTED)] | None = None
    """Rounds of the target at which a ticket is transferred; none: those of its controls."""
    controls: Annotated[tuple[OfTransfer, ...], Listed, Many] | None = None
    """Controls of the transfer; none: those that fit ``moves``."""


class Sections(Section):
    """All sections of a recipe, in the order of the file; one that may be None may be lacking altogether."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """First seed, to choose seeds by hand; none: they follow from the claim's hash, or start at 0 without a claim."""
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
