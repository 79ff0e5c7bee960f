"""The arms of equal total compute: how long they train, from where, under which mask; and who needs none."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import HERE, recipe_text

from gentickets.actions.dry_run import estimate
from gentickets.analysis.summary import summarize
from gentickets.arms import WHOLE
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.dispatch import job_of
from gentickets.experiment.extend import may_extend
from gentickets.experiment.job import Stopped
from gentickets.experiment.plan import Unit, plan_units, search_budget
from gentickets.experiment.run import find
from gentickets.ledger import Compute, total_compute
from gentickets.masks import full_mask
from gentickets.recipe import Recipe, load_recipe, parse_recipe, recipe_from
from gentickets.recipe.asked import complete, missing
from gentickets.recipe.meaning import claim_hash
from gentickets.recipe.whole import NO_LEVEL, NO_SEARCH, NOT_ASKED, total_steps, whole_arms, why_no_whole_arms
from gentickets.results import read_results
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket
from gentickets.tickets import Snapshot, Ticket
from gentickets.training import grow, train

pytestmark = pytest.mark.usefixtures("without_pictures")

STEPS, REWIND, LEVEL = 12, 4, 2
TOTAL = STEPS + LEVEL * (STEPS - REWIND)
TEXT = "seed = 0\n" + recipe_text(
    task={"width": 10, "depth": 1, "latent": 2},
    data={"batch_size": 32},
    train={"steps": STEPS, "lr": 0.01, "schedule": "cosine"},
    search={"rounds": 3, "keep": 0.6, "rewind_to": REWIND, "controls": ["random-erk", "narrow"], "scaling": "off"},
    claim={"metric": "negative_elbo", "level": 0.64},
    quality={"checkpoints": 2, "frechet": False},
)
ASKED = f"{TEXT}\n[verdict]\ntwice = false\nforks = []\nbeside = false\n"


def planned(recipe: Recipe) -> dict[str, Unit]:
    """The whole arms of the first seed."""
    return {unit.arm: unit for unit in plan_units(recipe) if unit.kind.whole and unit.seed == recipe.seeds[0]}


# -- how long, and which ----------------------------------------------------------------------------------------------


def test_the_digits_vaes_by_hand() -> None:
    recipe = complete(load_recipe("digits_vae"))
    assert (recipe.claim_round, total_steps(recipe, 5), search_budget(recipe)) == (5, 500 + 5 * 450, 2750)
    units = [unit for unit in plan_units(recipe) if unit.kind.whole]
    assert {(unit.seed, unit.arm, unit.round, unit.span, unit.steps) for unit in units} == {
        (seed, arm, 5, 2750, 2750)
        for seed in range(5)
        for arm in ("dense-whole", "random-erk-whole", "reinit-whole", "narrow-whole")
    }
    needs = {unit.arm: unit.needs for unit in units if unit.seed == 0}
    masked = ("random-erk-whole", "reinit-whole", "narrow-whole")
    assert needs == {"dense-whole": (), **dict.fromkeys(masked, ((0, "ticket", 5),))}


@pytest.mark.parametrize(
    ("changes", "why", "arms"),
    [
        ({}, "", ["dense-whole", "random-erk-whole", "reinit-whole", "narrow-whole"]),
        ({"method": "one_shot"}, "", ["dense-whole", "random-erk-whole", "reinit-whole", "narrow-whole"]),
        ({"method": "at_start", "criterion": "snip", "controls": ["random-erk"]}, NO_SEARCH, []),
        ({"method": "early_bird", "by": "weights", "controls": ["random-erk"], "rewind_to": None}, NO_SEARCH, []),
        (
            {"method": "early_bird", "by": "weights", "after": "rewind", "controls": ["random-erk"]},
            "",
            ["dense-whole", "random-erk-whole", "reinit-whole", "narrow-whole"],
        ),
    ],
)
def test_who_needs_them(changes: dict[str, object], why: str, arms: list[str]) -> None:
    search = {"rounds": 3, "keep": 0.6, "rewind_to": REWIND, "controls": ["random-erk", "narrow"], **changes}
    claim = {"metric": "negative_elbo", "level": 0.64}
    search = {key: value for key, value in search.items() if value is not None}
    recipe = complete(parse_recipe(recipe_text(train={"steps": STEPS}, search=search, claim=claim), name="x"))
    assert why_no_whole_arms(recipe) == why
    assert whole_arms(recipe) == arms
    assert list(planned(recipe)) == arms


def test_of_channels_the_tickets_shape_starts_anew_and_masks_mean_nothing() -> None:
    bird = load_recipe("quick/vae_earlybird")
    assert why_no_whole_arms(complete(bird)) == NO_SEARCH
    rewound = bird.model_copy(update={"search": bird.search.model_copy(update={"after": "rewind"})})
    assert whole_arms(complete(rewound)) == ["dense-whole", "narrow-whole", "scratch-whole"]


def test_they_come_with_a_verdict_at_a_declared_level_unless_they_are_left_out() -> None:
    recipe = parse_recipe(TEXT, name="x")
    assert why_no_whole_arms(recipe) == NOT_ASKED, "find trains none"
    assert planned(recipe) == {}
    asked = complete(recipe)
    assert list(planned(asked)) == whole_arms(asked) == [arm for arm in WHOLE if arm != "scratch-whole"]
    without = parse_recipe(ASKED + "whole = false\n", name="x")
    assert (planned(complete(without)), why_no_whole_arms(without)) == ({}, NOT_ASKED)
    undeclared = parse_recipe(TEXT.replace("level = 0.64", 'level = "validation"'), name="x")
    assert (planned(complete(undeclared)), why_no_whole_arms(complete(undeclared))) == ({}, NO_LEVEL)


def test_a_claim_takes_them_on_by_growing_and_no_first_verdict_waits_for_them() -> None:
    with_, without = (parse_recipe(ASKED + f"whole = {word}\n", name="x") for word in ("true", "false"))
    assert claim_hash(with_) == claim_hash(without)
    assert may_extend(without, with_)
    assert missing(with_) == missing(without)


# -- what they train --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("whole") / "run"
    find(parse_recipe(ASKED, name="x"), folder, HERE)
    return RunFolder(folder)


def assembled() -> Assembly:
    return Assembly(parse_recipe(ASKED, name="x"), root=Path("data"))


def ticket_of(run: RunFolder, arm: str, round: int = LEVEL) -> Ticket:
    return read_ticket(run.round(0, arm, round).ticket)[0]


def trained_of(run: RunFolder, arm: str) -> Snapshot:
    return read_snapshot(run.round(0, arm, LEVEL).trained)[0]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def plainly_trained(purpose: str, span: int, **keywords: object) -> dict[str, torch.Tensor]:
    """A dense network trained for so many steps and nothing else, its schedule as long."""
    assembly = assembled()
    training = assembly.training(assembly.task(0, purpose=purpose, **keywords), span)
    train(training, assembly.batches(0), range(span), mask=full_mask(training.task), seed=0)
    return dict(training.snapshot(span).weights)


def test_dense_whole_is_a_plain_training_of_as_many_steps_bit_for_bit(run: RunFolder) -> None:
    found = dict(trained_of(run, "dense-whole").weights)
    assert same(found, plainly_trained("init", TOTAL))
    assert not same(found, plainly_trained("init", TOTAL - 1)), "one step less is another network"


def test_narrow_whole_is_a_plain_training_of_the_narrow_network(run: RunFolder) -> None:
    result = run.round(0, "narrow-whole", LEVEL).read_result()
    short = run.round(0, "narrow", LEVEL).read_result()
    assert result is not None
    assert short is not None
    assert result.width == short.width is not None
    assert same(dict(trained_of(run, "narrow-whole").weights), plainly_trained("init", TOTAL, width=result.width))


@pytest.mark.parametrize(
    ("arm", "like", "purpose"), [("reinit-whole", "ticket", "reinit"), ("random-erk-whole", "random-erk", "init")]
)
def test_masks_are_those_of_the_ticket_and_of_static_erk_on_untrained_weights(
    arm: str, like: str, purpose: str, run: RunFolder
) -> None:
    made, assembly = ticket_of(run, arm), assembled()
    assert made.mask.distance(ticket_of(run, like).mask) == 0
    other = ticket_of(run, "ticket" if like != "ticket" else "random-erk")
    assert made.mask.distance(other.mask) > 0
    assert (made.origin.rewind_to, made.origin.round, made.origin.arm) == (0, LEVEL, arm)
    fresh = assembly.task(0, purpose=purpose).state_dict()
    for name, kept in made.mask.items():
        assert torch.equal(made.weights[name], fresh[name] * kept)
    training = assembly.training(assembly.task(0), TOTAL)
    grow(training, made, assembly.batches(0), seed=0)
    assert same(dict(trained_of(run, arm).weights), dict(training.snapshot(TOTAL).weights))


def test_checkpoints_are_chosen_as_the_tickets_are(run: RunFolder) -> None:
    ticket = run.round(0, "ticket", LEVEL).read_result()
    assert ticket is not None
    assert ticket.selection == "mean of last 2"
    for arm in planned(parse_recipe(ASKED, name="x")):
        result = run.round(0, arm, LEVEL).read_result()
        assert result is not None
        assert (result.status, result.selection) == ("done", ticket.selection)
        assert (result.steps, result.trained, [one["step"] for one in result.checkpoints]) == (TOTAL, TOTAL, [27, 28])


def test_a_run_that_was_judged_without_them_takes_them_on_and_keeps_the_rest(run: RunFolder, tmp_path: Path) -> None:
    own, recipe = RunFolder(tmp_path / "run"), parse_recipe(ASKED, name="x")
    find(parse_recipe(ASKED + "whole = false\n", name="x"), own.path, HERE)
    waiting = summarize(read_results(own.path), recipe).missing
    assert waiting == tuple(f"{arm}: 0 of 1 rounds are done" for arm in planned(recipe))
    before = {path: path.read_bytes() for path in own.path.glob("seed-*/*/*/*")}
    assert not [path for path in before if "whole" in str(path.relative_to(own.path))]
    find(recipe, own.path, HERE)
    for arm in planned(recipe):
        assert own.round(0, arm, LEVEL).trained.read_bytes() == run.round(0, arm, LEVEL).trained.read_bytes()
    kept = {path: path.read_bytes() for path in before if path.exists()}
    assert summarize(read_results(own.path), recipe).missing == ()
    assert all(content == before[path] for path, content in kept.items())
    assert {path for path in before if path.name == "result.json"} <= kept.keys()


def test_a_record_that_does_not_know_of_them_asks_for_them() -> None:
    record = parse_recipe(ASKED, name="x").resolved()
    del record["verdict"]["whole"]
    assert whole_arms(recipe_from(record)) == whole_arms(parse_recipe(ASKED, name="x"))


def test_an_estimate_counts_them(tmp_path: Path) -> None:
    told = {
        word: estimate(parse_recipe(ASKED + f"whole = {word}\n", name="x"), tmp_path / "new", HERE)
        for word in ("true", "false")
    }
    assert told["true"]["steps_left"] - told["false"]["steps_left"] == 4 * TOTAL
    assert set(told["true"]["arms"]) - set(told["false"]["arms"]) == set(WHOLE) - {"scratch-whole"}


@pytest.mark.parametrize("arm", ["dense-whole", "reinit-whole"])
def test_one_that_was_stopped_goes_on_to_the_same_bytes(arm: str, run: RunFolder, tmp_path: Path) -> None:
    own = RunFolder(Path(shutil.copytree(run.path, tmp_path / "run")))
    unit, folder = planned(parse_recipe(ASKED, name="x"))[arm], own.round(0, arm, LEVEL)
    for file in folder.path.iterdir():
        file.unlink()
    looked = iter(range(1000))
    with pytest.raises(Stopped):
        job_of(assembled(), own, unit, stop=lambda: next(looked) == 9, save_every=0.0).do()
    assert not folder.trained.exists()
    job_of(assembled(), own, unit).do()
    assert folder.trained.read_bytes() == run.round(0, arm, LEVEL).trained.read_bytes()


# -- what they took ---------------------------------------------------------------------------------------------------


def test_total_compute_by_hand(run: RunFolder) -> None:
    recipe, results = parse_recipe(ASKED, name="x"), read_results(run.path)
    told = total_compute(results, recipe, LEVEL)
    assert told is not None
    tickets = [run.round(0, "ticket", round).read_result() for round in range(LEVEL + 1)]
    flops = [result.flops for result in tickets if result is not None]
    dense = flops[0]["step"]
    assert [one["step"] for one in flops] == [dense] * 3, "a mask saves nothing by itself"
    assert [one["masked_step"] / dense < 1 for one in flops] == [False, True, True]
    once = STEPS - REWIND
    scored = sum(result.spent.get("score", 0.0) for result in tickets if result is not None)
    masked = STEPS * dense + once * (flops[1]["masked_step"] + flops[2]["masked_step"])
    assert told.ticket == Compute(TOTAL, TOTAL * dense + scored, pytest.approx(masked + scored))
    assert told.own == Compute(once, once * dense, pytest.approx(once * flops[2]["masked_step"]))
    assert (told.seeds, told.why_none) == ((0,), "")
    search, saved = masked + scored - told.own.masked, once * (dense - flops[2]["masked_step"])
    assert told.reuses == {"seconds": None, "executed": None, "masked": math.ceil(search / saved)}
    for arm, compute in told.arms.items():
        result = run.round(0, arm, LEVEL).read_result()
        assert result is not None
        step, sparse = result.flops["step"], result.flops["masked_step"]
        assert compute == Compute(TOTAL, TOTAL * step, pytest.approx(TOTAL * sparse))
        assert (sparse < step) == bool(result.sparsity)
    assert list(told.arms) == whole_arms(recipe)
    assert json.loads(json.dumps(told.as_dict()))["reuses"]["executed"] is None


def test_means_are_over_seeds_and_what_is_not_known_is_left_out(run: RunFolder) -> None:
    recipe, results = parse_recipe(ASKED, name="x"), read_results(run.path)
    again = [replace(one, seed=1) for one in results if one.arm != "reinit-whole"]
    assert total_compute([*results, *again], recipe, LEVEL) == replace(
        total_compute(results, recipe, LEVEL), seeds=(0, 1)
    )
    assert total_compute([one for one in results if one.arm != "ticket"], recipe, LEVEL) is None
    vague = [replace(one, uncounted={"train": ["aten::strange"]}) for one in results]
    told = total_compute(vague, recipe, LEVEL)
    assert told is not None
    assert (told.ticket, told.reuses) == (Compute(TOTAL, None, None), {"seconds": None})


def test_a_run_of_an_earlier_version_tells_the_forward_pass_alone(run: RunFolder) -> None:
    recipe, results = parse_recipe(ASKED, name="x"), read_results(run.path)
    earlier = [
        replace(one, flops={key: value for key, value in one.flops.items() if key != "masked_step"}) for one in results
    ]
    told, ticket = total_compute(earlier, recipe, LEVEL), run.round(0, "ticket", LEVEL).read_result()
    assert told is not None
    assert ticket is not None
    density = ticket.flops["masked"] / ticket.flops["own"]
    assert told.own.masked == pytest.approx((STEPS - REWIND) * ticket.flops["step"] * density)


def test_a_ticket_that_is_pruned_at_the_start_has_nothing_to_pay_back(tmp_path: Path) -> None:
    text = ASKED.replace("rounds = 3", 'rounds = 2\nmethod = "at_start"\ncriterion = "magnitude"')
    recipe = parse_recipe(text.replace("[verdict]\n", "[verdict]\nwhole = true\n"), name="x")
    find(recipe, tmp_path / "run", HERE)
    told = total_compute(read_results(tmp_path / "run"), recipe, LEVEL)
    assert told is not None
    assert (told.ticket.steps, told.own.steps, told.arms, told.why_none) == (STEPS, STEPS - REWIND, {}, NO_SEARCH)
