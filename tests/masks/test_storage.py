"""One notion of storage: what memory a tensor covers, in masks, states, tickets, averages, optimizers and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gentickets.accounting import dense_flops, layer_flops, masked_flops, step_flops
from gentickets.channels.group import twin
from gentickets.criteria import CRITERIA, lamp, magnitude
from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.export.plain import plain
from gentickets.masks import Mask, first_names, full_mask, hold, keep_top, masked_state_dict, prunable
from gentickets.optimizers import Schedule
from gentickets.portable import portable_of
from gentickets.runs.formats import read_ticket, write_ticket
from gentickets.search import first_ticket, next_ticket
from gentickets.storage import laid_out, memory_of, overlapping, repeats, ties_kept
from gentickets.tasks import Draw, Objective, Optim, Task
from gentickets.tickets import Origin, Ticket, check_fit, copied, load_weights, state_of
from gentickets.training import Plan, Training, grow, train
from gentickets.transfer import transfer

SIZE = 64  # of the digits' images


class Coder(Task):
    """An autoencoder whose decoder is the encoder's transpose, by a parameter of its own."""

    def __init__(self, tied: bool = True, width: int = 6, trains: tuple[str, ...] = ("encoder", "decoder")) -> None:
        super().__init__()
        self.image, self.trains = (1, 8, 8), trains
        self.encoder, self.decoder = nn.Linear(SIZE, width), nn.Linear(width, SIZE)
        if tied:
            self.decoder.weight = nn.Parameter(self.encoder.weight.detach().t())

    def objectives(self) -> list[Objective]:
        def error(batch: Tensor, draw: Draw) -> Tensor:
            return (self.decoder(self.encoder(batch.flatten(1)).tanh()) - batch.flatten(1)).square().mean()

        return [Objective("error", error, self.trains)]

    def inputs(self, batch: Tensor) -> dict[str, tuple[Tensor, ...]]:
        return {"encoder": (batch.flatten(1),), "decoder": (batch.new_zeros(len(batch), self.encoder.out_features),)}


class Net(Task):
    """A task around one network, of which nothing is trained."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.image, self.net = (1, 8, 8), net

    def objectives(self) -> list[Objective]:
        return [Objective("error", lambda batch, draw: self.net(batch.flatten(1)).abs().square().mean(), ("net",))]

    def inputs(self, batch: Tensor) -> dict[str, tuple[Tensor, ...]]:
        return {"net": (batch.flatten(1),)}


def coder(**options: object) -> Coder:
    torch.manual_seed(0)
    return Coder(**options)  # type: ignore[arg-type]


def training_of(task: Task, **options: object) -> Training:
    return Training(task, Plan(Optim("adam", 1e-2), Schedule("constant", 8), **options))  # type: ignore[arg-type]


def sparse(task: Task, density: float = 0.25) -> Ticket:
    mask = keep_top(magnitude(task), density, within=full_mask(task))
    return Ticket(mask, copied(state_of(task)), Origin("iterative", 0, 1, 0))


def alive(task: Coder, mask: Mask) -> int:
    """How many pruned weights are not zero, by either name."""
    gone = ~mask["encoder.weight"]
    return int(
        task.encoder.weight.detach()[gone].count_nonzero() + task.decoder.weight.detach()[gone.t()].count_nonzero()
    )


# --- memory -----------------------------------------------------------------------------------------------------------

WHOLE = torch.zeros(6, 4, 3)
VIEWS: dict[str, tuple[Callable[[], Tensor], bool]] = {
    "itself": (lambda: WHOLE, True),
    "detached": (lambda: WHOLE.detach(), True),
    "transposed": (lambda: WHOLE.permute(2, 0, 1), True),
    "flat": (lambda: WHOLE.view(-1), True),
    "with a dimension more": (lambda: WHOLE[:, None], True),
    "a part": (lambda: WHOLE[:3], False),
    "a column": (lambda: WHOLE[:, 0], False),
    "expanded": (lambda: WHOLE[None].expand(2, 6, 4, 3), False),
    "another kind of number": (lambda: WHOLE.view(torch.int32), False),
    "a copy": (lambda: WHOLE.clone(), False),
    "channels last": (lambda: WHOLE.clone().permute(2, 1, 0), False),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tensors_are_tied_that_cover_the_same_numbers(view: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "WHOLE", torch.zeros(6, 4, 3, device=device))
    make, same = VIEWS[view]
    assert (memory_of(make()) == memory_of(WHOLE)) is same


def test_slices_are_tied_to_their_own_transposes() -> None:
    part = WHOLE[1:4, :2]
    assert memory_of(part) == memory_of(part.permute(1, 2, 0)) != memory_of(WHOLE[1:4, 1:3])


def test_tensors_overlap_that_share_some_numbers() -> None:
    square = torch.zeros(4, 6)
    views = {
        "even": square[:, ::2], "odd": square[:, 1::2], "left": square[:, :3], "right": square[:, 3:],
        "turned": square[:, :3].t(), "none": square[:0], "else": torch.zeros(4),
    }  # fmt: skip
    found = {frozenset(pair) for pair in overlapping(views)}
    wide = {"even", "odd"}
    assert found == {frozenset((one, other)) for one in wide for other in ("left", "right", "turned")}


def test_empty_tensors_are_tied_to_nothing() -> None:
    nothing = torch.zeros(0, 3)
    assert memory_of(nothing) != memory_of(nothing.t())
    assert not list(overlapping({"a": nothing, "b": nothing.t()}))


def test_expanded_tensors_repeat_numbers() -> None:
    assert repeats(torch.zeros(1, 3).expand(4, 3))
    assert not repeats(torch.zeros(1, 3).expand(1, 3))
    assert not repeats(torch.zeros(4, 3).t())


def test_values_follow_their_tensor_into_another_layout() -> None:
    weight, values = torch.zeros(3, 5), torch.arange(15.0).reshape(5, 3)
    assert torch.equal(laid_out(values, weight.t(), weight), values.t())
    packed = torch.zeros(7, 9)
    part, marks = packed[1:4, 2:4], torch.arange(6.0).reshape(2, 3)
    assert torch.equal(laid_out(marks, part.t(), part), marks.t())


# --- one name ---------------------------------------------------------------------------------------------------------


def test_a_transpose_has_one_name_and_one_mask() -> None:
    task = coder()
    assert list(full_mask(task)) == ["encoder.weight"]
    assert list(state_of(task)) == ["encoder.weight", "encoder.bias", "decoder.bias"]
    assert first_names(task)["decoder.weight"] == "encoder.weight"


def test_an_embedding_bears_the_name_of_the_layer_that_is_pruned() -> None:
    """Its own comes first in the state dict; then mask and state would have parted."""
    task = Net(nn.Sequential(nn.Embedding(10, 6), nn.Linear(6, 10, bias=False)))
    task.net[1].weight = task.net[0].weight
    ticket = sparse(task)
    assert list(ticket.weights) == list(ticket.mask) == ["net.1.weight"]
    ticket.load_into(task)
    assert not task.net[0].weight[~ticket.mask["net.1.weight"]].any()
    old = Ticket(ticket.mask, {"net.0.weight": torch.ones(10, 6)}, ticket.origin)
    old.load_into(task)
    assert int(task.net[0].weight.count_nonzero()) == ticket.mask.kept


def test_a_loaded_ticket_prunes_a_transpose(tmp_path: Path) -> None:
    task = coder()
    ticket = sparse(task)
    write_ticket(tmp_path / "ticket.safetensors", ticket)
    for one in (ticket, read_ticket(tmp_path / "ticket.safetensors")[0]):
        fresh = Coder()
        one.load_into(fresh)
        assert alive(fresh, ticket.mask) == 0
        assert torch.equal(fresh.decoder.weight, task.encoder.weight.t() * ticket.mask["encoder.weight"].t())


def test_old_tickets_with_both_names_still_open(tmp_path: Path) -> None:
    """Format 1 held a transpose under each name, masked under the first alone."""
    task = coder()
    ticket = sparse(task)
    old = Ticket(ticket.mask, copied(task.state_dict()), ticket.origin)
    write_ticket(tmp_path / "old.safetensors", old)
    read, _ = read_ticket(tmp_path / "old.safetensors")
    assert "decoder.weight" in read.weights
    training = training_of(Coder())
    training.start(read)
    assert alive(training.task, ticket.mask) == 0


def test_state_dicts_load_by_any_name() -> None:
    task, fresh = coder(), Coder()
    whole = copied(task.state_dict())
    for left_out in ("none", "encoder.weight", "decoder.weight"):
        load_weights(fresh, {name: torch.zeros_like(value) for name, value in state_of(fresh).items()})
        load_weights(fresh, {name: value for name, value in whole.items() if name != left_out})
        assert torch.equal(fresh.encoder.weight, task.encoder.weight), left_out
    with pytest.raises(TicketError, match=r"'encoder\.weight' and 'decoder\.weight' are the same numbers"):
        load_weights(fresh, {**whole, "decoder.weight": whole["decoder.weight"] + 1})
    with pytest.raises(TicketError, match=r"'decoder\.weight' has shape \(6, 64\), the network needs \(64, 6\)"):
        load_weights(fresh, {**whole, "decoder.weight": whole["encoder.weight"]})
    assert torch.equal(fresh.encoder.weight, task.encoder.weight)


def test_plain_state_dicts_are_masked_under_both_names() -> None:
    task = coder()
    mask = sparse(task).mask
    state = masked_state_dict(task, mask)
    assert torch.equal(state["decoder.weight"], state["encoder.weight"].t())
    assert int(state["decoder.weight"].count_nonzero()) == mask.kept


def test_flops_are_booked_to_the_one_name_of_tied_weights_and_to_each_part_of_packed_ones() -> None:
    """2 FLOPs for each weight and image, in either use of a tie; a step goes forward, and back but to the images."""
    task = coder()
    layer = 2 * 6 * SIZE
    assert layer_flops(task) == {"encoder.weight": 2 * layer}
    mask = sparse(task).mask
    assert masked_flops(task, mask) == 0.25 * dense_flops(task) == 0.5 * layer
    assert step_flops(task, 8).layers["encoder.weight"] == 8 * (2 + 3) * layer
    packed = torch.randn(SIZE + 6, SIZE)
    net = Net(nn.Sequential(nn.Linear(SIZE, 6), nn.Linear(6, SIZE)))
    net.net[0].weight, net.net[1].weight = nn.Parameter(packed[:6]), nn.Parameter(packed[6:, :6])
    assert layer_flops(net) == {"net.0.weight": layer, "net.1.weight": layer}
    steps = step_flops(net, 8).layers
    assert (steps["net.0.weight"], steps["net.1.weight"]) == (8 * 2 * layer, 8 * 3 * layer)


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trains", [("encoder", "decoder"), ("encoder",), ("decoder",)], ids="+".join)
def test_training_keeps_a_transpose_pruned(trains: tuple[str, ...], batches: Batches) -> None:
    training = training_of(coder(trains=trains), ema={"decoder": 0.5})
    dense = first_ticket(training, batches, rewind_to=2)
    grow(training, dense, batches, seed=0)
    ticket = next_ticket(training, dense, density=0.3)
    before = training.task.decoder.weight.detach().clone()
    training.start(ticket)
    gone = ~ticket.mask["encoder.weight"]
    for key, value in training.snapshot(0).optim.items():
        if "weight/exp" in key:
            assert not value[gone if "encoder" in key else gone.t()].any(), key
    grow(training, ticket, batches, seed=0)
    assert alive(training.task, ticket.mask) == 0
    assert not torch.equal(training.task.decoder.weight, before)
    assert list(training.ema) == ["encoder.weight", "decoder.bias"]
    assert not training.ema["encoder.weight"][gone].any()
    with training.averaged() as task:
        assert torch.equal(task.decoder.weight.t(), training.ema["encoder.weight"])
        assert alive(task, ticket.mask) == 0


def test_an_average_of_one_component_moves_the_shared_weight_by_its_own_decay(batches: Batches) -> None:
    training = training_of(coder(), ema={"decoder": 0.25})
    before = training.task.encoder.weight.detach().clone()
    train(training, batches, range(1))
    expected = 0.25 * before + 0.75 * training.task.encoder.weight.detach()
    assert torch.allclose(training.ema["encoder.weight"], expected)


def test_a_parameter_of_two_components_is_trained_by_either(batches: Batches) -> None:
    task = coder(tied=False, width=SIZE, trains=("decoder",))
    task.decoder.weight = task.encoder.weight
    ticket = sparse(task)
    training = training_of(task)
    assert list(training.turns[0].parameters) == ["encoder.weight", "decoder.bias"]
    training.start(ticket)
    before = task.encoder.weight.detach().clone()
    grow(training, ticket, batches, seed=0)
    assert not torch.equal(task.encoder.weight, before)
    assert not task.encoder.weight[~ticket.mask["encoder.weight"]].any()


@pytest.mark.parametrize("trained", ["encoder", "decoder"])
def test_hold_masks_a_transpose_whichever_the_optimizer_trains(trained: str) -> None:
    task = coder()
    mask = sparse(task).mask
    optimizer = torch.optim.Adam(task.get_submodule(trained).parameters(), lr=0.1)
    hold(mask, task, optimizer)
    for _ in range(3):
        task.decoder(task.encoder(torch.randn(4, SIZE)).tanh()).square().sum().backward()
        optimizer.step()
        assert alive(task, mask) == 0


def test_resuming_and_copies_keep_a_transpose_tied(batches: Batches) -> None:
    training = training_of(coder(), ema={"encoder": 0.9})
    train(training, batches, range(3))
    middle = training.snapshot(3)
    old = training.snapshot(3)
    old.weights["decoder.weight"] = old.weights["encoder.weight"].t()
    old.ema["decoder.weight"] = old.ema["encoder.weight"].t() * (1 + 1e-6)
    train(training, batches, range(3, 6))
    for snapshot in (middle, old):
        resumed = training_of(Coder(), ema={"encoder": 0.9})
        resumed.load(snapshot)
        train(resumed, batches, range(3, 6))
        assert torch.equal(resumed.task.encoder.weight, training.task.encoder.weight)
    for copy in (twin(training.task), plain(training.task)):
        assert memory_of(copy.decoder.weight) == memory_of(copy.encoder.weight)
        assert memory_of(copy.encoder.weight) != memory_of(training.task.encoder.weight)
        assert torch.equal(copy.decoder.weight, training.task.decoder.weight)


def test_moving_and_converting_keeps_ties() -> None:
    down, up = nn.Conv2d(3, 5, 2), nn.ConvTranspose2d(5, 3, 2)
    up.weight = nn.Parameter(down.weight.detach().view(5, 3, 2, 2))
    other = nn.Linear(4, 5)
    other.weight = nn.Parameter(down.weight.detach().view(5, 12)[:, :4])
    task = Net(nn.Sequential(down, up, other))
    before = copied(task.state_dict())
    with ties_kept(task):
        task.to(memory_format=torch.channels_last)
    assert memory_of(down.weight) == memory_of(up.weight)
    with ties_kept(task):
        task.double()
    assert memory_of(down.weight) == memory_of(up.weight)
    assert other.weight.dtype == down.weight.dtype == torch.float64
    assert all(torch.equal(value, before[name].double()) for name, value in task.state_dict().items())
    with torch.no_grad():
        down.weight.fill_(7)
    assert bool((other.weight == 7).all())


# --- what no mask fits ------------------------------------------------------------------------------------------------


def overlapping_net() -> Net:
    task = Net(nn.Sequential(nn.Linear(SIZE, 6), nn.Linear(6, SIZE)))
    task.net.packed = nn.Parameter(torch.randn(8, SIZE))
    task.net[0].weight = nn.Parameter(task.net.packed.detach()[1:7])
    task.net.forward = lambda x: task.net[1](task.net[0](x))
    return task


def test_a_part_of_another_tensor_is_refused_by_name_before_anything_changes(batches: Batches) -> None:
    task = overlapping_net()
    said = r"'net\.0\.weight' shares a part of its numbers with 'net\.packed'.*\.clone\(\), or exempt it"
    with pytest.raises(TicketError, match=said):
        full_mask(task)
    mask = Mask({name: torch.rand(weight.shape) > 0.5 for name, weight in prunable(task).items()})
    before = copied(task.state_dict())
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    ticket = Ticket(mask, copied(state_of(task)), Origin("iterative", 0, 1, 0))
    for start in (
        lambda: hold(mask, task, optimizer),
        lambda: ticket.load_into(task),
        lambda: train(training_of(task), batches, range(2), mask=mask),
    ):
        with pytest.raises(TicketError, match=said):
            start()
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert list(full_mask(task, exempt=["net.0.weight"])) == ["net.1.weight"]
    train(training_of(task), batches, range(2), mask=full_mask(task, exempt=["net.0.weight"]))


def test_parts_of_one_memory_that_meet_nowhere_are_masked_each(batches: Batches) -> None:
    packed = torch.randn(SIZE + 6, SIZE)
    task = Net(nn.Sequential(nn.Linear(SIZE, 6), nn.Linear(6, SIZE)))
    task.net[0].weight = nn.Parameter(packed[:6])
    task.net[1].weight = nn.Parameter(packed[6:, :6])
    ticket = sparse(task)
    training = training_of(task)
    training.start(ticket)
    grow(training, ticket, batches, seed=0)
    for name, kept in ticket.mask.items():
        assert not task.get_parameter(name)[~kept].any()
        assert task.get_parameter(name)[kept].all()


def test_expanded_weights_are_refused_by_name() -> None:
    task = Net(nn.Sequential(nn.Linear(SIZE, 6)))
    task.net[0].weight = nn.Parameter(torch.randn(1, SIZE).expand(6, SIZE))
    with pytest.raises(TicketError, match=r"'net\.0\.weight' holds the same numbers in several places"):
        full_mask(task)


def test_weights_without_numbers_are_refused_by_name(batches: Batches) -> None:
    with torch.device("meta"):
        task = coder(tied=False)
    with pytest.raises(TicketError, match=r"'encoder\.weight' is on the meta device"):
        full_mask(task)
    assert len(state_of(task)) == 4
    lazy = Net(nn.Sequential(nn.LazyLinear(3), nn.Linear(3, SIZE)))
    for ask in (prunable, full_mask, state_of, twin, magnitude, training_of):
        with pytest.raises(TicketError, match=r"'net\.0\.weight' has no shape yet.*run one batch"):
            ask(lazy)


def test_a_state_that_is_no_tensor_is_refused_by_name() -> None:
    class Counting(nn.Linear):
        def get_extra_state(self) -> object:
            return {"count": 1}

        def set_extra_state(self, state: object) -> None:
            pass

    with pytest.raises(TicketError, match=r"'net\.0\._extra_state' of the state dict is a dict, not a tensor"):
        state_of(Net(nn.Sequential(Counting(SIZE, 3))))


def test_a_tie_gives_nothing_to_a_layer_of_its_own() -> None:
    """A square one would fit, and be the wrong way round."""
    with pytest.raises(TicketError, match=r"'decoder' cannot take from 'decoder': one of the two is a transposed tie"):
        transfer(sparse(coder(width=SIZE)), coder(width=SIZE), coder(tied=False, width=SIZE))
    ticket, _ = transfer(sparse(coder(width=SIZE)), coder(width=SIZE), coder(width=SIZE))
    assert torch.equal(ticket.mask["encoder.weight"], sparse(coder(width=SIZE)).mask["encoder.weight"])


# --- complex weights --------------------------------------------------------------------------------------------------


class Wave(nn.Linear):
    """A complex linear layer."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__(given, made, bias=False, dtype=torch.complex64)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(torch.complex64))


def test_complex_weights_rank_by_their_absolute_value() -> None:
    task = Net(nn.Sequential(Wave(SIZE, 2)))
    with torch.no_grad():
        task.net[0].weight.fill_(0.1 + 0.1j)
        task.net[0].weight[0, 0], task.net[0].weight[1, 5] = -3j, 2 + 0j
    for criterion in (magnitude, lamp):
        kept = keep_top(criterion(task), 2 / 128, within=full_mask(task))["net.0.weight"]
        assert kept[0, 0]
        assert kept[1, 5]
    ones = {"net.0.weight": torch.ones(2, SIZE, dtype=torch.complex64)}
    with pytest.raises(TicketError, match=r"scores of 'net\.0\.weight' are complex"):
        keep_top(ones, 0.5, within=full_mask(task))


@pytest.mark.parametrize("criterion", ["snip", "gradient", "grasp", "synflow"])
def test_criteria_of_real_weights_refuse_complex_ones_by_name(criterion: str) -> None:
    task = Net(nn.Sequential(Wave(SIZE, 2)))
    scores = CRITERIA[criterion](task, [torch.ones(4, 1, 8, 8)], 0)
    with pytest.raises(TicketError, match=r"'net(\.0\.weight)?' (is|has) complex.*magnitude"):
        scores["net.0.weight"]


def test_complex_weights_train_and_are_stored(batches: Batches, tmp_path: Path) -> None:
    task = Net(nn.Sequential(Wave(SIZE, 2)))
    ticket = sparse(task)
    training = training_of(task)
    training.start(ticket)
    grow(training, ticket, batches, seed=0)
    assert not task.net[0].weight[~ticket.mask["net.0.weight"]].any()
    snapshot = training.snapshot(8)
    training.load(snapshot)
    write_ticket(tmp_path / "ticket.safetensors", ticket)
    read, _ = read_ticket(tmp_path / "ticket.safetensors")
    assert torch.equal(read.masked_weights()["net.0.weight"], ticket.masked_weights()["net.0.weight"])
    with pytest.raises(TicketError, match=r"'net\.0\.weight' is complex.*no sign"):
        portable_of(ticket, snapshot.weights, task)
    with pytest.raises(TicketError, match=r"holds torch\.float32") as caught:
        check_fit({"net.0.weight": torch.zeros(2, SIZE)}, state_of(task))
    assert caught.value.status == Status.TICKET


# --- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda x: {"loss": x.mean()}, "is a dict: give back one tensor"),
        (lambda x: (x.mean(), {}), "is a tuple: give back one tensor"),
        (lambda x: x, r"is of shape \(16, 6\): take the mean"),
    ],
    ids=["dict", "tuple", "many"],
)
def test_a_loss_that_is_no_number_is_named(loss: Callable[[Tensor], object], said: str, batches: Batches) -> None:
    task = coder()
    vars(task)["objectives"] = lambda: [
        Objective("own", lambda b, d: loss(task.encoder(b.flatten(1))), ("encoder",))  # type: ignore[arg-type,return-value]
    ]
    for run in (
        lambda: train(training_of(task), batches, range(1)),
        lambda: CRITERIA["snip"](task, [next(iter(batches.stream(range(1))))], 0),
    ):
        with pytest.raises(TicketError, match=f"the loss of objective 'own' {said}"):
            run()


def test_an_objective_without_anything_to_train_is_named() -> None:
    task = coder(tied=False)
    task.requires_grad_(False)
    with pytest.raises(TicketError, match=r"'error' has nothing to train: all of 'encoder' and 'decoder' is frozen"):
        training_of(task)


def test_what_a_family_does_not_declare_is_one_sentence() -> None:
    class Bare(Task):
        image = (1, 8, 8)

    task = Bare()
    task.net = nn.Linear(SIZE, 2)
    with pytest.raises(TicketError, match=r"Bare does not say what its components take: override inputs\(\)"):
        dense_flops(task)
