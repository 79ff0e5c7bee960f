"""Search around a loop of one's own: the same rounds as the engine's, whatever the loop does."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import gentickets
from gentickets import Batches, Optim, Plan, Search, TicketError, Training, iterative
from gentickets.data import load
from gentickets.loops import Round
from gentickets.masks import full_mask
from gentickets.seeds import derive
from gentickets.tasks import Autoencoder
from gentickets.tickets import state_of

STEPS, REWIND = 24, 6
Loop = Callable[[Search, Any], None]


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 12))


def data(n: int = 40) -> TensorDataset:
    return TensorDataset(torch.randn(n, 12, generator=torch.Generator().manual_seed(3)))


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def run(search: Search, model: nn.Module, optimizer: Any, loader: Any, after: Any = None) -> list[dict[str, Tensor]]:
    """A plain loop with noise of its own; the trained weights of each round."""
    found = []
    for round in search:
        for _, (x,) in round.steps(loader, total=STEPS):
            optimizer.zero_grad()
            (model(x + 0.1 * torch.randn_like(x)) - x).square().mean().backward()
            optimizer.step()
            if after is not None:
                after()
        round.record(error=(model(x) - x).square().mean())
        found.append(weights_of(model))
    return found


def test_the_rounds_are_those_of_the_engine_bit_for_bit() -> None:
    images = load("digits", size=8).train
    batches = Batches(images, 32, seed=5)
    plan = Plan(Optim("adam", lr=2e-3), gentickets.Schedule("constant", steps=STEPS))
    torch.manual_seed(1)
    task = Autoencoder(images.shape, latent=4)
    mine = copy.deepcopy(task)
    tickets, trained = [], []
    for ticket in iterative(Training(task, plan), batches, rounds=2, keep=0.7, rewind_to=REWIND, seed=9):
        tickets.append(ticket)
        trained.append(weights_of(task))

    optimizer = torch.optim.Adam(mine.parameters(), lr=2e-3, fused=True)
    search = Search(dict(mine.named_children()), optimizer, rounds=2, keep=0.7, rewind_to=REWIND, seed=9)
    mine.train()
    rng = torch.Generator()
    for round in search:
        for step, batch in round.steps(batches, total=STEPS):
            draw = mine.draw(len(batch), rng.manual_seed(derive(9, "draw", step)))
            optimizer.zero_grad()
            mine.objectives()[0].value(batch, draw).backward()
            optimizer.step()
        made = search.ticket(round)
        assert made.mask.distance(tickets[round.number].mask) == 0
        assert equal(dict(made.weights), dict(tickets[round.number].masked_weights()))
        assert equal(weights_of(mine), trained[round.number])
        round.record(loss=0.0)
    assert len(search.records) == 3


class StoppedError(Exception):
    """Where a training is cut off."""


def parts(**options: Any) -> tuple[Search, nn.Module, torch.optim.Optimizer]:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return Search(model, optimizer, rounds=2, keep=0.6, rewind_to=REWIND, **options), model, optimizer


def shuffling(**options: Any) -> DataLoader[Any]:
    return DataLoader(data(), batch_size=8, shuffle=True, **options)


@pytest.mark.parametrize("own", [False, True], ids=["global generator", "own generator"])
def test_every_round_sees_the_batches_and_random_numbers_of_the_dense_one(own: bool) -> None:
    """Round by round by hand: the loop again from the kept state, with the mask multiplied in after each step."""
    search, model, optimizer = parts()
    loader = shuffling(generator=torch.Generator().manual_seed(4) if own else None)
    torch.manual_seed(7)
    seen: dict[int, list[Tensor]] = {}
    for round in search:
        for step, (x,) in round.steps(loader, total=STEPS):
            noise = torch.randn(3)
            seen.setdefault(round.number, []).append(torch.cat([x.flatten(), noise]))
            optimizer.zero_grad()
            (model(x) - x).square().mean().backward()
            optimizer.step()
            assert step == len(seen[round.number]) - 1 + (REWIND if round.number else 0)
        torch.randn(round.number + 1)  # an evaluation draws, too
    for number in (1, 2):
        assert len(seen[number]) == STEPS - REWIND
        assert all(torch.equal(one, other) for one, other in zip(seen[number], seen[0][REWIND:], strict=True))
    assert not search._course.differing


def test_a_round_starts_at_the_kept_weights_and_pruned_ones_stay_zero() -> None:
    search, model, optimizer = parts()
    torch.manual_seed(7)
    kept: dict[str, Tensor] = {}
    for round in search:
        for step, (x,) in round.steps(shuffling(), total=STEPS):
            if step == REWIND:
                kept = kept or weights_of(model)
                for name, value in weights_of(model).items():
                    mask = round.mask.get(name, torch.ones_like(value, dtype=torch.bool))
                    assert torch.equal(value, torch.where(mask, kept[name], torch.zeros_like(value))), name
            optimizer.zero_grad()
            (model(x) - x).square().mean().backward()
            optimizer.step()
        for name, mask in round.mask.items():
            assert not model.get_parameter(name)[~mask].any()
    densities = [mask.density for mask in search.masks]
    assert densities == pytest.approx([1.0, 0.6, 0.36], abs=0.002)
    assert all(not bool((search.masks[2][name] & ~search.masks[1][name]).any()) for name in search.masks[1])


def stateful_parts(seed: int = 0) -> tuple[Search, nn.Module, torch.optim.Optimizer, Any, Any]:
    model = network(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=STEPS + 1)
    average = torch.optim.swa_utils.AveragedModel(model, use_buffers=True)
    search = Search(model, optimizer, scheduler, rounds=2, keep=0.6, rewind_to=REWIND, averages=[average])
    return search, model, optimizer, scheduler, average


def test_schedulers_momentum_and_averages_are_rewound() -> None:
    search, model, optimizer, scheduler, average = stateful_parts()
    torch.manual_seed(7)
    rates: dict[int, list[float]] = {}
    starts: dict[int, dict[str, Tensor]] = {}

    for round in search:
        for step, (x,) in round.steps(shuffling(), total=STEPS):
            rates.setdefault(round.number, []).append(optimizer.param_groups[0]["lr"])
            if step == REWIND:
                starts[round.number] = {n: v.clone() for n, v in average.module.state_dict().items()}
                moments = [slot["momentum_buffer"] for slot in optimizer.state.values()]
                assert all(moment.any() for moment in moments)
            optimizer.zero_grad()
            (model(x) - x).square().mean().backward()
            optimizer.step()
            scheduler.step()
            average.update_parameters(model)
        for name, mask in round.mask.items():
            assert not average.module.get_parameter(name)[~mask].any()
    assert rates[1] == rates[2] == rates[0][REWIND:]
    for name, value in starts[0].items():
        mask = search.masks[1].get(name, torch.ones_like(value, dtype=torch.bool))
        assert torch.equal(starts[1][name], torch.where(mask, value, torch.zeros_like(value))), name


@pytest.mark.parametrize("cut", [(0, 3), (0, REWIND), (0, 15), (1, 9), (2, STEPS - 1)])
def test_a_search_goes_on_inside_a_round_to_the_same_bits(cut: tuple[int, int]) -> None:
    def go(search: Search, *others: Any, stop: bool) -> list[dict[str, Tensor]]:
        model, optimizer, scheduler, average = others
        found = []
        for round in search:
            for step, (x,) in round.steps(loader, total=STEPS):
                optimizer.zero_grad()
                (model(x + 0.1 * torch.randn_like(x)) - x).square().mean().backward()
                optimizer.step()
                scheduler.step()
                average.update_parameters(model)
                if stop and (round.number, step) == cut:
                    torch.save(search.state_dict(), stored)
                    raise StoppedError
            round.record(error=(model(all_of) - all_of).square().mean())
            found.append({**weights_of(model), **{f"ema.{n}": v for n, v in weights_of(average).items()}})
        return found

    loader, all_of = shuffling(), data().tensors[0]
    stored = io.BytesIO()
    torch.manual_seed(7)
    whole = stateful_parts()
    torch.manual_seed(7)
    expected = go(*whole, stop=False)
    torch.manual_seed(7)
    first = stateful_parts()
    torch.manual_seed(7)
    with pytest.raises(StoppedError):
        go(*first, stop=True)
    again = stateful_parts(seed=99)
    torch.manual_seed(1234)
    stored.seek(0)
    again[0].load_state_dict(torch.load(stored, weights_only=True))
    found = go(*again, stop=False)
    assert all(equal(a, b) for a, b in zip(found, expected[-len(found) :], strict=True))
    assert again[0].records == whole[0].records
    assert len(found) == 3 - cut[0]


def test_micro_batches_and_skipped_steps_are_no_steps() -> None:
    search, model, optimizer = parts()
    batches, steps = 0, []
    for round in search:
        for step, (x,) in round.steps(shuffling(), total=STEPS):
            batches += 1
            steps.append(step)
            if batches % 3 == 1:
                started = step in (0, REWIND) and (step == 0 or round.number > 0)
                assert all((weight.grad is None) == started for weight in model.parameters()), "left over"
                optimizer.zero_grad()
            (model(x) - x).square().mean().backward()
            if batches % 3 == 0:
                optimizer.step()
    assert batches == 3 * (STEPS + 2 * (STEPS - REWIND))
    assert steps[:7] == [0, 0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
def test_a_step_that_a_scaler_skips_does_not_count(fused: bool) -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    search = Search(model, optimizer, scaler, rounds=1, keep=0.5, rewind_to=REWIND)
    batches = 0
    scales: dict[int, list[float]] = {}
    for round in search:
        for step, (x,) in round.steps(shuffling(), total=STEPS):
            if step == REWIND:
                scales.setdefault(round.number, []).append(scaler.get_scale())
            loss = (model(x) - x).square().mean()
            batches += 1
            if batches in (3, 10):
                loss = loss * float("inf")
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    assert batches == STEPS + 2 + (STEPS - REWIND)
    assert scales[0][0] == scales[1][0] == 2.0**9  # halved once before the step that is kept


def test_a_gan_with_two_optimizers_and_an_average_of_one_network() -> None:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 12))
    critic = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 1))
    average = torch.optim.swa_utils.AveragedModel(generator)
    ours, theirs = (torch.optim.Adam(one.parameters(), lr=1e-3) for one in (generator, critic))
    search = Search(
        {"generator": generator, "critic": critic}, [ours, theirs], rounds=2, keep=0.5, rewind_to=3,
        averages={"generator": average},
    )  # fmt: skip
    for round in search:
        for _, (x,) in round.steps(shuffling(), total=9):
            theirs.zero_grad()
            (critic(generator(torch.randn(8, 4)).detach()) - critic(x)).mean().backward()
            theirs.step()
            ours.zero_grad()
            (-critic(generator(torch.randn(8, 4)))).mean().backward()
            ours.step()
            average.update_parameters(generator)
    last = search.masks[-1]
    assert last.of("generator").density == pytest.approx(0.25, abs=0.01)
    assert last.of("critic").density == pytest.approx(0.25, abs=0.01)
    for name, mask in last.items():
        component, _, own = name.partition(".")
        assert not {"generator": generator, "critic": critic}[component].get_parameter(own)[~mask].any()
    assert not average.module.get_parameter("0.weight")[~last["generator.0.weight"]].any()


def test_a_compiled_network_is_the_network_itself() -> None:
    model = network()
    compiled = torch.compile(model, backend="eager")
    optimizer = torch.optim.Adam(compiled.parameters(), lr=1e-2)
    search = Search(compiled, optimizer, rounds=1, keep=0.5, rewind_to=REWIND)
    run(search, compiled, optimizer, shuffling())
    assert set(search.masks[1]) == {"0.weight", "4.weight"}
    assert not model[0].weight[~search.masks[1]["0.weight"]].any()


def test_a_loader_that_cannot_be_replayed_is_named() -> None:
    class Drawing(torch.utils.data.IterableDataset[Tensor]):
        def __init__(self) -> None:
            self.rng = torch.Generator().manual_seed(0)

        def __iter__(self) -> Iterator[Tensor]:
            for _ in range(40):
                yield torch.randn(12, generator=self.rng)

    search, model, optimizer = parts()
    for round in search:
        for _, x in round.steps(DataLoader(Drawing(), batch_size=8), total=STEPS):
            optimizer.zero_grad()
            (model(x) - x).square().mean().backward()
            optimizer.step()
    assert search._course.differing == {1: 0, 2: 0}
    assert "Round 1 did not see the dense round's batches again" in search.table().title
    assert "no verdict" in search.table().title


def test_the_table_and_the_tickets(tmp_path: Path) -> None:
    search, model, optimizer = parts()
    run(search, model, optimizer, shuffling())
    table = search.table()
    assert list(table.columns) == ["round", "sparsity", "steps", "error"]
    assert [row[:3] for row in table.rows] == [
        ["dense", "0.0 %", "24"], ["round 1", "39.9 %", "24"], ["round 2", "64.1 %", "24"],
    ]  # fmt: skip
    search.save(tmp_path / "found")
    ticket, recipe = gentickets.read_ticket(tmp_path / "found" / "round-2" / "ticket.safetensors")
    assert recipe is None
    assert ticket.origin.rewind_to == REWIND
    assert ticket.mask.distance(search.masks[2]) == 0
    assert "optimizer/0.weight/exp_avg" in ticket.optim
    fresh = network(5)
    ticket.load_into(fresh)
    assert equal(weights_of(fresh), search.ticket(2).masked_weights())


def wrong(search: Search, model: nn.Module, optimizer: Any, how: str) -> None:
    loader: Any = {"generator": (one for one in shuffling()), "empty": []}.get(how, shuffling())
    for round in search:
        total = STEPS + round.number if how == "unequal" else 3 if how == "short" else STEPS
        for _, (x,) in round.steps(loader, total=total):
            if how != "never steps":
                optimizer.zero_grad()
                (model(x) - x).square().mean().backward()
                optimizer.step()
            if how == "twice":
                optimizer.step()
            if how == "left":
                break


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("unequal", "round 1 has total = 25, but the first had 24"),
        ("short", "end before rewind_to = 6"),
        ("generator", "it can be iterated only once"),
        ("empty", "it is empty"),
        ("never steps", "1,000 batches without a step"),
        ("twice", "2 optimizer steps were made of one batch"),
        ("left", "round 0 made 1 of 24 steps"),
    ],
)
def test_what_would_make_rounds_unequal_is_an_error(how: str, said: str) -> None:
    with pytest.raises(TicketError, match=said):
        wrong(*parts(), how)


def test_what_cannot_be_rewound_is_refused_before_anything_trains() -> None:
    model, other = network(), network()
    both = torch.optim.Adam([*model.parameters(), *other.parameters()])
    with pytest.raises(TicketError, match="6 parameters that are in no network given to Search"):
        Search(model, both, rounds=1)
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(TicketError, match="cannot rewind a int"):
        Search(model, optimizer, 3, rounds=1)
    norm = nn.LayerNorm(3)
    with pytest.raises(TicketError, match="no prunable weights"):
        Search(norm, torch.optim.Adam(norm.parameters()), rounds=1)
    with pytest.raises(TicketError, match="rounds must be 1 or more"):
        Search(model, optimizer, rounds=0)
    with pytest.raises(TicketError, match="averages is a dict"):
        Search({"a": model, "b": other}, both, rounds=1, averages=[copy.deepcopy(model)])
    with pytest.raises(TicketError, match="not a list"):
        Search([model], optimizer, rounds=1)  # type: ignore[arg-type]
    round = next(iter(Search(model, optimizer, rounds=1)))
    with pytest.raises(TicketError, match="steps needs a DataLoader"):
        next(round.steps(3, total=5))


def test_a_state_of_another_search_is_refused() -> None:
    search, *_ = parts()
    with pytest.raises(TicketError, match="this one has"):
        search.load_state_dict({**search.state_dict(), "asked": [3, 0.5, 1, 0]})
    with pytest.raises(TicketError, match="no state of a Search"):
        search.load_state_dict({})
    with pytest.raises(TicketError, match="no ticket of round 0 yet"):
        search.ticket(0)


def test_buffers_that_no_state_dict_holds_are_rewound() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()
            self.register_buffer("seen", torch.zeros(()), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            self.seen += 1  # type: ignore[operator]
            return self.net(x)  # type: ignore[no-any-return]

    model = Counting()
    optimizer = torch.optim.Adam(model.parameters())
    search = Search(model, optimizer, rounds=1, rewind_to=REWIND)
    ends = []
    for round in search:
        for _, (x,) in round.steps(shuffling(), total=STEPS):
            model(x).square().mean().backward()
            optimizer.step()
        ends.append(float(model.seen))
    assert ends == [STEPS, STEPS]


def test_dense_masks_are_those_of_the_prunable_set() -> None:
    search, model, _ = parts(exempt=["4.*"])
    assert set(search.masks[0]) == {"0.weight"} == set(full_mask(model, exempt=["4.*"]))
    assert isinstance(search, Search)
    assert "0 of 3 rounds done" in repr(search)
    assert set(state_of(model)) >= set(search.masks[0])
    assert Round.__name__ == "Round"
