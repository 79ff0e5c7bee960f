"""The claim that a run declares at its start, with a hash, so that it can be told from one that was chosen afterwards.

What is hashed stands in `gentickets.recipe.meaning`. A claim of the first edition has a hash of its own kind: over the
declared claim, and over the resolved recipe without its number of seeds and without what only adds arms. Either way a
run may be given seeds and arms later, and the claim stays what it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gentickets.errors import Status, TicketError
from gentickets.recipe.asked import declared_controls
from gentickets.recipe.load import recipe_from, stored_recipe
from gentickets.recipe.meaning import EDITION, claim_hash, declared_seeds
from gentickets.recipe.schema import Recipe

ONLY_ARMS = ("seeds", "controls", "control_rounds", "longer", "scaling", "budget")
"""Keys of [search] that add seeds or arms, and change none that is there."""
DECLARED = ("metric", "margin", "level", "alpha", "sparsities", "looks")
"""Keys of [claim] in the first edition."""


def without_arms(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved recipe without its number of seeds and without what only adds arms: what one ticket follows from."""
    search = {key: value for key, value in resolved["search"].items() if key not in ONLY_ARMS}
    return {**{key: value for key, value in resolved.items() if key != "verdict"}, "search": search}


def run_identity(resolved: Mapping[str, Any], root: str | None = None) -> str:
    """What names a run: SHA-256 of its resolved recipe at the start, without what lets it grow.

    ``root``: what its seeds follow from, where they do (`gentickets.recipe.meaning.seeds_from`).
    """
    told = without_arms(resolved)
    return _sha256(told if root is None else {**told, "seeds_from": root})


def declared(recipe: Recipe) -> dict[str, Any]:
    """The claim of a recipe as it is declared: every key of [claim] that says something, levels and controls written
    out, and ``seeds``.

    Raises TicketError for a recipe without [claim].
    """
    resolved = recipe.resolved()
    if resolved.get("claim") is None:
        raise TicketError("the recipe declares no claim; add a [claim] section")
    return {**resolved["claim"], "controls": list(declared_controls(recipe)), "seeds": declared_seeds(recipe)}


def edition_of(record: Mapping[str, Any]) -> int | None:
    """By which edition's rule a run's claim is judged, as its record (what `run.json` holds) has it.

    None where the run declared no claim at its start: it has none, explores, or was started by a version that stored
    none.
    """
    claim = record.get("claim")
    return None if claim is None else int(claim.get("edition", 1))


def has_explored(record: Mapping[str, Any]) -> bool:
    """Whether a run is one of `find --explore`, which gets no verdict."""
    return bool(record.get("explored", False))


def seeds_by_hand(record: Mapping[str, Any]) -> bool:
    """Whether the seeds of a run with a claim were chosen by hand; those of the first edition always were."""
    return edition_of(record) is not None and record["recipe"].get("seed", 0) is not None


def task_and_data(resolved: Mapping[str, Any]) -> str:
    """A fingerprint of what a resolved recipe's networks and images are: SHA-256 (hex) of its [task] and [data]."""
    data = {key: resolved["data"].get(key) for key in ("name", "folder", "size", "channels", "valid")}
    return _sha256({"task": resolved["task"], "data": data})


def recipe_of_record(record: Mapping[str, Any], *, where: str, name: str = "recipe", text: str = "") -> Recipe:
    """The recipe of a run as its record has it, with what it declared; TicketError (status 3) where it is none."""
    recipe = stored_recipe(record["recipe"], where=where, name=name, text=text)
    return recipe.exploring() if has_explored(record) else recipe.of_run(record.get("claim"))


def claim_record(recipe: Recipe, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What `run.json` holds of a claim: what is ``declared``, its ``hash``, and the numbers of ``seeds`` asked for.

    ``before``: the record of the run until now, which keeps what it declared and goes on with more seeds.
    """
    if before is not None and before.get("edition", 1) == 1:
        return _first_edition(recipe.resolved(), before)
    seeds = recipe.search.seeds
    recipe = recipe.of_run(before or recipe.claimed)
    asked = [declared_seeds(recipe)] if before is None else before["seeds"]
    told = {"declared": declared(recipe), "edition": EDITION, "hash": claim_hash(recipe)}
    told["seeds"] = asked if asked[-1:] == [seeds] else [*asked, seeds]
    return told | {key: recipe.claimed[key] for key in ("seeds_from",) if key in recipe.claimed}


def check_declared(record: Mapping[str, Any]) -> bool:
    """Whether a run's record (what `run.json` holds) has the claim that it declared at its start.

    False for a run without one: it has no [claim], explores, or was started by a version that did not store it. Raises
    TicketError (status 3) where what is stored does not fit the run's recipe, its seeds or its hash.
    """
    stored = record.get("claim")
    if stored is None:
        return False
    try:
        if not isinstance(stored, Mapping):
            raise TypeError("it is no table")
        told, asked, digest = dict(stored["declared"]), list(stored["seeds"]), str(stored["hash"])
        recipe, first = record["recipe"], told["seeds"]
        found, fitting = _found(recipe, stored)
        grown = asked == sorted(set(asked)) and asked[:1] == [first] and asked[-1:] == [recipe["search"]["seeds"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TicketError(f"run.json is damaged: its record of the claim: {error!r}", Status.TICKET) from error
    changed = [f"{key}: {told.get(key)!r} -> {value!r}" for key, value in found.items() if told.get(key) != value]
    if changed or not grown or digest != fitting:
        seeds = "" if grown else f"; seeds asked for {asked}, declared {first}"
        what = ", ".join(changed) or "its hash does not fit the recipe"
        message = f"run.json was changed after the run began: the claim is not the declared one ({what}{seeds})"
        raise TicketError(f"{message}; start another run", Status.TICKET)
    return True


def _found(resolved: Mapping[str, Any], stored: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """What a recipe declares, and its hash, by the edition of the record that is stored of it."""
    if (edition := stored.get("edition", 1)) == 1:
        seeds = stored["declared"]["seeds"]
        return _declared_first(resolved, seeds), _first_hash(resolved, seeds)
    if edition != EDITION:
        raise ValueError(f"edition {edition} of claims; this version knows {EDITION}: upgrade gentickets")
    try:
        recipe = recipe_from(resolved).of_run(stored)
    except TicketError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    return declared(recipe), claim_hash(recipe)


def _first_edition(resolved: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a claim of the first edition whose run goes on with more seeds."""
    seeds, first, asked = resolved["search"]["seeds"], before["declared"]["seeds"], before["seeds"]
    asked = asked if asked[-1:] == [seeds] else [*asked, seeds]
    return {"declared": _declared_first(resolved, first), "hash": _first_hash(resolved, first), "seeds": asked}


def _first_hash(resolved: Mapping[str, Any], seeds: int) -> str:
    about = {key: value for key, value in without_arms(resolved).items() if key != "claim"}
    return _sha256({"declared": _declared_first(resolved, seeds), "recipe": about})


def _declared_first(resolved: Mapping[str, Any], seeds: int) -> dict[str, Any]:
    return {**{key: resolved["claim"][key] for key in DECLARED}, "seeds": seeds}


def _sha256(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
