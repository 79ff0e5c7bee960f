"""Reports what dense, masked and compact networks cost, what the search did, and when a ticket has repaid it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gentickets.actions.break_even import SearchCost, search_cost_of
from gentickets.actions.locate import place_in_run, progress_of, recipe_of, resuming, ticket_at
from gentickets.actions.measure import Contender, Measured, measure
from gentickets.actions.train_ticket import Environment, networks_of, open_ticket
from gentickets.channels import compact, full_channels, keep_channels, random_channels, removable, without_dead
from gentickets.errors import Status, TicketError
from gentickets.experiment.assembly import Assembly, settle_device
from gentickets.experiment.plugin_errors import check_family
from gentickets.experiment.run import results_of
from gentickets.ledger import LevelCost, levels_of, lower_bound
from gentickets.recipe import load_recipe
from gentickets.recipe.meaning import seeds_of
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_ticket
from gentickets.seeds import derive
from gentickets.sparsity import share_to_say
from gentickets.tasks import Task
from gentickets.tickets import Ticket, state_of, weights_of

TRACED = 4
"""Images that networks are traced with."""
CHANNEL_WISE = 'tickets by channels are found with [search] method = "early_bird"'


@dataclass(frozen=True)
class Costs:
    """What `gentickets cost` reports."""

    about: dict[str, Any]
    networks: Sequence[Measured]
    """The dense one first."""
    spent: Sequence[SearchCost]
    notes: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **self.about,
            "networks": [network.as_dict(self.networks[0]) for network in self.networks],
            "levels": [spent.as_dict() for spent in self.spent],
            "notes": list(self.notes),
        }


def cost_of_recipe(
    name: str, environment: Environment, *, seconds: float, channels: float | None = None, multiple: int = 1
) -> Costs:
    """What a recipe's dense networks cost, and beside them with only a fraction of each group's channels."""
    recipe = load_recipe(name, plugins=environment.plugins)
    settle_device(environment.threads or 1)
    assembly = Assembly(
        recipe,
        root=environment.root,
        device=environment.device,
        plugins=environment.plugins,
        download=environment.download,
    )
    check_family(assembly)
    seed = next(iter(seeds_of(recipe).values()))
    dense = assembly.task(seed)
    contenders = [Contender("dense", dense)]
    if channels is not None:
        contenders.append(_thinned(dense, assembly, channels, multiple))
    measured = measure(contenders, assembly, seed=seed, seconds=seconds)
    return Costs(_about("recipe", name, assembly), measured, (), _notes(dense, measured))


def cost_of_ticket(path: Path, environment: Environment, *, seconds: float) -> Costs:
    """What a ticket costs beside the dense networks: masked, and without its dead channels; or compact, as it is.

    Where it lies in a run, what finding it cost follows from the run's results.
    """
    ticket, assembly = open_ticket(ticket_at(path), environment)
    levels: list[LevelCost] = []
    if (lies := place_in_run(ticket_at(path))) is not None and lies[2] == "ticket" and (lies[0] / "run.json").is_file():
        run = RunFolder(lies[0])
        recipe = recipe_of(run)
        levels = [level for level in levels_of(results_of(run, recipe), recipe)
                  if level.round == ticket.origin.round]  # fmt: skip
    return _costs("ticket", str(path), [ticket], levels, assembly, seconds)


def cost_of_run(path: Path, environment: Environment, *, seconds: float, every: bool = False) -> Costs:
    """What the tickets of a run cost: of the claim's level (without one, the sparsest), or of ``every`` level.

    Networks are those of the first seed that has finished the level; the search's cost is the mean over seeds.
    """
    run = RunFolder(path)
    recipe = recipe_of(run)
    if not recipe.prunes:
        raise TicketError(f"{path} is a sweep of widths: it has no ticket; give a recipe to see what its networks cost")
    results = results_of(run, recipe)
    levels = levels_of(results, recipe)
    if not levels:
        done, rounds = progress_of(run)
        unfinished = f"{done} of {rounds} rounds are done; go on with: {resuming(run)}"
        why = next((one.why for one in results if one.arm == "ticket" and one.why), None) if done == rounds else None
        raise TicketError(
            f"{path} has no finished ticket: {why or unfinished}", Status.FAILED if why else Status.REQUEST
        )
    notes = []
    if not every:
        wanted = next((level for level in levels if level.round == recipe.claim_round), levels[-1])
        if recipe.claim_round not in (None, wanted.round):
            notes.append(f"the claim's round {recipe.claim_round} is not finished; this is round {wanted.round}")
        levels = [wanted]
    places = [run.round(level.seeds[0], "ticket", level.round).ticket for level in levels]
    first, assembly = open_ticket(places[0], environment)
    tickets = [first, *(read_ticket(other)[0] for other in places[1:])]
    return _costs("run", str(path), tickets, levels, assembly, seconds, notes)


def _costs(
    kind: str, name: str, tickets: Sequence[Ticket], levels: Sequence[LevelCost], assembly: Assembly, seconds: float,
    notes: Sequence[str] = (),
) -> Costs:  # fmt: skip
    check_family(assembly)
    seed = tickets[0].origin.seed
    dense = assembly.task(seed)
    contenders, told = [Contender("dense", dense)], list(notes)
    for ticket in tickets:
        if ticket.mask.kept < ticket.mask.total or ticket.channels is not None:
            contenders += _networks(ticket, assembly, told)
    if len(contenders) == 1:
        told.append("this ticket is dense: nothing is pruned")
    measured = measure(contenders, assembly, seed=seed, seconds=seconds)
    starts = {ticket.origin.round: ticket.origin.rewind_to for ticket in tickets}
    used = {one.round: one for one in measured[1:]}  # of a round's networks the last: compact, where there is one
    spent = [
        search_cost_of(level, measured[0], used[level.round], assembly.recipe.train.steps, starts[level.round])
        for level in levels
        if level.round in used
    ]
    if not levels and len(contenders) > 1:
        told.append("what the search cost stands in the run that found it, and this ticket lies in none")
    return Costs(_about(kind, name, assembly), measured, spent, [*told, *_notes(dense, measured)])


def _networks(ticket: Ticket, assembly: Assembly, notes: list[str]) -> list[Contender]:
    """A ticket's networks: compact as it is, or masked, and beside it without its dead channels."""
    round, task = ticket.origin.round, networks_of(ticket, assembly)
    whole = assembly.task(ticket.origin.seed)
    share = share_to_say(weights_of(ticket, whole))
    if ticket.channels is not None:
        return [Contender("compact", task, ticket, round, 1 - ticket.channels.density, share)]
    sparsity = 1 - ticket.mask.density
    masked = Contender("masked", task, ticket, round, sparsity, share)
    ticket.load_into(whole)
    batch = torch.zeros(TRACED, *whole.image, device=whole.device)
    try:
        small, mask, channels = without_dead(whole, ticket.mask.to(whole.device), batch)
    except TicketError as error:
        notes.append(f"no compact network: {error}")
        return [masked]
    if channels.kept == channels.total:
        notes.append(f"at {100 * sparsity:.1f} % this ticket by weights has no dead channels to remove; {CHANNEL_WISE}")
        return [masked]
    made = Ticket(mask, state_of(small), ticket.origin, channels=channels)
    return [masked, Contender("compact", small, made, round, sparsity, share)]


def _thinned(task: Task, assembly: Assembly, fraction: float, multiple: int) -> Contender:
    """The task with a fraction of the channels of each group, at random: it costs the same whichever they are."""
    batch = torch.zeros(TRACED, *task.image, device=task.device)
    groups = removable(task, batch)
    everything = full_channels(groups)
    scores = {name: torch.arange(float(kept.numel())) for name, kept in everything.items()}
    chosen = keep_channels(scores, fraction, within=everything, scope="layer", multiple=multiple, seed=0)
    chosen = random_channels(chosen, derive(0, "cost"))
    return Contender("compact", compact(task, chosen, batch, groups=groups), sparsity=1 - chosen.density)


def _about(kind: str, name: str, assembly: Assembly) -> dict[str, Any]:
    return {
        kind: name,
        "device": str(assembly.device),
        "threads": torch.get_num_threads(),
        "batch_size": assembly.recipe.data.batch_size,
        "steps": assembly.recipe.train.steps,
        "precision": assembly.recipe.train.precision,
        "compile": assembly.recipe.train.compile,
    }


def _notes(task: Task, networks: Sequence[Measured]) -> list[str]:
    found = []
    if not task.can("sample") and task.can("reconstruct"):
        found.append("this family has no prior: a sample is an image rebuilt")
    timings = [timing for one in networks for timing in (one.step, one.sample) if timing is not None]
    if why := next((timing.unsteady for timing in timings if timing.unsteady), None):
        found.append(f"the seconds are unsteady ({why}); measure again on a quiet machine")
    if why := lower_bound(name for one in networks for names in one.uncounted.values() for name in names):
        found.append(f"{why}; register_flop_formula of torch.utils.flop_counter gives them one")
    return found
