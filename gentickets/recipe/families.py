"""The built-in families' keywords, without torch; a test compares them with the constructors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]


class Keywords(BaseModel):
    """A family's keywords, and what a recipe may say about it elsewhere. Empty: not known beforehand."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    components: ClassVar[tuple[str, ...]] = ()
    objectives: ClassVar[tuple[str, ...]] = ()
    metrics: ClassVar[tuple[str, ...]] = ()
    """Figures that a claim may be about."""
    only_with: ClassVar[dict[str, tuple[str, str]]] = {}
    """Keyword -> the (keyword, value) without which it means nothing."""

    def applying(self) -> dict[str, Any]:
        """The keywords that mean something here, defaults filled: what the constructor is called with."""
        return {name: value for name, value in self.model_dump().items() if self._applies(name)}

    def misplaced(self) -> Iterator[tuple[str, str]]:
        """Keywords that were given and mean nothing here, each with the ``other = "value"`` that it needs."""
        for name in sorted(self.model_fields_set):
            if not self._applies(name):
                other, value = self.only_with[name]
                yield name, f'{other} = "{value}"'

    def _applies(self, name: str) -> bool:
        other, value = self.only_with.get(name, ("", ""))
        return not other or getattr(self, other) == value


class PluginKeywords(Keywords):
    """A plugin family's keywords: any scalars; its constructor is asked once it has been imported."""

    model_config = ConfigDict(extra="allow")


class AeKeywords(Keywords):
    """An autoencoder's keywords; the image's size comes from the data."""

    components: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    objectives: ClassVar[tuple[str, ...]] = ("ae",)
    metrics: ClassVar[tuple[str, ...]] = ("reconstruction",)
    only_with: ClassVar[dict[str, tuple[str, str]]] = {"depth": ("network", "mlp")}

    network: Literal["mlp", "conv"] = "mlp"
    width: Count = 64
    """Hidden units of an mlp; channels next to the image of a conv network."""
    depth: Count = 2
    """Hidden layers of an mlp; a conv network's follow from the image."""
    latent: Count = 16


class VaeKeywords(AeKeywords):
    """A variational autoencoder's keywords."""

    objectives: ClassVar[tuple[str, ...]] = ("vae",)
    metrics: ClassVar[tuple[str, ...]] = ("negative_elbo", "reconstruction", "frechet")

    beta: Annotated[float, Field(ge=0)] = 1.0
    likelihood: Literal["bernoulli", "gaussian"] = "gaussian"


class GanKeywords(AeKeywords):
    """A generative adversarial network's keywords."""

    components: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    objectives: ClassVar[tuple[str, ...]] = ("discriminator", "generator")
    metrics: ClassVar[tuple[str, ...]] = ("frechet",)
    only_with: ClassVar[dict[str, tuple[str, str]]] = {
        "depth": ("network", "mlp"),
        "clip": ("loss", "wasserstein"),
    }

    loss: Literal["nonsaturating", "hinge", "wasserstein"] = "nonsaturating"
    critic_steps: Count = 1
    clip: Annotated[float, Field(gt=0)] = 0.01


FAMILIES: dict[str, type[Keywords]] = {"ae": AeKeywords, "vae": VaeKeywords, "gan": GanKeywords}
"""Built-in family -> the keywords that a recipe's [task] may give."""
