"""Ways to search besides the iterative one: at the start, in one shot, one player alone, and where ties decide."""

from __future__ import annotations

import pytest
import torch
from helpers import REWIND, make_task, make_training

from gentickets.criteria import CRITERIA, magnitude, random
from gentickets.data import Batches
from gentickets.errors import TicketError
from gentickets.masks import erk, full_mask
from gentickets.search import at_start, beside, first_ticket, iterative, next_ticket, pruned, ticket_at_start
from gentickets.tickets import copied, state_of
from gentickets.training import grow


def test_at_start_scores_the_weights_that_are_trained(batches: Batches) -> None:
    """Trap 32: the mask is the magnitudes' of the very weights in the ticket."""
    training = make_training("vae-mlp")
    before = copied(state_of(training.task))
    ticket = at_start(training, batches, density=0.3, criterion=magnitude)
    assert ticket.origin.method == "at_start"
    assert ticket.origin.rewind_to == 0
    for name, kept in ticket.mask.items():
        assert torch.equal(ticket.weights[name][kept], before[name][kept])
        assert not ticket.weights[name][~kept].any()
    encoder = torch.cat([before[name].abs()[kept] for name, kept in ticket.mask.items() if name.startswith("enc")])
    gone = torch.cat([before[name].abs()[~kept] for name, kept in ticket.mask.items() if name.startswith("enc")])
    assert encoder.min() >= gone.max()


def test_at_start_after_a_warm_up_starts_there(batches: Batches) -> None:
    training = make_training("gan-mlp")
    dense = first_ticket(training, batches, rewind_to=REWIND)
    warm = at_start(make_training("gan-mlp"), batches, density=0.5, criterion=CRITERIA["snip"], rewind_to=REWIND)
    assert warm.origin.rewind_to == REWIND
    assert all(torch.equal(warm.weights[name][kept], dense.weights[name][kept]) for name, kept in warm.mask.items())
    assert warm.optim.keys() == dense.optim.keys()


def test_cuts_go_down_exponentially_with_the_mask_in_place(batches: Batches) -> None:
    """Each cut sees the survivors of those before, and the last one's count is exact."""
    training = make_training("ae-mlp")
    dense = first_ticket(training, batches, rewind_to=0)
    seen: list[float] = []

    def counting(task, some, seed):  # type: ignore[no-untyped-def]
        weights = {name: weight for name, weight in task.named_parameters() if name in dense.mask}
        kept = sum(int(weight.count_nonzero()) for weight in weights.values())
        seen.append(kept / dense.mask.total)
        return magnitude(task, some, seed)

    ticket = ticket_at_start(training, dense, density=0.3, criterion=counting, cuts=4)
    assert seen == pytest.approx([1.0, *(0.3 ** (cut / 4) for cut in (1, 2, 3))], abs=2e-3)
    assert ticket.mask.kept == pytest.approx(0.3 * dense.mask.total, abs=2)


def test_one_cut_and_many_are_the_same_for_magnitudes(batches: Batches) -> None:
    """Magnitudes do not change by pruning, so that cuts must not matter: an independent check of the loop."""
    masks = [
        at_start(make_training("ae-conv"), batches, density=0.2, criterion=magnitude, cuts=cuts).mask for cuts in (1, 7)
    ]
    assert masks[0].distance(masks[1]) == 0


def test_one_shot_is_a_round_from_the_dense_run(batches: Batches) -> None:
    training = make_training("vae-mlp")
    dense = first_ticket(training, batches, rewind_to=REWIND)
    grow(training, dense, batches, seed=0)
    trained = copied(state_of(training.task))
    shot = next_ticket(training, dense, density=0.8**5, round=5)
    assert shot.origin.round == 5
    inside = [name for name in shot.mask if name.startswith("decoder")]
    kept = torch.cat([trained[name].abs()[shot.mask[name]] for name in inside])
    assert len(kept) == int(0.8**5 * sum(trained[name].numel() for name in inside) + 0.5)
    assert kept.min() >= max(trained[name].abs()[~shot.mask[name]].max() for name in inside)


def test_erk_gives_each_tensor_its_density() -> None:
    task = make_task("vae-conv")
    within = full_mask(task)
    mask, _ = pruned(task, within, 0.3, random, "erk", 5)
    wanted = erk(within, 0.3)
    for name, kept in mask.items():
        assert mask.kept_in(name) == int(wanted[name] * kept.numel() + 0.5)
    assert mask.density == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("other", ["rewound", "fresh", "trained"])
def test_what_the_other_player_starts_from(other: str, batches: Batches) -> None:
    training = make_training("gan-conv")
    dense = first_ticket(training, batches, rewind_to=REWIND, components=["generator"])
    grow(training, dense, batches, seed=0)
    trained = copied(state_of(training.task))
    fresh = copied(state_of(make_task("gan-conv", 77)))
    ticket = next_ticket(training, dense, density=0.5, other=other, fresh=fresh)
    source = {"rewound": dense.weights, "fresh": fresh, "trained": trained}[other]
    for name, value in ticket.weights.items():
        if name.startswith("discriminator"):
            assert torch.equal(value, source[name])
        elif name in ticket.mask:
            kept = ticket.mask[name]
            assert torch.equal(value[kept], dense.weights[name][kept]), "the pruned one is rewound in each case"
    moments = {key.split("/")[1].split(".")[0] for key in ticket.optim}
    assert moments == ({"generator", "discriminator"} if other == "rewound" else {"generator"})
    grow(training, ticket, batches, seed=0)  # and it trains


def test_fresh_needs_weights(batches: Batches) -> None:
    training = make_training("gan-mlp")
    dense = first_ticket(training, batches, rewind_to=0, components=["generator"])
    with pytest.raises(TicketError, match="needs the weights of a fresh network"):
        next_ticket(training, dense, density=0.5, other="fresh")
    with pytest.raises(TicketError, match="unknown start of the other components 'rewind'"):
        next_ticket(training, dense, density=0.5, other="rewind")


def test_beside_changes_nothing_where_all_is_pruned(batches: Batches) -> None:
    dense = first_ticket(make_training("gan-mlp"), batches, rewind_to=REWIND)
    mixed = beside(dense, {})
    assert all(mixed.weights[name] is value for name, value in dense.weights.items())
    assert mixed.optim.keys() == dense.optim.keys()


def test_a_clipped_critic_ties_and_the_ticket_says_so(batches: Batches) -> None:
    """Trap 11a: clipping puts many of the critic's weights at the clip, where magnitude says nothing."""
    training = make_training("wgan-mlp", steps=60, optimizer="rmsprop")
    for turn in training.turns:
        turn.optim = type(turn.optim)(turn.optim.name, lr=0.02)
    training.task.clip = 0.02  # type: ignore[assignment]
    tickets = list(iterative(training, batches, rounds=1, keep=0.3))
    tied = tickets[1].origin.tied
    assert tied["discriminator"] > 0.05
    assert tied.get("generator", 0) < 0.01, "an ordinary network has no ties to speak of"
    assert not tickets[0].origin.tied


def test_ties_are_broken_by_a_hash_and_not_by_position() -> None:
    """Trap 11a: where all scores are equal, every part of a tensor keeps its share."""
    task = make_task("vae-mlp")

    def flat(task, batches, seed):  # type: ignore[no-untyped-def]
        return {name: torch.ones_like(weight) for name, weight in task.named_parameters() if name in full_mask(task)}

    mask, tied = pruned(task, full_mask(task), 0.5, flat, "layer")
    assert set(tied.values()) == {1.0}
    largest = max(mask.values(), key=torch.Tensor.numel).flatten()
    half = largest.numel() // 2
    assert abs(float(largest[:half].float().mean()) - 0.5) < 0.1
