"""Samples: every figure that compares samples with real images, and whether they have collapsed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torch import Tensor

from gentickets.data import Splits
from gentickets.errors import TicketError, nearest
from gentickets.metrics import COMPARED, known, metric
from gentickets.provenance import provenance
from gentickets.quality.collapse import collapsed, missing_classes, spread
from gentickets.quality.extractor import Extractor, Seen
from gentickets.quality.frechet import distance, fit
from gentickets.quality.kernel import kid, kid_told
from gentickets.quality.neighbours import NEIGHBOURS, neighbours
from gentickets.quality.pairs import require
from gentickets.quality.reference import Reference
from gentickets.quality.score import inception_score, score_told


def chosen(asked: Sequence[str] | None, extractor: Extractor) -> list[str]:
    """The names of the figures asked for, or of all that these features allow, as they will be called."""
    if asked is None:
        names = [name for name in COMPARED if extractor.classifies or "logits" not in metric(name).needs]
        return [extractor.distance if name == "frechet" else name for name in names]
    for name in asked:
        if (row := known(name)) is None or not row.compares:
            raise TicketError(f"'{name}' is no metric of samples. {nearest(name, COMPARED)}")
        if "inception" in row.needs and extractor.distance != name:
            called = f"in {extractor.name} it is called '{row.alias_of}'"
            raise TicketError(f"'{name}' needs the original Inception weights; {called}")
        if "logits" in row.needs and not extractor.classifies:
            raise TicketError(f"{name} needs a classifier, and {extractor.name} is none")
    return list(dict.fromkeys(extractor.distance if name == "frechet" else name for name in asked))


def require_all(figures: Sequence[str], samples: int, real: int) -> None:
    """Raise TicketError, naming figure and number, where there are too few images for one of these figures."""
    if samples < 2:
        raise TicketError(f"samples must be at least 2 to compare anything, not {samples}")
    # coverage and spread are always looked at, since they show a collapse
    for figure in (*figures, "coverage", "spread") if figures else ():
        require(figure, samples, real)


class Compared:
    """Figures of samples against the real images of a split, with their provenance, and a sentence on collapse."""

    def __init__(
        self, fake: Seen, real: Reference, splits: Splits, figures: Iterable[str], told: Sequence[str]
    ) -> None:
        """``told``: what else defines the numbers: mode, latents."""
        self.fake, self.real, self.splits, self.told = fake, real, splits, told
        names = list(figures)
        require_all(names, len(fake.features), real.n)
        asked = [name for name in NEIGHBOURS if name in names or name == "coverage"]
        self._near = neighbours(fake.features, real.seen.features, asked, reach=real.radii)
        found = {name: self._figure(name) for name in names}
        self.figures = {name: value for name, (value, _) in found.items()}
        self.provenance = {name: text for name, (_, text) in found.items()}

    def collapsed(self, fake: Tensor | None, real: Tensor | None) -> str | None:
        """A sentence if the samples have collapsed; ``fake`` and ``real`` are predicted classes, where there are."""
        return collapsed(
            missing=[] if fake is None or real is None else missing_classes(fake, real),
            classes=0 if real is None else len(set(real.tolist())),
            relative_spread=spread(self.fake.features) / max(self.real.spread, 1e-12),
            coverage=self._near["coverage"],
        )

    def _figure(self, name: str) -> tuple[float, str]:
        measures: dict[str, Callable[[], tuple[float, str]]] = {
            "frechet": self._distance,
            "fid": self._distance,
            "kid": self._kid,
            "inception_score": self._score,
        }
        return measures[name]() if name in measures else self._neighbour(name)

    def _distance(self) -> tuple[float, str]:
        few, count = min(len(self.fake.features), self.real.n), self.fake.features.shape[1]
        warning = f"unreliable, as {few} images give {count} features a singular covariance" if few <= count else None
        value = distance(fit(self.fake.features, "samples"), self.real.gaussian)
        return value, self._text(self._sides, self._floor("frechet"), warning)

    def _kid(self) -> tuple[float, str]:
        how = kid_told(len(self.fake.features), self.real.n)
        return kid(self.fake.features, self.real.seen.features), self._text(self._sides, how, self._floor("kid"))

    def _score(self) -> tuple[float, str]:
        if self.fake.logits is None:
            raise TicketError(f"inception_score needs a classifier, and {self.real.extractor.name} is none")
        n = len(self.fake.logits)
        return inception_score(self.fake.logits), self._text(f"N = {n} samples", score_told(n))

    def _neighbour(self, name: str) -> tuple[float, str]:
        if name not in self._near:
            raise TicketError(f"nothing in quality/ measures the metric '{name}', which the table of metrics has")
        return self._near[name], self._text(self._sides, f"k = {NEIGHBOURS[name]}")

    @property
    def _sides(self) -> str:
        return f"N = {len(self.fake.features)} samples against {self.real.n} {self.real.split} images"

    def _floor(self, name: str) -> str:
        floor = self.real.floor(self.splits, len(self.fake.features))
        return f"floor real against real {getattr(floor, name):.3g} ({floor.of})"

    def _text(self, *parts: str | None) -> str:
        return provenance(self.real.extractor.described, *parts, *self.told)
