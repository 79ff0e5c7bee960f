"""Describes in words how a run's tickets were found: method, criterion, ranking, training. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator

from gentickets.analysis.text.format import listed, numbered
from gentickets.recipe import Quality, Recipe, Search, Train, Transfer
from gentickets.scoring import SCORINGS

_SCOPES = {
    "layer": "each layer by itself",
    "component": "each component by itself",
    "global": "all weights together",
    "erk": "each layer by itself, at ERK densities",
}


def criterion_name(recipe: Recipe) -> str:
    """The criterion as a person writes it, a plugin's in quotes."""
    name = recipe.search.criterion
    return SCORINGS[name].title if name in SCORINGS else f"'{name}'"


def scores_say(recipe: Recipe) -> str:
    """Subject and verb of what ties say of the criterion: ``magnitude says``, ``SNIP says``."""
    row = SCORINGS.get(recipe.search.criterion)
    return f"{criterion_name(recipe)} {row.verb if row else 'says'}"


def how_found(recipe: Recipe) -> str | None:
    """How the tickets were found, where it is not by iterative magnitude pruning: ``found at the start by SNIP``."""
    search, method = recipe.search, recipe.method
    plain = search.criterion == "magnitude"
    text = method.found if method.found_plainly is None or not plain else method.found_plainly
    rewound, emerged = f"rewound to step {search.rewind_to}", "continued from the step at which it emerged"
    text = text.format(
        at=f"step {search.rewind_to}" if search.rewind_to else "the start",
        scored=_scored(recipe),
        by="" if plain else f" by {_scored(recipe)}",
        in_brackets="" if plain else f" ({_scored(recipe)})",
        in_cuts=f" in {recipe.cuts} cuts" if recipe.cuts > 1 else "",
        ranked=_ranked(recipe),
        by_rule=", by the published rule" if search.rule == "published" else "",
        goes_on=rewound if search.after == "rewind" else emerged,
    )
    others = {"fresh": "the components that are not pruned starting afresh", "trained": "the others going on trained"}
    told = [text, "at ERK layer densities" if search.scope == "erk" else "", others.get(search.other, "")]
    return ", ".join(filter(None, told)) or None


def _scored(recipe: Recipe) -> str:
    return criterion_name(recipe) + (" pooled over the players" if recipe.search.pooled else "")


def facts(recipe: Recipe) -> list[tuple[str, str]]:
    """What the recipe chose, line by line, for those who want to compare runs: (what, which)."""
    return [(name, text) for name, text in _facts(recipe) if text]


def _facts(recipe: Recipe) -> Iterator[tuple[str, str]]:
    search, data = recipe.search, recipe.data
    yield "task", f"{recipe.task.family} {recipe.task.network}".strip()
    yield "data", data.name + (f", {data.size} x {data.size}" if data.size else "")
    yield "method", _method(recipe)
    if recipe.prunes:
        yield "criterion", _criterion(recipe)
        yield f"{_ranked(recipe)} are ranked", _SCOPES.get(search.scope, "").replace("weights", _ranked(recipe))
        if recipe.method.watches:
            yield from _of_early_bird(recipe)
        yield "pruned", listed(search.prune) if search.prune else "every component"
        yield "exempt", listed(search.exempt) if search.exempt else ""
        yield "other components start", _others(search)
        yield "rounds start from", _start(recipe)
    if recipe.transfer is not None:
        yield from _of_transfer(recipe.transfer)
    yield "training", _training(recipe.train)
    yield "arithmetic of training", _arithmetic(recipe.train)
    yield "early stopping", _stopping(recipe.quality)


def _of_transfer(transfer: Transfer) -> Iterator[tuple[str, str]]:
    """What a ticket of another model is carried over as, and how."""
    moves = {
        "weights": "mask and early weights",
        "mask": "the mask alone",
        "signs": "mask and the signs of the trained weights",
        "trained": "mask and trained weights",
    }
    routes = [f"{start} to {end}" for start, end in transfer.routes.items()]
    yield "carried over", moves.get(transfer.moves, "")
    yield "routes", listed(routes) if routes else "what fits of a known pair"
    yield "layers are matched", f"by {transfer.match}"
    told = [
        "those that do not fit are left out" if transfer.partial else "",
        "other numbers of channels are stretched or shrunk" if transfer.widths else "",
        f"repeated in a deeper target ({transfer.deepen})" if transfer.deepen else "",
        f"noise of {transfer.noise:g} standard deviations" if transfer.noise else "",
        f"channels aligned after {numbered(transfer.align, 'step')}" if transfer.align else "",
    ]
    yield "layers", ", ".join(filter(None, told))
    yield "layers that get nothing", f"pruned to {transfer.rest:g}" if transfer.rest else "dense"


def _method(recipe: Recipe) -> str:
    widths = listed([*map(str, recipe.search.widths)])
    return recipe.method.title.format(
        cuts=numbered(recipe.cuts, "cut"), ranked=_ranked(recipe), widen=recipe.search.widen, widths=widths
    )


def _ranked(recipe: Recipe) -> str:
    return "channels" if recipe.removes_channels else "weights"


def _of_early_bird(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Rule, tolerance, checks and penalty of an early bird (You et al., 2020)."""
    search = recipe.search
    distance = (
        "Hamming distance of masks, as published"
        if search.rule == "published"
        else "distance of masks over that of random ones, 2 s (1 - s) at sparsity s; not before the mask has left its "
        "first ranking, nor before the ranking has settled more than a random walk's would"
    )
    yield "rule", distance
    yield "tolerance", f"{recipe.tolerance:g}, of the newest of {search.patience} masks to all others"
    yield "checks", f"every {numbered(recipe.every, 'step')}"
    yield "penalty on norm scales", f"L1, {search.gamma_l1:g}, while it is searched" if search.gamma_l1 else "none"
    yield "channels kept", f"multiples of {search.multiple} in each group" if search.multiple > 1 else ""


def _criterion(recipe: Recipe) -> str:
    search, text = recipe.search, _scored(recipe)
    if recipe.removes_channels:
        return "size of the channel's norm scale; without a norm, the norm of its weights"
    if (row := SCORINGS.get(search.criterion)) is not None and not row.needs_data:
        return text
    text += f", on {search.score_batches} batch{'' if search.score_batches == 1 else 'es'}"
    hot = search.temperature != 1.0
    return text + (f", discriminator's logits divided by {search.temperature:g}" if hot else "")


def _others(search: Search) -> str:
    if not search.prune:
        return ""
    return {"fresh": "freshly initialized", "trained": "from what they were trained to"}.get(
        search.other, "from the same step as the pruned ones"
    )


def _start(recipe: Recipe) -> str:
    search = recipe.search
    fresh = ", optimizer fresh" if search.optimizer_state == "fresh" else ""
    if recipe.method.watches and search.after != "rewind":
        return f"the step at which each level emerged{fresh}"
    if search.rewind == "weights":
        return f"the weights of step {search.rewind_to}{fresh}"
    rate = f"the learning rate of step {search.rewind_to}" if search.rewind == "lr" else "the last learning rate"
    return f"the trained weights, at {rate}{fresh}"


def _training(train: Train) -> str:
    schedule = "" if train.schedule == "constant" else train.schedule
    steps = f"{train.steps:,} steps" if train.steps else ""
    return ", ".join(filter(None, [steps, train.optimizer, f"learning rate {train.lr:g}", schedule]))


def _arithmetic(train: Train) -> str:
    word = {"bf16": "bf16 (weights, optimizers, scores and figures in fp32)", "fp32": "fp32"}
    return word.get(train.precision, train.precision) + (", compiled" if train.compile else "")


def _stopping(quality: Quality) -> str:
    if not quality.curve:
        return ""
    less = f"no improvement by more than {100 * quality.tolerance:g} %" if quality.tolerance else "no improvement"
    return (
        f"the best of {quality.curve} evaluations on validation before {quality.patience} in a row that brought {less}"
    )
