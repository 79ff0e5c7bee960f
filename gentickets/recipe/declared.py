"""The claim that a run declares at its start, with a hash, so that it can be told from one that was chosen afterwards.

The hash (SHA-256, in hex) is over the declared claim, and over the resolved recipe without its number of seeds and
without what only adds arms: a run may be given those later, and the claim stays what it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gentickets.errors import Status, TicketError
from gentickets.recipe.schema import Recipe

ONLY_ARMS = ("seeds", "controls", "control_rounds", "longer", "scaling", "budget")
"""Keys of [search] that add seeds or arms, and change none that is there."""
DECLARED = ("metric", "margin", "level", "alpha", "sparsities", "looks")
"""Keys of [claim], all of which are declared, beside the number of seeds."""


def without_arms(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved recipe without its number of seeds and without what only adds arms: what one ticket follows from."""
    search = {key: value for key, value in resolved["search"].items() if key not in ONLY_ARMS}
    return {**{key: value for key, value in resolved.items() if key != "verdict"}, "search": search}


def run_identity(resolved: Mapping[str, Any]) -> str:
    """What names a run: SHA-256 of its resolved recipe at the start, without what lets it grow."""
    told = json.dumps(without_arms(resolved), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


def declared(recipe: Recipe) -> dict[str, Any]:
    """The claim of a recipe as it is declared: every key of [claim], its levels written out, and ``seeds``.

    Raises TicketError for a recipe without [claim].
    """
    return _declared(recipe.resolved(), recipe.search.seeds)


def claim_hash(resolved: Mapping[str, Any], seeds: int | None = None) -> str:
    """SHA-256 of the claim that a resolved recipe declares, and of what it is about.

    ``seeds``: the number that was declared, where the recipe asks for more by now; none: the recipe's.
    """
    about = {key: value for key, value in without_arms(resolved).items() if key != "claim"}
    told = {"declared": _declared(resolved, seeds or resolved["search"]["seeds"]), "recipe": about}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def claim_record(resolved: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What `run.json` holds of a claim: what is ``declared``, its ``hash``, and the numbers of ``seeds`` asked for.

    ``before``: the record of the run until now, which keeps what it declared and goes on with more seeds.
    """
    seeds: int = resolved["search"]["seeds"]
    first, asked = (seeds, []) if before is None else (before["declared"]["seeds"], before["seeds"])
    asked = asked if asked[-1:] == [seeds] else [*asked, seeds]
    return {"declared": _declared(resolved, first), "hash": claim_hash(resolved, first), "seeds": asked}


def check_declared(record: Mapping[str, Any]) -> bool:
    """Whether a run's record (what `run.json` holds) has the claim that it declared at its start.

    False for a run without one: it has no [claim], or was started by a version that did not store it. Raises
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
        found = _declared(recipe, first)
        grown = asked == sorted(set(asked)) and asked[:1] == [first] and asked[-1:] == [recipe["search"]["seeds"]]
        fits = digest == claim_hash(recipe, first)
    except (KeyError, TypeError, ValueError) as error:
        raise TicketError(f"run.json is damaged: its record of the claim: {error!r}", Status.TICKET) from error
    changed = [f"{key}: {told.get(key)!r} -> {value!r}" for key, value in found.items() if told.get(key) != value]
    if changed or not grown or not fits:
        seeds = "" if grown else f"; seeds asked for {asked}, declared {first}"
        what = ", ".join(changed) or "its hash does not fit the recipe"
        message = f"run.json was changed after the run began: the claim is not the declared one ({what}{seeds})"
        raise TicketError(f"{message}; start another run", Status.TICKET)
    return True


def _declared(resolved: Mapping[str, Any], seeds: int) -> dict[str, Any]:
    claim = resolved.get("claim")
    if claim is None:
        raise TicketError("the recipe declares no claim; add a [claim] section")
    return {**{key: claim[key] for key in DECLARED}, "seeds": seeds}
