"""How a run's tickets were found, in words: method, criterion, ranking, training. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gentickets.definitions import TOLERANCES
from gentickets.report.words import listed, numbered

_CRITERIA = {
    "magnitude": "magnitude",
    "random": "random scores",
    "snip": "SNIP",
    "grasp": "GraSP",
    "grasp-abs": "GraSP by |score|",
    "synflow": "SynFlow",
    "gradient": "weight times gradient",
    "lamp": "LAMP",
}
_SCOPES = {
    "layer": "each layer by itself",
    "component": "each component by itself",
    "global": "all weights together",
    "erk": "each layer by itself, at ERK densities",
}


def criterion_name(recipe: Mapping[str, Any]) -> str:
    """The criterion as a person writes it, a plugin's in quotes."""
    name = str(_search(recipe).get("criterion") or "magnitude")
    return _CRITERIA.get(name, f"'{name}'")


def scores_say(recipe: Mapping[str, Any]) -> str:
    """Subject and verb of what ties say of the criterion: ``magnitude says``, ``SNIP says``."""
    scores = _search(recipe).get("criterion") == "random"
    return f"{criterion_name(recipe)} {'say' if scores else 'says'}"


def how_found(recipe: Mapping[str, Any]) -> str | None:
    """How the tickets were found, where it is not by iterative magnitude pruning: ``found at the start by SNIP``."""
    search = _search(recipe)
    method, plain = search.get("method") or "iterative", search.get("criterion") in (None, "magnitude")
    by = "" if plain else f" by {_scored(recipe)}"
    if method == "at_start":
        step = int(search.get("rewind_to") or 0)
        cuts = int(search.get("cuts") or 1)
        text = f"found at {f'step {step}' if step else 'the start'} by {_scored(recipe)}"
        text += f" in {cuts} cuts" if cuts > 1 else ""
    elif method == "one_shot":
        text = f"pruned in one shot{by}"
    elif method == "early_bird":
        text = _early_bird(recipe)
    else:
        text = f"pruned{by}" if by else ""
    others = {"fresh": "the components that are not pruned starting afresh", "trained": "the others going on trained"}
    told = [
        text,
        "at ERK layer densities" if search.get("scope") == "erk" else "",
        others.get(str(search.get("other")), ""),
    ]
    return ", ".join(filter(None, told)) or None


def _early_bird(recipe: Mapping[str, Any]) -> str:
    search = _search(recipe)
    of_channels, rewound = search.get("by", "channels") == "channels", search.get("after") == "rewind"
    plain = of_channels or search.get("criterion") in (None, "magnitude")
    start = "continued from the step at which it emerged"
    if rewound:
        start = f"rewound to step {int(search.get('rewind_to') or 0)}"
    told = [
        f"an early bird by {'channels' if of_channels else 'weights'}{'' if plain else f' ({_scored(recipe)})'}",
        "by the published rule" if search.get("rule") == "published" else "",
        start,
    ]
    return ", ".join(filter(None, told))


def _scored(recipe: Mapping[str, Any]) -> str:
    return criterion_name(recipe) + (" pooled over the players" if _search(recipe).get("pooled") else "")


def facts(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the recipe chose, line by line, for those who want to compare runs: (what, which)."""
    return [(name, text) for name, text in _facts(recipe) if text]


def _facts(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    search, train, task = _search(recipe), recipe.get("train") or {}, recipe.get("task") or {}
    data = recipe.get("data") or {}
    yield "task", " ".join(str(task[key]) for key in ("family", "network") if task.get(key))
    yield "data", str(data.get("name") or "") + (f", {data['size']} x {data['size']}" if data.get("size") else "")
    yield "method", _method(search)
    if search.get("method") != "widths":
        yield "criterion", _criterion(recipe)
        scope = _SCOPES.get(str(search.get("scope")), "")
        yield f"{_ranked(search)} are ranked", scope.replace("weights", _ranked(search))
        if search.get("method") == "early_bird":
            yield from _of_early_bird(search)
        yield "pruned", listed(search["prune"]) if search.get("prune") else "every component"
        yield "exempt", listed(search["exempt"]) if search.get("exempt") else ""
        yield "other components start", _others(search)
        yield "rounds start from", _start(search)
    yield from _of_transfer(recipe.get("transfer") or {})
    yield "training", _training(train)
    yield "arithmetic of training", _arithmetic(train)
    yield "early stopping", _stopping(recipe.get("quality") or {})


def _of_transfer(transfer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a ticket of another model is carried over as, and how."""
    moves = {
        "weights": "mask and early weights",
        "mask": "the mask alone",
        "signs": "mask and the signs of the trained weights",
        "trained": "mask and trained weights",
    }
    routes = [f"{start} to {end}" for start, end in (transfer.get("routes") or {}).items()]
    yield "carried over", moves.get(str(transfer.get("moves")), "")
    yield "routes", listed(routes) if routes else "what fits of a known pair" if transfer else ""
    yield "layers are matched", f"by {transfer['match']}" if transfer.get("match") else ""
    told = [
        "those that do not fit are left out" if transfer.get("partial") else "",
        "other numbers of channels are stretched or shrunk" if transfer.get("widths") else "",
        f"repeated in a deeper target ({transfer['deepen']})" if transfer.get("deepen") else "",
        f"noise of {transfer['noise']:g} standard deviations" if transfer.get("noise") else "",
        f"channels aligned after {numbered(int(transfer['align']), 'step')}" if transfer.get("align") else "",
    ]
    yield "layers", ", ".join(filter(None, told))
    rest = f"pruned to {transfer['rest']:g}" if transfer.get("rest") else "dense"
    yield "layers that get nothing", rest if transfer else ""


def _method(search: Mapping[str, Any]) -> str:
    cuts = int(search.get("cuts") or 1)
    return {
        "iterative": "iterative: each round prunes what the last one trained",
        "one_shot": "one shot: each level is pruned by itself from the trained dense model",
        "at_start": "at the start: each level is pruned by itself from the state that is trained, "
        f"in {numbered(cuts, 'cut')}",
        "early_bird": "early bird: one dense training is looked at until the best "
        f"{_ranked(search)} of a level have stopped changing",
        "widths": f"widths: dense models with {search.get('widen') or 'width'} = "
        f"{listed([str(width) for width in search.get('widths') or ()])}; nothing is pruned",
    }.get(str(search.get("method") or "iterative"), str(search.get("method")))


def _ranked(search: Mapping[str, Any]) -> str:
    by_channels = search.get("method") == "early_bird" and search.get("by", "channels") == "channels"
    return "channels" if by_channels else "weights"


def _of_early_bird(search: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Rule, tolerance, checks and penalty of an early bird (You et al., 2020)."""
    published, patience = search.get("rule") == "published", int(search.get("patience") or 5)
    distance = (
        "Hamming distance of masks, as published"
        if published
        else "distance of masks over that of random ones, 2 s (1 - s) at sparsity s; not before the mask has left its "
        "first ranking, nor before the ranking has settled more than a random walk's would"
    )
    tolerance = search.get("tolerance") or TOLERANCES["published" if published else "corrected"]
    yield "rule", distance
    yield "tolerance", f"{tolerance:g}, of the newest of {patience} masks to all others"
    yield "checks", f"every {numbered(int(search['every']), 'step')}" if search.get("every") else ""
    penalty = float(search.get("gamma_l1") or 0)
    yield "penalty on norm scales", f"L1, {penalty:g}, while it is searched" if penalty else "none"
    multiple = int(search.get("multiple") or 1)
    yield "channels kept", f"multiples of {multiple} in each group" if multiple > 1 else ""


def _criterion(recipe: Mapping[str, Any]) -> str:
    search, text = _search(recipe), _scored(recipe)
    if _ranked(search) == "channels":
        return "size of the channel's norm scale; without a norm, the norm of its weights"
    if search.get("criterion") in (None, "magnitude", "random", "synflow", "lamp"):
        return text
    if batches := int(search.get("score_batches") or 0):
        text += f", on {batches} batch{'' if batches == 1 else 'es'}"
    hot = search.get("temperature", 1.0) != 1.0
    return text + (f", discriminator's logits divided by {search['temperature']:g}" if hot else "")


def _others(search: Mapping[str, Any]) -> str:
    if not search.get("prune"):
        return ""
    return {"fresh": "freshly initialized", "trained": "from what they were trained to"}.get(
        str(search.get("other")), "from the same step as the pruned ones"
    )


def _start(search: Mapping[str, Any]) -> str:
    way, step = search.get("rewind") or "weights", search.get("rewind_to") or 0
    fresh = ", optimizer fresh" if search.get("optimizer_state") == "fresh" else ""
    if search.get("method") == "early_bird" and search.get("after") != "rewind":
        return f"the step at which each level emerged{fresh}"
    if way == "weights":
        return f"the weights of step {step}{fresh}"
    rate = "the learning rate of step " + str(step) if way == "lr" else "the last learning rate"
    return f"the trained weights, at {rate}{fresh}"


def _training(train: Mapping[str, Any]) -> str:
    told = [
        f"{train['steps']:,} steps" if train.get("steps") else "",
        str(train.get("optimizer") or ""),
        f"learning rate {train['lr']:g}" if train.get("lr") else "",
        str(train.get("schedule") or "") if train.get("schedule") not in (None, "constant") else "",
    ]
    return ", ".join(filter(None, told))


def _arithmetic(train: Mapping[str, Any]) -> str:
    word = {"bf16": "bf16 (weights, optimizers, scores and figures in fp32)", "fp32": "fp32"}
    compiled = ", compiled" if train.get("compile") else ""
    return word.get(str(train.get("precision") or "fp32"), str(train.get("precision"))) + compiled


def _stopping(quality: Mapping[str, Any]) -> str:
    if not quality.get("curve"):
        return ""
    share = float(quality.get("tolerance") or 0)
    less = f"no improvement by more than {100 * share:g} %" if share else "no improvement"
    return (
        f"the best of {quality['curve']} evaluations on validation before {quality.get('patience', 3)} in a row that "
        f"brought {less}"
    )


def _search(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = recipe.get("search") or {}
    return found
