"""The arms of a verdict, runs that grow, the declared claim, and the recipe that a verdict asks for."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers import HERE, recipe_text

from gentickets.actions.dry_run import estimate
from gentickets.actions.locate import progress_of, resuming
from gentickets.arms import BESIDE
from gentickets.criteria import CRITERIA
from gentickets.errors import Status, TicketError
from gentickets.experiment.arms import base as arms
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.dispatch import job_of
from gentickets.experiment.extend import as_begun, extended, may_extend
from gentickets.experiment.job import Stopped
from gentickets.experiment.options import Options
from gentickets.experiment.plan import Unit, plan_units
from gentickets.experiment.run import find
from gentickets.ledger import COMPARISON, entries_of, part_of
from gentickets.recipe import Recipe, load_recipe, recipe_from
from gentickets.recipe.asked import complete, missing
from gentickets.recipe.declared import check_declared, claim_record, declared
from gentickets.recipe.meaning import claim_hash
from gentickets.results import read_results
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket
from gentickets.scoring import SCORINGS
from gentickets.search import first_ticket, ticket_at_start
from gentickets.seeds import derive
from gentickets.tickets import Ticket, zeroed
from gentickets.training import grow, train

pytestmark = pytest.mark.usefixtures("without_pictures")

STEPS, REWIND = 16, 4
CUTS = 5
"""SynFlow's, which takes a while with its 100."""
SMALL = recipe_text(
    task={"width": 10, "depth": 1, "latent": 2, "likelihood": "bernoulli"},
    data={"batch_size": 32},
    train={"steps": 16, "lr": 0.002},
    search={"rounds": 3, "keep": 0.6, "rewind_to": 4, "controls": ["shuffle"], "control_rounds": [2], "scaling": "off"},
    claim={"metric": "negative_elbo", "level": 0.64},
)
VERDICT = ["verdict.forks=[0,1,4,9]", 'search.controls=["shuffle","snip","grasp","synflow"]', "search.seeds=2"]


@pytest.fixture(autouse=True)
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Unit]:
    """A stand-in for the look beside a verdict: the units that asked for one, each with the trained networks there."""
    asked: list[Unit] = []

    def look(assembly: Assembly, run: RunFolder, unit: Unit) -> dict[str, Any]:
        asked.append(unit)
        there = [arm for seed, arm, round in unit.needs if run.round(seed, arm, round).trained.is_file()]
        return {"arms": {arm: {} for arm in there}}

    monkeypatch.setitem(sys.modules, "gentickets.experiment.diagnostics", SimpleNamespace(diagnose=look))
    return asked


def small(tmp_path: Path, *more: str, text: str = SMALL) -> Recipe:
    path = tmp_path / "small.toml"
    path.write_text(text)
    return load_recipe(str(path), overrides=more)


def content(run: Path) -> dict[str, bytes]:
    """Every ticket and every trained network, and every result without what differs between two equal runs."""
    found = {str(p.relative_to(run)): p.read_bytes() for p in sorted(run.glob("seed-*/*/*/*.safetensors"))}
    for path in sorted(run.glob("seed-*/*/*/result.json")):
        told = json.loads(path.read_text()) | {"seconds": None, "memory": None, "energy": None, "checksum": None}
        told["spent"].pop("evaluate", None)
        found[str(path.relative_to(run))] = json.dumps(told, sort_keys=True).encode()
    return found


def planned(recipe: Recipe) -> list[Unit]:
    return plan_units(recipe)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, RunFolder]:
    """A run of two seeds with every arm of a verdict."""
    folder = tmp_path_factory.mktemp("judged")
    recipe = small(folder, *VERDICT, "seed=0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCORINGS, "synflow", replace(SCORINGS["synflow"], cuts=CUTS))
        stand_in = SimpleNamespace(diagnose=lambda assembly, run, unit: {"arms": {}})
        patch.setitem(sys.modules, "gentickets.experiment.diagnostics", stand_in)
        find(recipe, folder / "run", HERE)
    return recipe, RunFolder(folder / "run")


def assembled(recipe: Recipe) -> Assembly:
    return Assembly(recipe, root=Path("data"))


def dense_state(recipe: Recipe, step: int) -> Ticket:
    """The dense run's state of a step, trained here: from initialization to k, its ticket's start, and on."""
    assembly = assembled(recipe)
    training, batches = assembly.training(assembly.task(0), STEPS), assembly.batches(0)
    dense = first_ticket(training, batches, rewind_to=min(step, REWIND), seed=0)
    if step <= REWIND:
        return dense
    training.start(dense)
    train(training, batches, range(REWIND, step), mask=dense.mask, seed=0)
    state = training.snapshot(step)
    return Ticket(dense.mask, state.weights, dense.origin, state.optim)


# -- the plan --------------------------------------------------------------------------------------------------------


def test_the_arms_of_a_verdict_by_hand(tmp_path: Path) -> None:
    units = planned(small(tmp_path, *VERDICT))
    own = {(unit.seed, unit.arm, unit.round): unit for unit in units}
    assert len(own) == len(units)
    forks = {key for key in own if key[1].startswith("fork")}
    first = {(0, f"fork-{step}{end}", 2) for step in (0, 1, 9) for end in ("", "-other")}
    assert forks == first | {(seed, "fork-4-other", 2) for seed in (0, 1)}, "the ticket itself is fork-4"
    taken = {unit.arm: (unit.span, unit.steps) for unit in units if unit.arm.startswith(("fork", "dense", BESIDE))}
    assert taken == {
        "fork-0": (16, 16), "fork-0-other": (16, 16), "fork-1": (16, 16), "fork-1-other": (16, 16),
        "fork-4-other": (16, 12), "fork-9": (16, 12), "fork-9-other": (16, 12),
        "dense-twice": (32, 28), "dense-whole": (40, 40), "beside": (0, 0),
    }  # fmt: skip
    for arm in ("snip", "grasp", "synflow"):
        assert own[1, arm, 2].needs == ((1, "ticket", 2),)
        assert own[1, arm, 2].steps == 12
        assert (1, f"{arm}-scaled", 2) not in own
    assert own[1, "dense-twice", 0].needs == ((1, "ticket", 0),)


def test_what_looks_at_the_others_waits_for_all_of_its_seed_and_comes_last(tmp_path: Path) -> None:
    units = planned(small(tmp_path, *VERDICT, "search.longer=2", "search.scaling=both"))
    assert [unit.arm for unit in units[-2:]] == [BESIDE, BESIDE]
    short = {"shuffle", "shuffle-scaled", "snip", "grasp", "synflow", "fork-4-other"}
    forks = {f"fork-{step}{end}" for step in (0, 1, 9) for end in ("", "-other")}
    for unit, more in zip(units[-2:], (forks, set()), strict=True):
        tickets = {(unit.seed, "ticket", 0), (unit.seed, "ticket", 2)}
        assert set(unit.needs) == tickets | {(unit.seed, arm, 2) for arm in short | more}


def test_a_claim_left_to_validation_looks_at_the_last_round(tmp_path: Path) -> None:
    units = planned(small(tmp_path, *VERDICT, "claim.level=validation", "search.control_rounds=[2,3]"))
    assert {unit.round for unit in units if unit.arm == BESIDE or unit.name.fork is not None} == {3}


def test_controls_found_at_the_start_train_longer_like_others(tmp_path: Path) -> None:
    units = {unit.arm: unit for unit in planned(small(tmp_path, *VERDICT, "search.longer=3"))}
    assert (units["grasp-longer"].span, units["grasp-longer"].steps) == (48, 44)


def test_early_birds_have_no_forks_and_channels_no_masks_to_find(tmp_path: Path) -> None:
    bird = ["search.method=early_bird", "search.rewind_to=0", "search.patience=2", "task.network=conv", "task.width=4"]
    channels = ['search.controls=["random-channels"]', "verdict.twice=true"]
    text = SMALL.replace("depth = 1", "")
    units = planned(small(tmp_path, *bird, *channels, text=text))
    assert {unit.arm for unit in units} == {"search", "ticket", "random-channels", "dense-twice", "beside"}
    assert next(unit for unit in units if unit.arm == "random-channels").needs[-1] == (0, "search", 0)
    with pytest.raises(TicketError, match="'snip' is about masks of single weights"):
        small(tmp_path, *bird, 'search.controls=["snip"]', text=text)
    with pytest.raises(TicketError, match="nothing can be forked"):
        small(tmp_path, *bird, *channels, "verdict.forks=[3]", text=text)


# -- what the arms train ---------------------------------------------------------------------------------------------


def test_every_arm_of_a_verdict_is_done_and_billed(judged: tuple[Recipe, RunFolder]) -> None:
    recipe, run = judged
    results = read_results(run.path)
    assert {result.status for result in results} == {"done"}
    assert {(one.seed, one.arm, one.round) for one in results} == {unit.key for unit in planned(recipe)}
    of_verdict = [one for one in results if one.arm.startswith(("fork", "snip", "grasp", "synflow", "dense-twice"))]
    for result in of_verdict:
        steps = (result.spent["train"] + result.spent.get("warm-up", 0)) / result.flops["step"]
        assert steps == pytest.approx(result.trained)
        assert ("score" in result.spent) == (result.arm in ("snip", "grasp", "synflow"))
    entries = entries_of(of_verdict, recipe)
    assert {part_of(entry, "iterative", 2) for entry in entries} == {COMPARISON}
    values = {round(result.test["negative_elbo"], 6) for result in of_verdict}
    assert len(values) == len(of_verdict), "no two arms are the same training"


@pytest.mark.parametrize("step", [0, 1, 4, 9])
def test_a_fork_starts_from_the_dense_runs_state_under_the_tickets_mask(
    step: int, judged: tuple[Recipe, RunFolder]
) -> None:
    recipe, run = judged
    ticket, _ = read_ticket(run.round(0, "ticket", 2).ticket)
    state = dense_state(recipe, step)
    wanted = zeroed(state.weights, ticket.mask)
    for end in ("-other",) if step == REWIND else ("", "-other"):
        fork, _ = read_ticket(run.round(0, f"fork-{step}{end}", 2).ticket)
        assert fork.origin.rewind_to == step
        assert fork.mask.distance(ticket.mask) == 0
        assert all(torch.equal(fork.weights[name], value) for name, value in wanted.items())
        assert fork.optim.keys() == state.optim.keys()
        for key, value in state.optim.items():
            name = key.split("/")[1]
            kept = value * ticket.mask[name] if name in ticket.mask and value.dim() else value
            assert torch.equal(fork.optim[key], kept), key


@pytest.mark.parametrize("step", [1, 4, 9])
def test_forks_part_by_their_order_of_data_alone(step: int, judged: tuple[Recipe, RunFolder]) -> None:
    recipe, run = judged
    assembly = assembled(recipe)
    other = derive(0, "fork")
    for arm, order in ((f"fork-{step}", 0), (f"fork-{step}-other", other)):
        arm = "ticket" if arm == f"fork-{REWIND}" else arm
        folder = run.round(0, arm, 2)
        training = assembly.training(assembly.task(0), STEPS)
        grow(training, read_ticket(folder.ticket)[0], assembly.batches(order), seed=order)
        trained, _, _ = read_snapshot(folder.trained)
        assert all(torch.equal(trained.weights[n], v) for n, v in training.task.state_dict().items()), arm


def test_a_fork_in_its_own_order_at_the_rewind_step_is_the_ticket(
    judged: tuple[Recipe, RunFolder], tmp_path: Path
) -> None:
    """What the plan leaves out would have been the same bytes; and so is a fork of a later step in its own order."""
    recipe, run = judged
    arm = Unit(0, "fork-4", 2, STEPS, STEPS - REWIND, ((0, "ticket", 2),))
    job_of(assembled(recipe), run, arm).do()
    made = run.round(0, "fork-4", 2)
    assert made.trained.read_bytes() == run.round(0, "ticket", 2).trained.read_bytes()
    for path in made.path.iterdir():
        path.unlink()
    made.path.rmdir()
    made.path.parent.rmdir()


def test_the_dense_model_that_is_trained_twice_passes_the_dense_run_on_its_way(
    judged: tuple[Recipe, RunFolder],
) -> None:
    """Under a constant learning rate its first half is the dense run."""
    _, run = judged
    twice, dense = run.round(0, "dense-twice", 0).read_result(), run.round(0, "ticket", 0).read_result()
    assert twice is not None
    assert dense is not None
    assert [point["step"] for point in twice.curve] == [12, 14, 16, 32]
    assert (twice.steps, twice.trained, twice.selection, twice.sparsity) == (32, 28, "last", 0)
    at_the_end = twice.curve[2]["valid"]
    assert at_the_end["negative_elbo"] == dense.checkpoints[-1]["valid"]["negative_elbo"]
    assert twice.curve[3]["valid"]["negative_elbo"] == twice.valid["negative_elbo"]


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_a_control_found_at_the_start_is_what_its_criterion_finds_there(
    name: str, judged: tuple[Recipe, RunFolder]
) -> None:
    recipe, run = judged
    assembly = assembled(recipe)
    made, _ = read_ticket(run.round(1, name, 2).ticket)
    ticket, _ = read_ticket(run.round(1, "ticket", 2).ticket)
    dense, _ = read_ticket(run.round(1, "ticket", 0).ticket)
    training, batches = assembly.training(assembly.task(1), STEPS), assembly.batches(1)
    wanted = ticket_at_start(
        training, dense, density=0.36, criterion=CRITERIA[name], cuts=CUTS if name == "synflow" else 1, seed=1,
        batches=batches.first(8), round=2,
    )  # fmt: skip
    assert SCORINGS["synflow"].cuts == 100
    assert made.mask.distance(wanted.mask) == 0
    assert made.mask.kept == ticket.mask.kept
    for component in ticket.mask.components:
        assert made.mask.of(component).kept == ticket.mask.of(component).kept
    assert made.mask.distance(ticket.mask) > 0.02
    assert (made.origin.method, made.origin.rewind_to, made.origin.arm) == (name, REWIND, name)
    start = zeroed(dense.weights, made.mask)
    assert all(torch.equal(made.weights[key], value) for key, value in start.items())


@pytest.mark.parametrize("better", ["shuffle", "shuffle-scaled"])
def test_a_longer_control_is_the_version_that_is_better_on_validation(better: str, tmp_path: Path) -> None:
    recipe = small(tmp_path, "search.scaling=both", "search.longer=2", "search.rounds=2")
    find(recipe, tmp_path / "run", HERE)
    run = RunFolder(tmp_path / "run")
    long = run.round(0, "shuffle-longer", 2)
    for arm in ("shuffle", "shuffle-scaled"):
        folder = run.round(0, arm, 2)
        result = folder.read_result()
        assert result is not None
        told = replace(result, valid={"negative_elbo": 1.0 if arm == better else 2.0})
        folder.result.write_text(told.to_json(), encoding="utf-8")
    for file in long.path.iterdir():
        file.unlink()
    find(recipe, tmp_path / "run", HERE)
    chosen, short = read_ticket(long.ticket)[0], read_ticket(run.round(0, better, 2).ticket)[0]
    assert chosen.origin.arm == f"{better}-longer"
    assert chosen.mask.distance(short.mask) == 0
    assert all(torch.equal(chosen.weights[name], weight) for name, weight in short.weights.items())


def test_where_one_version_failed_the_other_trains_longer(tmp_path: Path) -> None:
    recipe = small(tmp_path, "search.scaling=both", "search.longer=2", "search.rounds=2")
    find(recipe, tmp_path / "run", HERE)
    run = RunFolder(tmp_path / "run")
    long, wrong = run.round(0, "shuffle-longer", 2), run.round(0, "shuffle", 2)
    result = wrong.read_result()
    assert result is not None
    wrong.result.write_text(replace(result, status="failed", why="for a test").to_json(), encoding="utf-8")
    for file in long.path.iterdir():
        file.unlink()
    find(recipe, tmp_path / "run", HERE)
    assert read_ticket(long.ticket)[0].origin.arm == "shuffle-scaled-longer"
    done = long.read_result()
    assert done is not None
    assert done.status == "done"


def test_a_longer_control_has_the_short_ones_mask(tmp_path: Path) -> None:
    recipe = small(tmp_path, 'search.controls=["snip"]', "search.longer=2")
    find(recipe, tmp_path / "run", HERE)
    run = RunFolder(tmp_path / "run")
    short, long = (read_ticket(run.round(0, arm, 2).ticket)[0] for arm in ("snip", "snip-longer"))
    assert short.mask.distance(long.mask) == 0
    result = run.round(0, "snip-longer", 2).read_result()
    assert result is not None
    assert result.selection.startswith("best on validation")


def test_a_criterion_that_cannot_score_fails_its_control_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked: list[Unit]
) -> None:
    def none(task: object, batches: object, seed: int = 0) -> object:
        raise TicketError("no such scores here")

    monkeypatch.setitem(arms.CRITERIA, "grasp", none)
    recipe = small(tmp_path, 'search.controls=["grasp", "shuffle"]', "verdict.forks=[]")
    find(recipe, tmp_path / "run", HERE)
    found = {(result.arm, result.round): result for result in read_results(tmp_path / "run")}
    failed = found.pop(("grasp", 2))
    assert (failed.status, failed.why) == ("failed", "control 'grasp': no such scores here")
    assert {result.status for result in found.values()} == {"done"}
    assert found[BESIDE, 2].beside == {"arms": {"ticket": {}, "shuffle": {}}}


def test_where_a_ticket_failed_there_is_nothing_to_look_at(tmp_path: Path, looked: list[Unit]) -> None:
    recipe = small(tmp_path, "train.lr=1e20", "verdict.forks=[]", "search.controls=[]")
    find(recipe, tmp_path / "run", HERE)
    result = RunFolder(tmp_path / "run").round(0, BESIDE, 2).read_result()
    assert result is not None
    assert (result.status, looked) == ("not run", [])
    assert "ticket" in str(result.why)


def test_a_look_has_no_figures_and_costs_no_step(tmp_path: Path, looked: list[Unit]) -> None:
    recipe = small(tmp_path, "verdict.forks=[]", "verdict.twice=false", "verdict.whole=false")
    find(recipe, tmp_path / "run", HERE)
    result = RunFolder(tmp_path / "run").round(0, BESIDE, 2).read_result()
    assert result is not None
    assert (result.test, result.valid, result.trained, result.steps) == ({}, {}, 0, 0)
    assert set(result.seconds) == {"evaluate"}
    assert [unit.key for unit in looked] == [(0, BESIDE, 2)]
    assert estimate(recipe, tmp_path / "new", HERE)["arms"] == ["beside", "shuffle", "ticket"]


# -- stopped and gone on ---------------------------------------------------------------------------------------------


def test_arms_of_a_verdict_that_keep_dying_end_with_the_same_bytes(
    judged: tuple[Recipe, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them is stopped after every step, in the dense training on its way to its start too."""
    recipe, run = judged
    again = RunFolder(tmp_path / "run")
    again.path.mkdir()
    again.record.write_bytes(run.record.read_bytes())  # results say whose they are
    for round in (0, 2):
        place = again.round(0, "ticket", round)
        place.path.mkdir(parents=True)
        for name in ("ticket.safetensors", "trained.safetensors", "images.safetensors", "result.json"):
            (place.path / name).write_bytes((run.round(0, "ticket", round).path / name).read_bytes())
    some = ("dense-twice", "fork-1", "fork-9-other", "fork-4-other", "snip")
    units = [unit for unit in planned(recipe) if unit.seed == 0 and unit.arm in some]
    assembly = assembled(recipe)
    stops: Counter[str] = Counter()
    for unit in units:
        for _ in range(40):
            try:
                job_of(assembly, again, unit, stop=lambda: True).do()
                break
            except Stopped:
                stops[unit.arm] += 1
    assert all(stops[unit.arm] == unit.steps for unit in units), stops
    ours, whole = content(again.path), content(run.path)
    assert len(ours) >= 3 * len(some)
    assert all(whole[path] == data for path, data in ours.items())


# -- runs that grow --------------------------------------------------------------------------------------------------


GROWN = ['search.controls=["shuffle", "narrow"]', "search.control_rounds=[1,2]", "search.longer=2",
         "search.scaling=both", "search.budget=true", "verdict.forks=[0,9]", "search.seeds=2"]  # fmt: skip


def test_a_run_grows_by_all_that_adds_arms_to_the_bytes_of_one_that_had_them(
    tmp_path: Path, looked: list[Unit]
) -> None:
    """Though trained networks of rounds between have been dropped: nothing that is added needs them."""
    fewer = ["search.rounds=2", "claim.sparsities=[0.64]"]  # more levels would be another claim, of another run
    few, many = small(tmp_path, *fewer), small(tmp_path, *fewer, *GROWN[:-1])
    find(few, tmp_path / "run", HERE)
    run = RunFolder(tmp_path / "run")
    assert not run.round(0, "ticket", 1).trained.is_file(), "it was dropped"
    before, given = content(run.path), run.recipe.read_bytes()
    find(many, run.path, HERE)
    find(many, tmp_path / "whole", HERE)
    assert content(run.path) == content(tmp_path / "whole")
    assert before.items() <= content(run.path).items()
    assert {result.status for result in read_results(run.path)} == {"done"}
    assert run.recipe.read_bytes() == given, "the text stays as it was given"
    assert progress_of(run) == (len(planned(many)), len(planned(many)))
    find(few, run.path, HERE)
    assert content(run.path) == content(tmp_path / "whole"), "a request for less changes nothing"


@pytest.mark.parametrize("more", GROWN, ids=lambda one: one.partition("=")[0])
def test_each_way_to_grow_is_allowed_and_its_opposite_refused(more: str, tmp_path: Path) -> None:
    few, many = small(tmp_path), small(tmp_path, 'search.controls=["shuffle"]', more)
    assert may_extend(few, as_begun(many, few))
    assert not may_extend(many, as_begun(few, many))


@pytest.mark.parametrize(
    "change",
    ["train.lr=1e-3", "search.rounds=4", "claim.margin=0.05", "claim.alpha=0.1", "claim.looks=3",
     "claim.sparsities=[0.4, 0.64]", "quality.samples=100"],
)  # fmt: skip
def test_a_run_does_not_grow_by_another_recipe_or_another_claim(change: str, tmp_path: Path) -> None:
    few = small(tmp_path)
    many = small(tmp_path, "search.seeds=2", "search.control_rounds=[1,2]", change)
    assert not may_extend(few, as_begun(many, few))


def test_what_does_not_grow_is_refused_with_the_difference_and_changes_nothing(tmp_path: Path) -> None:
    find(small(tmp_path, "search.longer=2"), tmp_path / "run", HERE)
    before, record = content(tmp_path / "run"), (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(TicketError, match=r"search\.longer: 2 -> 3"):
        find(small(tmp_path, "search.longer=3"), tmp_path / "run", HERE)
    with pytest.raises(TicketError, match=r"search\.seeds: 1 -> 2"):
        find(small(tmp_path, "search.longer=2", "search.seeds=2", "search.controls=[]"), tmp_path / "run", HERE)
    with pytest.raises(TicketError, match="threads"):
        find(small(tmp_path, "search.longer=2", "search.seeds=2"), tmp_path / "run", Options(jobs=0, threads=2))
    assert content(tmp_path / "run") == before
    assert (tmp_path / "run" / "run.json").read_bytes() == record


def test_levels_declared_at_the_start_stay_when_controls_run_at_more(tmp_path: Path) -> None:
    find(small(tmp_path), tmp_path / "run", HERE)
    find(small(tmp_path, "search.control_rounds=[1,2,3]"), tmp_path / "run", HERE)
    record = RunFolder(tmp_path / "run").read_record()
    assert record["recipe"]["search"]["control_rounds"] == [1, 2, 3]
    assert record["recipe"]["claim"]["sparsities"] == [1 - 0.6**2]
    assert check_declared(record)


def test_a_look_is_taken_again_when_there_is_more_to_see(tmp_path: Path, looked: list[Unit]) -> None:
    find(small(tmp_path, "verdict.forks=[]"), tmp_path / "run", HERE)
    find(small(tmp_path, "verdict.forks=[]", "search.longer=2"), tmp_path / "run", HERE)
    assert len(looked) == 1, "longer arms are not looked at"
    find(small(tmp_path, "verdict.forks=[4]", "search.longer=2"), tmp_path / "run", HERE)
    assert len(looked) == 2
    result = RunFolder(tmp_path / "run").round(0, BESIDE, 2).read_result()
    assert result is not None
    assert set(result.beside["arms"]) == {"ticket", "shuffle", "fork-4-other"}


def test_a_run_that_has_grown_is_resumed_by_the_command_that_it_gives(tmp_path: Path) -> None:
    few, many = small(tmp_path), small(tmp_path, *GROWN)
    run = RunFolder(tmp_path / "run")
    find(small(tmp_path), run.path, HERE)
    record = extended(run, run.read_record(), few, as_begun(many, few))
    assert record == run.read_record()
    words = shlex.split(resuming(run))
    overrides = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    again = load_recipe(words[2], overrides=overrides)
    assert as_begun(again, recipe_from(record["recipe"])).resolved() == record["recipe"]


def test_an_early_birds_run_grows_though_its_search_has_dropped_its_states(tmp_path: Path) -> None:
    text = SMALL.replace('controls = ["shuffle"]\ncontrol_rounds = [2]\n', "").replace("rewind_to = 4\n", "")
    bird = ["search.method=early_bird", "search.by=weights", "search.rule=published", "search.tolerance=0.9",
            "search.every=1", "search.patience=2", "search.rounds=1", "claim.level=0.4"]  # fmt: skip
    few = small(tmp_path, *bird, text=text)
    many = small(tmp_path, *bird, 'search.controls=["shuffle", "reinit"]', "search.longer=2", text=text)
    find(few, tmp_path / "run", HERE)
    assert not list((tmp_path / "run").glob("**/level-*"))
    find(many, tmp_path / "run", HERE)
    find(many, tmp_path / "whole", HERE)
    assert {result.status for result in read_results(tmp_path / "run")} == {"done"}
    assert content(tmp_path / "run") == content(tmp_path / "whole")


# -- the declared claim ----------------------------------------------------------------------------------------------


def test_a_run_declares_its_claim_and_remembers_how_many_seeds_were_asked_for(tmp_path: Path) -> None:
    few = small(tmp_path, "search.controls=[]", "search.rounds=2")
    find(few, tmp_path / "run", HERE)
    run = RunFolder(tmp_path / "run")
    claim = run.read_record()["claim"]
    assert claim["declared"] == {
        "metric": "negative_elbo", "margin": 0.02, "level": 0.64, "alpha": 0.05, "sparsities": [1 - 0.6**2],
        "looks": 2, "seeds": 1, "controls": ["reinit", "shuffle", "random-erk", "narrow"],
    }  # fmt: skip
    assert claim["declared"] == declared(few)
    assert (claim["hash"], claim["seeds"]) == (claim_hash(few), [1])
    for seeds in (2, 2, 3):
        find(small(tmp_path, "search.controls=[]", "search.rounds=2", f"search.seeds={seeds}"), run.path, HERE)
    assert run.read_record()["claim"] == {**claim, "seeds": [1, 2, 3]}
    assert check_declared(run.read_record())


def test_the_hash_is_over_the_claim_and_what_it_is_about(tmp_path: Path) -> None:
    one = claim_hash(small(tmp_path, "search.seeds=2"))
    assert len(one) == 64
    more = [*GROWN[:1], "search.longer=2", "search.budget=true", "verdict.forks=[0]", "search.scaling=both"]
    assert claim_hash(small(tmp_path, "search.seeds=2", *more)) == one
    for change in ("claim.margin=0.01", "claim.alpha=0.01", "claim.looks=1", "claim.level=0.4", "train.lr=1e-3",
                   "seed=4", "search.seeds=3", "claim.metric=reconstruction"):  # fmt: skip
        more = ["search.control_rounds=[1,2]", "claim.sparsities=[0.4]"] if "level" in change else []
        assert claim_hash(small(tmp_path, "search.seeds=2", *more, change)) != one, change


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("recipe", "claim", "margin"), 0.05, "margin: 0.02 -> 0.05"),
        (("recipe", "train", "lr"), 0.1, "its hash does not fit the recipe"),
        (("claim", "declared", "seeds"), 3, "seeds asked for"),
        (("claim", "declared", "alpha"), 0.1, "alpha: 0.1 -> 0.05"),
        (("claim", "seeds"), [1, 2], "seeds asked for"),
        (("claim", "hash"), "0", "its hash does not fit the recipe"),
        (("claim", "declared"), None, "damaged"),
    ],
)
def test_a_record_that_somebody_edited_is_refused(
    where: tuple[str, ...], value: object, said: str, tmp_path: Path
) -> None:
    recipe = small(tmp_path)
    told = {"recipe": recipe.resolved(), "claim": claim_record(recipe)}
    record: dict[str, Any] = json.loads(json.dumps(told))
    assert check_declared(record)
    place = record
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    with pytest.raises(TicketError, match=said) as caught:
        check_declared(record)
    assert caught.value.status == Status.TICKET


def test_a_run_of_an_earlier_version_grows_and_has_declared_nothing(tmp_path: Path) -> None:
    """Its run.json knows of no alpha, looks and levels, and holds no claim; its seeds began at 0."""
    find(small(tmp_path, "seed=0"), tmp_path / "run", HERE)
    run = RunFolder(tmp_path / "run")
    record = run.read_record()
    del record["claim"]
    for key in ("alpha", "looks", "sparsities"):
        del record["recipe"]["claim"][key]
    run.record.write_bytes(run.record_text(record))
    assert not check_declared(run.read_record())
    find(small(tmp_path), run.path, HERE)
    find(small(tmp_path, "search.control_rounds=[1,2]", "search.seeds=2"), run.path, HERE)
    record = run.read_record()
    assert record["recipe"]["claim"]["sparsities"] == [1 - 0.6**2]
    assert "claim" not in record
    assert not check_declared(record)


def test_a_recipe_without_a_claim_declares_none(tmp_path: Path) -> None:
    bare = small(tmp_path, text=SMALL[: SMALL.index("[claim]")])
    with pytest.raises(TicketError, match=r"add a \[claim\]"):
        declared(bare)
    find(bare, tmp_path / "run", HERE)
    assert not check_declared(RunFolder(tmp_path / "run").read_record())


# -- the recipe that a verdict asks for ------------------------------------------------------------------------------


def test_a_completed_recipe_by_hand(tmp_path: Path) -> None:
    recipe = small(tmp_path, "search.control_rounds=[1,2]")
    asked = complete(recipe)
    search = asked.search
    assert search.controls == ("shuffle", "reinit", "random-erk", "narrow")
    assert (search.control_rounds, search.scaling, search.longer, search.budget) == ((1, 2), "both", 5, False)
    assert asked.fork_steps == [0, 3, 4, 8]
    assert asked.claim is not None
    assert asked.claim.sparsities == (0.4, 1 - 0.6**2)
    assert (asked.text, asked.name) == (recipe.text, recipe.name)
    assert missing(recipe) == ["reinit", "random-erk", "narrow", "shuffle-scaled", "longer", "dense-twice"]
    assert missing(asked) == []
    assert complete(asked).resolved() == asked.resolved()


SHIPPED = ["digits_vae", "digits_ae", "digits_gan", "quick/vae_earlybird", "paper/table2_imp", "width/sparse_or_narrow"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_completed_recipe_declares_the_same_claim_and_is_sound(name: str) -> None:
    recipe = load_recipe(name)
    asked = complete(recipe)
    assert claim_hash(asked) == claim_hash(recipe)
    assert declared(asked) == declared(recipe)
    assert recipe_from(asked.resolved()).resolved() == asked.resolved()
    before = {(unit.key, unit.span, unit.steps) for unit in planned(recipe)}
    assert before < {(unit.key, unit.span, unit.steps) for unit in planned(asked)}


def test_controls_are_completed_as_the_method_allows(tmp_path: Path) -> None:
    none = small(tmp_path, "search.controls=[]", "claim.level=validation")
    assert complete(none).search.controls == ("reinit", "shuffle", "random-erk", "narrow")
    assert (complete(none).control_rounds, complete(none).search.longer) == ([1, 2, 3], 0)
    assert "longer" not in missing(none)
    bird = load_recipe("quick/vae_earlybird")
    assert complete(bird).search.controls == (*bird.search.controls, "narrow")
    bare = bird.model_copy(update={"search": bird.search.model_copy(update={"controls": ()})})
    assert missing(bare)[:4] == ["random-channels", "low-channels", "scratch", "narrow"]
    plugin = [Path("my_models.py")]
    (tmp_path / "own.toml").write_text(SMALL.replace('"vae"', '"flow"').replace("width = 10", 'width = "wide"'))
    own = load_recipe(str(tmp_path / "own.toml"), plugins=plugin)
    assert "narrow" not in complete(own).search.controls


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quick/dcgan_earlybird", "add a \\[claim\\]"),
        ("width/gda", "sweep of widths"),
        ("quick/vae_to_gan", "gentickets transfer"),
    ],
)
def test_what_cannot_be_judged_is_told(name: str, said: str) -> None:
    for ask in (complete, missing):
        with pytest.raises(TicketError, match=said) as caught:
            ask(load_recipe(name))
        assert caught.value.status == Status.REQUEST


def test_a_recipe_that_rewinds_the_learning_rate_alone_cannot_be_judged(tmp_path: Path) -> None:
    text = SMALL[: SMALL.index("[claim]")].replace('controls = ["shuffle"]', "")
    with pytest.raises(TicketError, match=r"search\.rewind = 'lr'"):
        complete(small(tmp_path, "search.rewind=lr", text=text))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ["claim.sparsities=[0.5, 0.64]"],
            r"claim.sparsities\[0\]: 0.5 is the sparsity of no round; .* 0.400 \(round 1\)",
        ),
        (["claim.sparsities=[0.64, 0.4]"], r"claim.sparsities\[1\]: 0.4 is round 1, at which no control runs"),
        (["claim.sparsities=[0.64, 0.6401]"], "stands there already"),
        (["claim.sparsities=[0.4]", "search.control_rounds=[1,2]"], "claim.sparsities: lacks claim.level = 0.64"),
        (["claim.sparsities=[0.64, 1.5]"], "a number above 0 and below 1"),
        (["verdict.forks=[3, 16]"], r"verdict.forks\[1\]: 16 is not below train.steps = 16"),
        (["verdict.forks=[3, 3]"], "3 stands there twice"),
        (["verdict.forks=[-1]"], "must be a whole number of at least 0"),
        (["verdict.twise=true"], "Did you mean 'twice'"),
        (["search.method=at_start", "search.criterion=snip", 'search.controls=["snip"]'], "how the ticket itself is"),
    ],
)
def test_what_a_verdict_cannot_be_asked_for_is_refused(changes: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(TicketError, match=said) as caught:
        small(tmp_path, *changes)
    assert len(str(caught.value).splitlines()) == 1


def test_a_verdict_without_a_claim_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TicketError, match=r"verdict: judges a claim, and there is none; add a \[claim\] section"):
        small(tmp_path, "verdict.twice=true", text=SMALL[: SMALL.index("[claim]")])
