"""What every search promises, over the product of families, criteria, scopes, optimizers and ways to rewind.

A new family, criterion or optimizer joins by being listed. The fast suite takes coverings of all pairs: families with
criteria are pruned at the start and trained a little, all other pairs go through a whole search. The whole product runs
with ``-m full``.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection

import pytest
import torch
from helpers import FAMILY_CASES, REWIND, STEPS, diagonal, make_training, product
from torch import Tensor

from gentickets.criteria import CRITERIA
from gentickets.data import Batches
from gentickets.errors import TicketError
from gentickets.masks import erk, keep_top, prunable
from gentickets.optimizers import OPTIMIZERS
from gentickets.search import REWINDS, at_start, first_ticket, iterative, next_ticket
from gentickets.tickets import Ticket, copied, state_of
from gentickets.training import Training, grow, train

ROUNDS, KEEP = 2, 0.6
AXES = {
    "case": tuple(FAMILY_CASES),
    "criterion": tuple(CRITERIA),
    "scope": ("layer", "component", "global"),
    "optimizer": OPTIMIZERS,
    "rewind": REWINDS,
}
REFUSED = {
    *(("wgan-mlp", name, "global") for name in ("magnitude", "grasp-abs")),
    ("gan-sngan", "grasp", "component"),
    ("gan-sngan", "grasp", "global"),
    ("gan-sngan", "grasp-abs", "global"),
    ("vae-resnet18", "grasp", "component"),
    ("vae-resnet18", "grasp", "global"),
    ("wgan-gp-resnet", "grasp", "component"),
    ("wgan-gp-resnet", "synflow", "component"),
    *(("wgan-gp-resnet", name, "global") for name in ("snip", "grasp", "grasp-abs", "synflow", "gradient")),
}
"""Where a layer of a few weights (a 1x1 shortcut, a last layer) may lose them all: refused by name (Trap 9)."""
REFUSED_AT_START = {("wgan-gp-resnet", "synflow", "component"), ("wgan-gp-resnet", "synflow", "global")}
"""The same, of an initialization."""
PRODUCT = list(itertools.product(*AXES.values()))


Row = tuple[str, ...]


def covering(rows: list[Row], apart: Collection[tuple[int, int]] = ()) -> list[Row]:
    """Few of the rows in which every pair of values of two axes stands together, but for pairs of axes ``apart``."""

    def pairs(row: Row) -> set[tuple[int, str, int, str]]:
        return {(i, row[i], j, row[j]) for i, j in itertools.combinations(range(len(row)), 2) if (i, j) not in apart}

    rows = list(rows)
    random.Random(0).shuffle(rows)
    missing = set().union(*(pairs(row) for row in rows))
    chosen = []
    while missing:
        best = max(rows, key=lambda row: len(pairs(row) & missing))
        chosen.append(best)
        missing -= pairs(best)
    return chosen


def search(row: Row, batches: Batches, seed: int = 0) -> tuple[Training, list[Ticket], list[dict[str, Tensor]]]:
    """Run a whole tiny search; the tickets, and what each grew into."""
    case, criterion, scope, optimizer, rewind = row
    training = make_training(case, seed, optimizer=optimizer)
    tickets, grown = [], []
    for ticket in iterative(
        training, batches, rounds=ROUNDS, keep=KEEP, rewind_to=REWIND, rewind=rewind, scope=scope,
        criterion=CRITERIA[criterion], seed=seed,
    ):  # fmt: skip
        tickets.append(ticket)
        grown.append(copied(state_of(training.task)))
    return training, tickets, grown


def check_promises(row: Row, batches: Batches) -> None:
    before = torch.get_rng_state()
    try:
        training, tickets, grown = search(row, batches)
    except TicketError as error:
        if row[:3] not in REFUSED or "would leave nothing of" not in str(error):
            raise
        assert torch.equal(torch.get_rng_state(), before)
        check_promises((*row[:2], "layer", *row[3:]), batches)
        return
    assert torch.equal(torch.get_rng_state(), before), "the global random state is left alone"
    assert [ticket.origin.round for ticket in tickets] == [0, 1, 2]
    weights = set(prunable(training.task))
    for round, (ticket, trained) in enumerate(zip(tickets, grown, strict=True)):
        assert set(ticket.mask) == weights, "one prunable set for all"
        assert not ticket.mask.emptied
        groups = {"layer": list(ticket.mask), "component": ticket.mask.components, "global": [""]}[row[2]]
        for group in groups:
            inside = [name for name in ticket.mask if name.startswith(group)]
            total = sum(ticket.mask[name].numel() for name in inside)
            kept = sum(ticket.mask.kept_in(name) for name in inside)
            assert kept == int(KEEP**round * total + 0.5), "exact counts"
        for name, kept in ticket.mask.items():
            assert not trained[name][~kept].any(), "pruned weights are zero after training"
            assert name in ticket.weights
            if round:
                assert not (kept & ~tickets[round - 1].mask[name]).any(), "pruned stays pruned"
        if round and row[4] == "weights":
            first = tickets[0].weights
            for name, value in ticket.weights.items():
                kept = ticket.mask[name] if name in ticket.mask else torch.ones_like(value, dtype=torch.bool)
                assert torch.equal(value[kept], first[name][kept]), "rewound bit for bit, buffers too"
        moved = [name for name in trained if not torch.equal(trained[name], ticket.weights[name])]
        assert any(name in weights for name in moved), "it trained"


def check_that_it_repeats(row: Row, batches: Batches) -> None:
    """The same call gives the same bits."""
    try:
        (_, tickets, grown), (_, again, regrown) = search(row, batches), search(row, batches)
    except TicketError:
        assert row[:3] in REFUSED
        return
    for one, other in zip(grown, regrown, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert all(one.mask.distance(other.mask) == 0 for one, other in zip(tickets, again, strict=True))


@pytest.mark.parametrize("row", covering(PRODUCT, apart={(0, 1)}), ids="/".join)
def test_promises_over_all_pairs(row: Row, batches: Batches) -> None:
    check_promises(row, batches)


@pytest.mark.parametrize("row", diagonal(*AXES.values()), ids="/".join)
def test_a_search_repeats_bit_for_bit(row: Row, batches: Batches) -> None:
    check_that_it_repeats(row if row[:3] not in REFUSED else (*row[:2], "layer", *row[3:]), batches)


TRIPLES = list(itertools.product(FAMILY_CASES, CRITERIA, (*AXES["scope"], "erk")))


def check_promises_at_start(row: Row, batches: Batches) -> None:
    case, criterion, scope = row
    training = make_training(case, steps=3)
    names, start, before = set(prunable(training.task)), copied(state_of(training.task)), torch.get_rng_state()
    settings = {"density": KEEP, "criterion": CRITERIA[criterion], "score_batches": 2}
    try:
        ticket = at_start(training, batches, scope=scope, **settings)
    except TicketError as error:
        if row not in REFUSED_AT_START or "would leave nothing of" not in str(error):
            raise
        training = make_training(case, steps=3)
        scope, ticket = "layer", at_start(training, batches, scope="layer", **settings)
    assert set(ticket.mask) == names
    assert not ticket.mask.emptied
    densities = erk(ticket.mask, KEEP) if scope == "erk" else dict.fromkeys(names, KEEP)
    groups = {"component": ticket.mask.components, "global": [""]}.get(scope, list(ticket.mask))
    for group in groups:
        inside = [name for name in ticket.mask if name.startswith(group)]
        total = sum(ticket.mask[name].numel() for name in inside)
        assert sum(map(ticket.mask.kept_in, inside)) == int(densities[inside[0]] * total + 0.5), "exact counts"
    assert all(torch.equal(ticket.weights[name][kept], start[name][kept]) for name, kept in ticket.mask.items())
    grow(training, ticket, batches, seed=0)
    trained = state_of(training.task)
    assert all(not trained[name][~kept].any() for name, kept in ticket.mask.items()), "pruned stays zero"
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("row", covering(TRIPLES), ids="/".join)
def test_promises_over_families_and_criteria(row: Row, batches: Batches) -> None:
    check_promises_at_start(row, batches)


@pytest.mark.full
@pytest.mark.parametrize("row", TRIPLES, ids="/".join)
def test_promises_over_families_criteria_and_scopes(row: Row, batches: Batches) -> None:
    check_promises_at_start(row, batches)


@pytest.mark.full
@pytest.mark.parametrize("row", PRODUCT, ids="/".join)
def test_promises_over_the_product(row: Row, batches: Batches) -> None:
    check_promises(row, batches)
    check_that_it_repeats(row, batches)


@pytest.mark.parametrize(("case", "optimizer"), product(FAMILY_CASES, OPTIMIZERS))
def test_resuming_in_the_middle_gives_the_same_bits(case: str, optimizer: str, batches: Batches) -> None:
    ema = {"decoder" if case.startswith(("ae", "vae", "tied")) else "generator": 0.9}

    training = make_training(case, optimizer=optimizer, ema=ema)
    dense = first_ticket(training, batches, rewind_to=REWIND)
    grow(training, dense, batches, seed=0)
    ticket = next_ticket(training, dense, density=0.4)
    grow(training, ticket, batches, seed=0)
    whole = training.snapshot(STEPS)
    reached = grow(training, ticket, batches, seed=0, watch=[lambda step, losses: step == 6])
    middle = training.snapshot(reached)
    fresh = make_training(case, seed=99, optimizer=optimizer, ema=ema)
    grow(fresh, ticket, batches, seed=0, since=middle)
    resumed = fresh.snapshot(STEPS)

    assert reached == 6
    for part in ("weights", "optim", "ema"):
        one, other = getattr(whole, part), getattr(resumed, part)
        assert set(one) == set(other)
        assert all(torch.equal(one[name], other[name]) for name in one), part


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_the_first_forward_after_a_rewind_is_masked(case: str, batches: Batches) -> None:
    training = make_training(case)
    dense = first_ticket(training, batches, rewind_to=REWIND)
    grow(training, dense, batches, seed=0)
    ticket = next_ticket(training, dense, density=0.3)
    seen: dict[str, bool] = {}

    def look(name: str):
        def hook(layer: torch.nn.Module, arguments: object) -> None:
            seen.setdefault(name, not layer.weight[~ticket.mask[name]].any())  # type: ignore[operator, index]

        return hook

    modules = dict(training.task.named_modules())
    for name in ticket.mask:
        path = name.removesuffix(".parametrizations.weight.original").removesuffix(".weight")
        modules[path].register_forward_pre_hook(look(name))
    grow(training, ticket, batches, seed=0)
    assert len(seen) == len(ticket.mask)
    assert all(seen.values())


@pytest.mark.parametrize("case", ["gan-mlp", "vae-conv"])
def test_a_component_that_is_not_pruned_stays_dense(case: str, batches: Batches) -> None:
    training = make_training(case)
    component = training.task.components[0]
    *_, ticket = iterative(training, batches, rounds=2, keep=0.5, components=[component])
    assert ticket.mask.components == [component]
    other = training.task.components[1]
    weights = {name: w for name, w in prunable(training.task).items() if name.startswith(other)}
    assert all(torch.count_nonzero(weight) == weight.numel() for weight in weights.values())


def test_exempt_layers_stay_dense(batches: Batches) -> None:
    training = make_training("vae-mlp")
    *_, ticket = iterative(training, batches, rounds=1, keep=0.3, exempt=["decoder.*"])
    assert ticket.mask.components == ["encoder"]


def test_one_shot_is_one_round(batches: Batches) -> None:
    training = make_training("ae-mlp")
    dense, ticket = iterative(training, batches, rounds=1, keep=0.2)
    assert dense.mask.density == 1
    assert ticket.mask.density == pytest.approx(0.2, abs=0.01)


def test_random_order_of_training_calls_does_not_matter(batches: Batches) -> None:
    """A step is a function of its number: two halves equal the whole."""
    whole, halves = make_training("gan-conv"), make_training("gan-conv")
    train(whole, batches, range(0, STEPS))
    train(halves, batches, range(0, 4))
    train(halves, batches, range(4, STEPS))
    one, other = whole.task.state_dict(), halves.task.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_mask_of_zeros_is_never_derived_from_weights() -> None:
    """Trap 5: a weight that happens to be zero is kept."""
    training = make_training("ae-mlp")
    name, weight = next(iter(prunable(training.task).items()))
    with torch.no_grad():
        weight.zero_()
    from gentickets.masks import full_mask

    assert full_mask(training.task)[name].all()
    within = full_mask(training.task)
    scores = {n: torch.ones_like(w) for n, w in prunable(training.task).items()}
    assert keep_top(scores, 1.0, within=within)[name].all()
