"""Tickets found before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gentickets.criteria import Criterion
from gentickets.data import Batches
from gentickets.heartbeat import beat
from gentickets.methods import AT_START
from gentickets.search.pruning import CRITERION_BATCHES, beside, pruned
from gentickets.search.rounds import first_ticket
from gentickets.seeds import derive
from gentickets.tasks import Batch
from gentickets.tickets import Tensors, Ticket, zeroed
from gentickets.training import Training, Watcher


def at_start(
    training: Training,
    batches: Batches,
    *,
    density: float,
    criterion: Criterion,
    cuts: int = 1,
    rewind_to: int = 0,
    optimizer_state: str = "rewound",
    scope: str = "component",
    components: Sequence[str] | None = None,
    exempt: Sequence[str] = (),
    seed: int = 0,
    score_batches: int = CRITERION_BATCHES,
    watch: Sequence[Watcher] = (),
) -> Ticket:
    """A ticket found before training (SNIP: Lee et al., 2019; GraSP: Wang et al., 2020; SynFlow: Tanaka et al., 2020).

    The weights that are scored are those that will be trained (Trap 32): the initialization, or the state of step
    ``rewind_to``. Train it with `grow`.
    """
    dense = first_ticket(
        training, batches, rewind_to=rewind_to, optimizer_state=optimizer_state, components=components, exempt=exempt,
        seed=seed, watch=watch,
    )  # fmt: skip
    some = batches.first(score_batches)
    return ticket_at_start(
        training, dense, density=density, criterion=criterion, cuts=cuts, scope=scope, seed=seed, batches=some
    )


def ticket_at_start(
    training: Training,
    dense: Ticket,
    *,
    density: float,
    criterion: Criterion,
    cuts: int = 1,
    scope: str = "component",
    seed: int = 0,
    batches: Sequence[Batch] = (),
    round: int = 1,
    fresh: Tensors | None = None,
) -> Ticket:
    """Prune a dense ticket's start, in ``cuts`` exponential cuts with the mask of those before in place.

    ``fresh``: weights for the components that are not pruned.
    """
    training.start(dense)
    mask, tied = dense.mask, dict(dense.origin.tied)
    for cut in range(1, cuts + 1):
        beat()
        seen = derive(seed, "criterion", round, cut)
        mask, tied = pruned(training.task, mask, density ** (cut / cuts), criterion, scope, seen, batches)
        Ticket(mask, dense.weights, dense.origin).load_into(training.task)
    origin = replace(dense.origin, method=AT_START, round=round, tied=tied)
    made = Ticket(mask, zeroed(dense.weights, mask), origin, dense.optim, constants=dense.constants)
    return made if fresh is None else beside(made, fresh)
