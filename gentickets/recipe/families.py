"""The built-in families' keywords, without torch; a test compares them with the constructors in `tasks/`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import ConfigDict, Field

from gentickets.metrics import OF_SAMPLES, Floor
from gentickets.recipe.bounds import Few, Layers, NonNegative, Positive, Section, Units

Network = Literal["mlp", "linear", "conv", "maxpool", "resnet18", "sngan", "resnet"]


class Keywords(Section):
    """A family's keywords, and what a recipe may say about it elsewhere. Empty: not known beforehand."""

    title: ClassVar[str] = ""
    """As a person writes the family; empty: by its name."""
    components: ClassVar[tuple[str, ...]] = ()
    objectives: ClassVar[tuple[str, ...]] = ()
    metrics: ClassVar[tuple[str, ...]] = ()
    """Figures that a claim may be about."""
    only_with: ClassVar[dict[str, tuple[str, tuple[str, ...]]]] = {}
    """Keyword -> the keyword, and its values, without one of which it means nothing."""

    def floors(self) -> dict[str, Floor]:
        """Figure of the family's own -> what the best possible model reaches in it; no entry where nobody knows."""
        return {}

    def applying(self) -> dict[str, Any]:
        """The keywords that mean something here, defaults filled: what the constructor is called with.

        Those that are none are left out.
        """
        given = self.model_dump().items()
        return {name: value for name, value in given if value is not None and self._applies(name)}

    def misplaced(self) -> Iterator[tuple[str, str]]:
        """Keywords that were given and mean nothing here, each with the ``other = "value"`` that it needs."""
        for name in sorted(self.model_fields_set):
            if not self._applies(name):
                other, values = self.only_with[name]
                *more, last = (f'"{value}"' for value in values)
                yield name, f"{other} = {', '.join(more)} or {last}" if more else f"{other} = {last}"

    def _applies(self, name: str) -> bool:
        other, values = self.only_with.get(name, ("", ()))
        return not other or getattr(self, other) in values


class PluginKeywords(Keywords):
    """A plugin family's keywords: any scalars; its constructor is asked once it has been imported."""

    model_config = ConfigDict(extra="allow")


class NetworkKeywords(Keywords):
    """The networks' keywords; the image's size comes from the data."""

    only_with: ClassVar[dict[str, tuple[str, tuple[str, ...]]]] = {
        "depth": ("network", ("mlp",)),
        "bottleneck": ("network", ("conv",)),
    }

    network: Network = "mlp"
    """The architecture; `sngan` and `resnet` are those of SNGAN and of the ResNet GAN."""
    width: Units = 64
    """Hidden units of an mlp; channels next to the image of a convolutional network."""
    depth: Layers = 2
    """Hidden layers of an mlp; other networks' follow from the image."""
    bottleneck: Units = 4
    """The side at which a conv network stops halving."""
    latent: Units = 16
    """Numbers of the latent code."""


class AeKeywords(NetworkKeywords):
    """An autoencoder's keywords. The code of ``maxpool`` is its map, so that ``latent`` means nothing there."""

    title: ClassVar[str] = "AE"
    components: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    objectives: ClassVar[tuple[str, ...]] = ("ae",)
    metrics: ClassVar[tuple[str, ...]] = ("reconstruction", "accuracy_on_reconstructions")
    only_with: ClassVar[dict[str, tuple[str, tuple[str, ...]]]] = {
        **NetworkKeywords.only_with,
        "latent": ("network", tuple(name for name in get_args(Network) if name != "maxpool")),
    }

    def floors(self) -> dict[str, Floor]:
        """A squared error, which may be 0."""
        return {"reconstruction": "zero"}


class VaeKeywords(NetworkKeywords):
    """A variational autoencoder's keywords."""

    title: ClassVar[str] = "VAE"
    components: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    objectives: ClassVar[tuple[str, ...]] = ("vae",)
    metrics: ClassVar[tuple[str, ...]] = (
        "negative_elbo",
        "reconstruction",
        *OF_SAMPLES,
        "accuracy_on_reconstructions",
    )

    beta: NonNegative = 1.0
    """Weight of the KL divergence in training; metrics are computed with 1."""
    likelihood: Literal["bernoulli", "gaussian"] = "gaussian"
    """Of the pixels: cross-entropy of grey values, or squared error."""

    def floors(self) -> dict[str, Floor]:
        """The cross-entropy of pixels with themselves; a density has no bound, so that Gaussian nats have no floor."""
        if self.likelihood != "bernoulli":
            return {}
        return {"negative_elbo": "pixel entropy", "reconstruction": "pixel entropy"}


class GanKeywords(NetworkKeywords):
    """A generative adversarial network's keywords."""

    title: ClassVar[str] = "GAN"
    components: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    objectives: ClassVar[tuple[str, ...]] = ("discriminator", "generator")
    metrics: ClassVar[tuple[str, ...]] = OF_SAMPLES
    only_with: ClassVar[dict[str, tuple[str, tuple[str, ...]]]] = {
        **NetworkKeywords.only_with,
        "clip": ("loss", ("wasserstein",)),
        "penalty": ("loss", ("wasserstein-gp",)),
        "slope": ("network", tuple(name for name in get_args(Network) if name != "resnet")),
    }

    critic_width: Units | None = None
    """The discriminator's width; none: the generator's."""
    loss: Literal["nonsaturating", "hinge", "wasserstein", "wasserstein-gp"] = "nonsaturating"
    """The adversarial loss; wasserstein clips the critic's weights, wasserstein-gp penalizes its gradient."""
    critic_steps: Few = 1
    """Discriminator steps for each generator step; `train.steps` counts those of the discriminator."""
    clip: Positive = 0.01
    """Bound of the critic's weights, with wasserstein."""
    penalty: NonNegative = 10.0
    """The gradient penalty's weight."""
    norm: Literal["auto", "batch", "batch-all", "spectral", "none"] = "auto"
    """Of the discriminator; batch: on all layers but the first."""
    slope: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Of the discriminator's leaky ReLUs; 0: plain ones. Those of resnet are plain."""

    def misplaced(self) -> Iterator[tuple[str, str]]:
        """Also batch norm under a gradient penalty."""
        yield from super().misplaced()
        if self.loss == "wasserstein-gp" and self.norm.startswith("batch"):
            why = "its penalty is taken for each image, and batch norm mixes them"
            yield "norm", f'a loss other than "wasserstein-gp" ({why})'


class GdaKeywords(Keywords):
    """Keywords of gradient descent-ascent with a linear discriminator."""

    components: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    objectives: ClassVar[tuple[str, ...]] = ("game",)
    metrics: ClassVar[tuple[str, ...]] = ("mean_gap", "frechet")

    width: Units = 64
    """Hidden units of the generator."""
    latent: Units = 16
    """Numbers of the latent code."""

    def floors(self) -> dict[str, Floor]:
        """A squared distance, which may be 0."""
        return {"mean_gap": "zero"}


FAMILIES: dict[str, type[Keywords]] = {
    "ae": AeKeywords,
    "vae": VaeKeywords,
    "gan": GanKeywords,
    "gda": GdaKeywords,
}
"""Built-in family -> the keywords that a recipe's [task] may give."""
