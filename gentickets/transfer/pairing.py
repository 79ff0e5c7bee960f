"""Pairing: which layer of a target takes what from which layer of a source. Both are looked at, never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, zip_longest

from gentickets.errors import Status, TicketError, nearest
from gentickets.tasks import Task

from .couples import Couple, by_name, in_order, longest
from .depths import DEEPEN, in_depth
from .sides import Layer, layers_below, located, within

MATCHES = ("name", "order")
TWINS = (("decoder", "generator"), ("generator", "decoder"))
"""Components that do the same in different families: latent in, image out (Kalibhat et al., 2021)."""


@dataclass(frozen=True)
class Pair:
    """A layer of the target and the layer of the source that it takes from: module paths, as in ``generator.4``."""

    target: str
    source: str


@dataclass(frozen=True)
class Pairing:
    """Pairs of layers, in the target's order: prunable layers, and norms that stand beside paired ones."""

    pairs: tuple[Pair, ...]
    routes: Mapping[str, str]
    """Source path -> target path."""
    match: str
    partial: bool
    """Whether leaving out layers that do not fit was asked for."""
    left: tuple[str, ...]
    """Sentences on layers that pair with nothing."""


def default_routes(source: Task, target: Task) -> dict[str, str]:
    """Source component -> target component, for known pairs of families.

    The same name to the same name (autoencoders among themselves, GANs among themselves); between the two, decoder to
    generator and back, the other player staying dense (Kalibhat et al., 2021). Raises TicketError where neither is
    there: routes are then the caller's to name, as is encoder to discriminator always.
    """
    ours, theirs = source.components, target.components
    routes = {name: name for name in ours if name in theirs}
    for here, there in TWINS:
        if here in ours and there in theirs and here not in routes and there not in routes:
            routes[here] = there
    if not routes:
        sides = f"the source has {', '.join(ours)}; the target {', '.join(theirs)}"
        raise TicketError(f"no routes are known between these networks: give --route SOURCE=TARGET ({sides})")
    return routes


def paired(
    source: Task,
    target: Task,
    routes: Mapping[str, str] | None = None,
    *,
    match: str = "name",
    partial: bool = False,
    deepen: str | None = None,
    widths: bool = False,
    components: Sequence[str] | None = None,
) -> Pairing:
    """Which layer of the target takes from which layer of the source.

    ``routes``: source path -> target path, of components or of anything inside (``decoder.4`` -> ``generator.4``). All
    prunable layers at and below both must then pair with one that fits: of the same kind, geometry and shape. Layers
    that do not fit may be left out with ``partial``; so they are without ``routes``, where `default_routes` decides,
    among the target's ``components`` (those that it prunes; none: all).

    ``match``: ``name`` pairs layers with the same path below the route, ``order`` the i-th with the i-th, or, where
    layers may be left out, the longest common run of layers that fit. ``deepen`` (``interpolate`` or ``append``) pairs
    networks of different depths, in order: see `depths`. With ``widths`` numbers of channels may differ, and the
    ticket has to be fitted to them before it is carried over.

    A norm (or PReLU) goes with the layer that it stands right behind; one that opens a residual block, or follows a
    sum, with the layer right after it. It pairs where both layers have one of the same kind and size there.

    Raises TicketError: for a route to something that does not exist, for routes that overlap, and (status 3) for
    layers that do not fit, all of them in one sentence, or where nothing fits at all.
    """
    for name, names, what in ((match, MATCHES, "match"), (deepen, DEEPEN, "deepen")):
        if name is not None and name not in names:
            raise TicketError(f"unknown {what} '{name}'. {nearest(name, names)}")
    wanted = dict(routes or _among(default_routes(source, target), components))
    places = [(located(source, here, "source"), located(target, there, "target")) for here, there in wanted.items()]
    _require_apart(places)
    lenient = partial or not routes
    found = _Found(widths)
    for here, there in places:
        ours, theirs = layers_below(source, here), layers_below(target, there)
        found.judge(_couples(ours, theirs, match, deepen, widths, lenient))
        if not ours or not theirs:
            found.misfits.append(f"'{there if ours else here}' has no layer with prunable weights")
        dropped = [layer for layer in ours if layer.path not in found.seen]
        found.notes += [f"{layer} is dropped, as one of several equal ones" for layer in dropped]
    if found.misfits and (not lenient or not found.pairs):
        raise TicketError(found.refusal(lenient), Status.TICKET)
    order = {name: place for place, (name, _) in enumerate(target.named_modules())}
    pairs = sorted(found.pairs, key=lambda pair: order[pair.target])
    notes = [*found.misfits, *found.notes, *_unrouted(source, target, places)]
    return Pairing(tuple(pairs), wanted, match, partial, tuple(notes))


def _among(routes: Mapping[str, str], components: Sequence[str] | None) -> dict[str, str]:
    """The routes that lead to some components; TicketError where none does."""
    found = {here: there for here, there in routes.items() if components is None or there in components}
    if not found:
        told = ", ".join(f"{here}={there}" for here, there in routes.items())
        message = f"the routes known for these models ({told}) lead to nothing that the target prunes"
        raise TicketError(f"{message}: name its component in search.prune, or give --route", Status.TICKET)
    return found


def _couples(
    ours: Sequence[Layer], theirs: Sequence[Layer], match: str, deepen: str | None, widths: bool, lenient: bool
) -> list[Couple[Layer]]:
    if deepen is not None:
        return in_depth(ours, theirs, deepen, widths)
    if match == "name":
        return by_name(ours, theirs)
    if not lenient:
        return in_order(ours, theirs)
    return longest(ours, theirs, lambda a, b: a.fits(b, widths=widths), lambda a, b: a.inner == b.inner)


def _require_apart(places: Sequence[tuple[str, str]]) -> None:
    """Raise TicketError where one route lies within another on either side."""
    for (here, there), (other_here, other_there) in combinations(places, 2):
        for one, other in ((here, other_here), (there, other_there)):
            if within(one, other) or within(other, one):
                both = f"{here}={there} and {other_here}={other_there}"
                raise TicketError(f"routes {both} overlap in '{max(one, other, key=len)}': each layer may stand in one")


@dataclass
class _Found:
    """What couples of layers come to: pairs, layers that do not fit, and remarks."""

    widths: bool
    pairs: list[Pair] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    """Layers of the source that stood in a couple."""
    taken: dict[str, Layer] = field(default_factory=dict)
    """Weight of the target -> the layer of the source that it takes from."""
    stretchable: bool = False
    """Whether numbers of channels are all that parts some couple."""

    def judge(self, couples: Sequence[Couple[Layer]]) -> None:
        """Sort couples into pairs and misfits."""
        for ours, theirs in couples:
            if ours is not None:
                self.seen.add(ours.path)
            if ours is None or theirs is None:
                where = "target" if theirs is None else "source"
                self.misfits.append(f"{ours or theirs} finds no layer in the {where}")
            elif not ours.fits(theirs, widths=self.widths):
                self.misfits.append(f"{ours} does not fit {theirs}")
                self.stretchable |= ours.fits(theirs, widths=True)
            elif self.taken.setdefault(theirs.weight, ours).weight != ours.weight:
                both = f"both {self.taken[theirs.weight]} and {ours} would give"
                self.misfits.append(f"{theirs} shares its weight '{theirs.weight}', which {both}")
            else:
                self.pairs.append(Pair(theirs.path, ours.path))
                self._beside(ours, theirs)

    def _beside(self, ours: Layer, theirs: Layer) -> None:
        """The norms of two paired layers, and remarks on what only one of them has."""
        if ours.bias != theirs.bias:
            has, lacks = (ours, theirs) if ours.bias else (theirs, ours)
            self.notes.append(f"'{has.path}' has a bias, '{lacks.path}' has none")
        for here, there in ((ours.before, theirs.before), (ours.behind, theirs.behind)):
            for norm, other in zip_longest(here, there):
                if norm is not None and other is not None and norm.like(other, widths=self.widths):
                    self.pairs.append(Pair(other.path, norm.path))
                    continue
                for one, layer in ((norm, theirs), (other, ours)):
                    if one is not None:
                        self.notes.append(f"'{one.path}' ({one.kind}) finds no norm like it beside '{layer.path}'")

    def refusal(self, lenient: bool) -> str:
        """One sentence with all that does not fit."""
        hint = "nothing would move: try --match order, or other routes"
        if not lenient:
            hint = "ask for --partial to leave them out" + " or --widths to fit channels" * self.stretchable
        return f"{len(self.misfits)} misfit{'s' * (len(self.misfits) > 1)}: {'; '.join(self.misfits)}; {hint}"


def _unrouted(source: Task, target: Task, places: Sequence[tuple[str, str]]) -> list[str]:
    """Sentences on components that no route begins or ends in."""
    notes = []
    for number, (side, task) in enumerate((("source", source), ("target", target))):
        touched = [place[number].split(".", 1)[0] for place in places]
        notes += [f"no route names the {side}'s {name}" for name in task.components if name not in touched]
    return notes
