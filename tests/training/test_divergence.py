"""Trap 33: nothing infinite is stored, and the first step after which anything was not finite is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import make_training, recipe_text
from torch import Tensor, nn

from gentickets.data import Batches
from gentickets.errors import Status, TicketError
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.finite import are_finite, infinite
from gentickets.masks import Mask
from gentickets.optimizers import Schedule
from gentickets.recipe import load_recipe
from gentickets.runs.formats import read_snapshot, read_ticket, write_snapshot, write_ticket
from gentickets.search import early_bird, first_ticket, next_ticket
from gentickets.tasks import Autoencoder, Draw, Objective, Optim
from gentickets.tickets import Origin, Snapshot, Tensors, Ticket
from gentickets.training import Losses, Plan, Training, Turn, train
from gentickets.training.divergence import Divergence

Moment = Callable[[Training], None]
"""Does the damage; called when the fourth step has taken its gradients, or has ended."""
OPTIMS = {
    "adam": Optim("adam", 1e-3),
    "adamw": Optim("adamw", 1e-3, weight_decay=0.01),
    "sgd": Optim("sgd", 1e-3, momentum=0.9),
    "plain sgd": Optim("sgd", 1e-3),
    "rmsprop": Optim("rmsprop", 1e-4, momentum=0.5),
}


class Spiking(Autoencoder):
    """An autoencoder whose loss is another one in one step."""

    def __init__(self, spike: Callable[[Tensor], Tensor], at: int = 4, **keywords: object) -> None:
        super().__init__((1, 8, 8), **{"width": 4, "latent": 2, **keywords})
        self.spike, self.at, self.taken = spike, at, 0

    def objectives(self) -> list[Objective]:
        return [replace(one, loss=self.spiked) for one in super().objectives()]

    def spiked(self, batch: Tensor, draw: Draw) -> Tensor:
        self.taken += 1
        loss = super().objectives()[0].loss(batch, draw)
        return self.spike(loss) if self.taken == self.at else loss


def spiking(spike: Callable[[Tensor], Tensor], optim: str = "adam", **plan: object) -> Training:
    torch.manual_seed(0)
    return Training(Spiking(spike), Plan(OPTIMS[optim], Schedule("constant", 20), **plan))


@pytest.fixture(params=["at once", "late"])
def _read(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once as on a CPU, and late as on an accelerator."""
    if request.param == "late":
        monkeypatch.setattr(Divergence, "immediate", False)


def why(training: Training, batches: Batches, *stops: int, **how: object) -> str:
    """What training through 12 steps ends with, in pieces."""

    def pieces() -> None:
        for start, end in zip([0, *stops], [*stops, 12], strict=True):
            train(training, batches, range(start, end), **how)

    with pytest.raises(TicketError, match="diverged") as caught:
        pieces()
    assert caught.value.status is Status.DIVERGED
    return str(caught.value)


# -- the first step, and what ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_read")
@pytest.mark.parametrize(
    ("optim", "spike", "what"),
    [
        ("adam", lambda loss: loss * 1e30, "the optimizer's exp_avg_sq of 'encoder"),  # 1e28 squared
        ("adamw", lambda loss: loss * 1e30, "the optimizer's exp_avg_sq of 'encoder"),
        ("rmsprop", lambda loss: loss * 1e30, "the optimizer's square_avg of 'encoder"),
        ("plain sgd", lambda loss: loss * inf, "the loss of objective"),
        ("sgd", lambda loss: loss * nan, "the loss of objective"),
        ("adam", lambda loss: loss + (loss.detach() * inf), "the loss of objective"),
    ],
)  # fmt: skip
def test_the_first_bad_step_is_told_wherever_training_stops(
    optim: str, spike: Callable[[Tensor], Tensor], what: str, batches: Batches
) -> None:
    found = {why(spiking(spike, optim), batches, *stops) for stops in ((), (4,), (3, 9), (1, 5))}
    assert len(found) == 1, found
    (sentence,) = found
    assert what in sentence
    assert " is not finite at step 4; " in sentence


@pytest.mark.usefixtures("_read")
def test_a_large_finite_loss_alone_is_no_divergence(batches: Batches) -> None:
    training = spiking(lambda loss: loss + 1e38)
    assert train(training, batches, range(8)) == 8
    training = spiking(lambda loss: loss * 1e17)  # squared gradients of up to 1e34 whose sum may not be a float
    assert train(training, batches, range(8)) == 8
    training.snapshot(8)


def set_to(name: str, value: float) -> Moment:
    def damage(training: Training) -> None:
        found = {**dict(training.task.named_parameters()), **dict(training.task.named_buffers()), **training.ema}
        with torch.no_grad():
            found[name].view(-1)[0] = value

    return damage


def average(training: Training) -> None:
    next(iter(training.ema.values())).view(-1)[0] = inf


def momentum(training: Training) -> None:
    """As a clipping critic has it: the weights are finite again, and only the momentum is infinite."""
    turn = training.turns[0]
    turn.optimizer.state[next(iter(turn.parameters.values()))]["momentum_buffer"].view(-1)[0] = -inf


@pytest.mark.usefixtures("_read")
@pytest.mark.parametrize(
    ("case", "how", "damage", "what"),
    [
        ("vae-conv", {}, set_to("decoder.2.running_var", inf), "'decoder.2.running_var'"),
        ("vae-conv", {}, set_to("encoder.0.weight", -inf), "'encoder.0.weight'"),
        ("ae-mlp", {"ema": {"decoder": 0.9}}, average, "the average of 'decoder.0.weight'"),
        ("ae-mlp", {"optimizer": "sgd"}, momentum, "the optimizer's momentum_buffer of 'encoder"),
        ("gan-mlp", {"clip_norm": 1.0}, set_to("generator.0.bias", nan), "'generator.0.bias'"),
    ],
)  # fmt: skip
def test_each_kind_of_state_is_watched(
    case: str, how: dict[str, object], damage: Moment, what: str, batches: Batches
) -> None:
    """What a step leaves infinite is told at that step, though no loss shows it."""
    training = make_training(case, **how)
    update = training.update_ema
    taken = [0]

    def updated() -> None:
        update()
        taken[0] += 1
        if taken[0] == 3:
            damage(training)

    training.update_ema = updated  # type: ignore[method-assign]
    sentence = why(training, batches)
    assert what in sentence
    assert "at step 3;" in sentence


@pytest.mark.usefixtures("_read")
def test_one_objective_of_two_names_itself(batches: Batches) -> None:
    training = make_training("gan-mlp")
    turn, taken = training.turns[1], [0]
    loss = turn.objective.loss

    def spiked(batch: Tensor, draw: Draw) -> Tensor:
        taken[0] += 1
        return loss(batch, draw) * (nan if taken[0] == 2 else 1.0)

    turn.objective = replace(turn.objective, loss=spiked)
    sentence = why(training, batches)
    assert "the loss of objective 'generator' is not finite" in sentence


def test_what_follows_the_first_bad_step_changes_nothing(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read late, all is infinite; what was first is told all the same."""
    at_once = why(spiking(lambda loss: loss * 1e30), batches)
    monkeypatch.setattr(Divergence, "immediate", False)
    training = spiking(lambda loss: loss * 1e30)

    def worse(step: int, losses: Losses) -> None:
        if step > 4:
            training.task.get_parameter("encoder.1.weight").data.fill_(nan)

    assert why(training, batches, watch=[worse]) == at_once


def test_nothing_bad_is_in_a_snapshot_even_before_it_is_read(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Divergence, "immediate", False)
    training = spiking(lambda loss: loss * 1e30)
    stored: list[Snapshot] = []
    sentence = why(training, batches, watch=[lambda step, losses: stored.append(training.snapshot(step))])
    assert "at step 4;" in sentence
    assert [snapshot.step for snapshot in stored] == [1, 2, 3]
    training.load(stored[-1])  # and from there it goes on: the damage is forgotten with the state
    assert train(training, batches, range(3, 12)) == 12


@pytest.mark.usefixtures("_read")
def test_early_birds_and_rounds_tell_the_same_step(batches: Batches) -> None:
    training = spiking(lambda loss: loss * inf)
    with pytest.raises(TicketError, match="at step 4;"):
        early_bird(training, batches, density=0.5, every=4, by="weights", rule="published", tolerance=1e-6)
    with pytest.raises(TicketError, match="at step 4;"):
        first_ticket(spiking(lambda loss: loss * inf), batches, rewind_to=6)


# -- what is infinite by design ---------------------------------------------------------------------------------------


class Masked(nn.Module):
    """A linear layer over a causal mask of minus infinity: a buffer, and a frozen parameter."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n, n)
        self.register_buffer("causal", torch.full((n, n), -inf).triu(1))
        self.register_buffer("lowest", torch.tensor(inf))
        self.register_buffer("index", torch.arange(n))
        self.register_buffer("turn", torch.ones(n, dtype=torch.complex64))
        self.frozen = nn.Parameter(torch.full((n, n), -inf).triu(1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        self.lowest.copy_(torch.minimum(self.lowest, x.detach().min()))  # infinite until the first batch
        return self.linear(x) @ (self.causal.softmax(1) + self.frozen.softmax(1)).nan_to_num()


def masked(**plan: object) -> Training:
    torch.manual_seed(0)
    task = Autoencoder((1, 8, 8), width=4, latent=2)
    task.encoder[0] = nn.Sequential(nn.Flatten(), Masked(64))
    return Training(task, Plan(OPTIMS["adam"], Schedule("constant", 12), **plan))


@pytest.mark.usefixtures("_read")
def test_infinities_by_design_are_no_divergence(batches: Batches, tmp_path: Path) -> None:
    training = masked(ema={"encoder": 0.5})
    dense = first_ticket(training, batches, rewind_to=3)
    training.start(dense)
    train(training, batches, range(3, 12), mask=dense.mask)
    ticket = next_ticket(training, dense, density=0.5)
    write_ticket(tmp_path / "t", ticket)
    again, _ = read_ticket(tmp_path / "t")
    write_ticket(tmp_path / "again", again)
    assert (tmp_path / "t").read_bytes() == (tmp_path / "again").read_bytes()
    assert {"encoder.0.1.causal", "encoder.0.1.frozen"} <= again.constants
    assert torch.equal(again.weights["encoder.0.1.causal"], torch.full((64, 64), -inf).triu(1))
    write_snapshot(tmp_path / "s", training.snapshot(12))
    snapshot, _, _ = read_snapshot(tmp_path / "s")
    fresh = masked(ema={"encoder": 0.5})
    fresh.load(snapshot)
    assert train(fresh, batches, range(12, 14)) == 14


@pytest.mark.usefixtures("_read")
@pytest.mark.parametrize(("name", "value"), [("causal", nan), ("causal", inf), ("lowest", nan), ("frozen", nan)])
def test_another_infinity_than_by_design_is_one(name: str, value: float, batches: Batches) -> None:
    training = masked()

    def damage(step: int, losses: Losses) -> None:
        if step == 2:
            tensor = getattr(training.task.encoder[0][1], name)
            tensor.data.view(-1)[0] = value

    sentence = why(training, batches, watch=[damage])
    assert f"'encoder.0.1.{name}' is not finite at step 3;" in sentence


# -- the writer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [inf, -inf, nan])
@pytest.mark.parametrize("part", ["weights", "masked", "optim", "ema"])
def test_the_writer_refuses_what_is_not_finite(part: str, value: float, tmp_path: Path) -> None:
    good, bad = torch.ones(5), torch.tensor([1.0, value, 1.0, 1.0, 1.0])
    parts: dict[str, dict[str, Tensor]] = {
        "weights": {"net.w": good, "net.v": good, "net.n": torch.tensor(3)},
        "optim": {"o/net.w/exp_avg": good}, "ema": {"net.w": good},
    }  # fmt: skip
    where, name = ("weights", "net.w") if part == "masked" else (part, {"optim": "o/net.w/exp_avg"}.get(part, "net.v"))
    parts[where] = {**parts[where], name: bad}
    mask = Mask({"net.w": torch.tensor([True, True, False, True, True])})
    ticket = Ticket(mask, parts["weights"], Origin("iterative", 0, 1, 0), parts["optim"], parts["ema"])
    snapshot = Snapshot(3, parts["weights"], parts["optim"], parts["ema"])
    for write, state in ((write_ticket, ticket), (write_snapshot, snapshot)):
        with pytest.raises(TicketError, match=rf"diverged: .*'{name}'") as caught:
            write(tmp_path / "file", state)
        assert caught.value.status is Status.DIVERGED
        assert not list(tmp_path.iterdir())
    good_ticket = replace(ticket, weights={**ticket.weights, "net.w": good, "net.v": good}, optim={}, ema={})
    write_ticket(tmp_path / "file", good_ticket)


def test_finite_is_exact() -> None:
    """Sums and squares that are too large for a float make no number infinite; one infinite number does."""
    large = torch.full((1000,), 3e38)
    kinds = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64]
    tensors = {str(kind): torch.full((1000,), 60000.0, dtype=kind) for kind in kinds}
    tensors |= {"large": large, "minus": -large, "both": torch.cat([large, -large]), "channels": torch.ones(2, 3, 4, 4)}
    tensors["channels"] = tensors["channels"].to(memory_format=torch.channels_last)
    ignored: Tensors = {"none": torch.ones(0), "int": torch.ones(3, dtype=torch.int64), "bool": torch.ones(3) > 0}
    assert infinite({**tensors, **ignored}) == []
    for name, value in tensors.items():
        for bad in (inf, -inf, nan):
            broken = value.clone()
            broken[(-1,) * broken.ndim] = bad
            assert infinite({**tensors, name: broken}) == [name]
    if torch.cuda.is_available():
        moved = {name: value.cuda() for name, value in tensors.items()}
        assert bool(are_finite(list(moved.values())).all())


# -- a whole run ------------------------------------------------------------------------------------------------------

RUN = recipe_text(
    task={"family": "ae", "width": 4, "latent": 2},
    train={"steps": 12, "lr": 0.001},
    search={"rewind_to": 2, "controls": []},
)


@pytest.mark.parametrize("method", ["rounds", "bird"])
def test_a_run_tells_the_same_step_and_bill_however_it_is_stored(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.toml").write_text(RUN)
    bird = ["method=early_bird", "by=weights", "every=2", "rule=published", "rewind_to=0"]
    recipe = load_recipe(str(tmp_path / "r.toml"), overrides=[f"search.{one}" for one in bird if method == "bird"])
    take = Turn.take

    def damaging(self: Turn, *given: Any) -> Tensor:
        loss = take(self, *given)
        vars(self)["taken"] = vars(self).get("taken", 0) + 1
        if vars(self)["taken"] == 7:
            next(iter(self.parameters.values())).data[0] = inf
        return loss

    monkeypatch.setattr(Turn, "take", damaging)
    found = []
    for immediate in (True, False):
        monkeypatch.setattr(Divergence, "immediate", immediate)
        for save_every in (0.0, 1e9):
            out = tmp_path / f"{immediate}-{save_every}"
            find(recipe, out, Options(jobs=0, save_every=save_every, device="cpu"))
            results = [json.loads(path.read_text()) for path in sorted(out.glob("seed-*/*/*/result.json"))]
            found.append(
                [{**one, "seconds": None, "memory": None, "energy": None, "checksum": None} for one in results]
            )
            assert not list(out.glob("seed-0/search/*/*.safetensors"))
            for path in out.glob("seed-0/ticket/*/ticket.safetensors"):
                assert infinite(read_ticket(path)[0].weights) == []
    broken = next(one for one in found[0] if one["status"] == "diverged")
    assert "is not finite at step 7;" in broken["why"]
    assert [point["step"] for point in broken["losses"]] == list(range(3 if method == "rounds" else 1, 7))
    assert all(other == found[0] for other in found)
