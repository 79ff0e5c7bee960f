"""Transfers as runs: sources gathered and kept, arms as they are defined, resuming, the command and the matrix."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gentickets_cli.matrix import run_matrix
from helpers import EVERY_STEP, Killed, call, content, recipe_text, unlike

from gentickets.actions.locate import recipe_of
from gentickets.actions.transfer import adopt, check_source
from gentickets.actions.transfer_target import load_target, started
from gentickets.actions.transfer_tickets import nearest_levels, served
from gentickets.controls import shuffle
from gentickets.data import Images, load, shared
from gentickets.errors import Status, TicketError
from gentickets.experiment import checkpoint as notes
from gentickets.experiment.assembly import Assembly
from gentickets.experiment.options import Options
from gentickets.experiment.plan import plan_units, transfer_arms
from gentickets.experiment.run import find
from gentickets.experiment.transfer_source import StoredSource
from gentickets.portable import signs_shuffled
from gentickets.quality import reference
from gentickets.recipe import Recipe, parse_recipe, with_changes
from gentickets.report.schemas import schema_of
from gentickets.results import read_results
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_snapshot, read_ticket
from gentickets.runs.portable import read_portable
from gentickets.search import CRITERION_BATCHES, first_ticket
from gentickets.seeds import derive
from gentickets.tickets import load_weights
from gentickets.transfer import aligned, alignment, movable_groups

pytestmark = pytest.mark.usefixtures("without_pictures", "without_plots")

HERE = Options(jobs=0, device="cpu", keep_all=True)
VAE = "seed = 0\n" + recipe_text(
    task={"network": "mlp", "width": 12, "depth": 2, "latent": 4},
    train={"steps": 16, "lr": 0.002},
    search={"rounds": 2, "keep": 0.6, "rewind_to": 2, "prune": ["decoder"], "seeds": 2},
    claim={"metric": "negative_elbo", "level": 0.64},
)
GAN = "seed = 0\n" + recipe_text(
    task={"family": "gan", "network": "mlp", "width": 12, "depth": 2, "latent": 4},
    train={"steps": 16, "lr": 0.002},
    search={
        "rounds": 2,
        "keep": 0.6,
        "rewind_to": 3,
        "prune": ["generator"],
        "seeds": 2,
        "controls": ["reinit"],
        "control_rounds": [2],
    },
    quality={"samples": 64, "figures": ["frechet"], "frechet": None},
    claim={"metric": "frechet", "level": 0.64},
    transfer={},
)


def target(*overrides: str, **section: object) -> Recipe:
    return parse_recipe(GAN, name="gan", overrides=overrides, transfer=section)


def run_transfer(source: Path, recipe: Recipe, out: Path, options: Options = HERE) -> Path:
    gathered = check_source(source, recipe, options)
    find(gathered.recipe, out, options, prepare=gathered.keep)
    return out


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("source") / "vae"
    find(parse_recipe(VAE, name="vae"), out, HERE)
    return out


@pytest.fixture(scope="module")
def to_gan(vae: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_transfer(vae, target(rounds=[1, 2]), tmp_path_factory.mktemp("run") / "vae-to-gan")


def ticket_of(run: Path, seed: int, arm: str, round: int):  # type: ignore[no-untyped-def]
    return read_ticket(RunFolder(run).round(seed, arm, round).ticket)[0]


# -- what runs ------------------------------------------------------------------------------------------------


def test_arms_of_a_transfer_and_their_steps() -> None:
    recipe = target("search.longer=2", rounds=[1, 2])
    arms = transfer_arms(recipe)
    assert arms == [
        "transfer", "transfer-shuffle", "transfer-shuffle-scaled", "transfer-unmasked", "transfer-mask",
        "transfer-mask-scaled",
    ]  # fmt: skip
    units = plan_units(with_changes(recipe, {"seed": 7, "search": {"seeds": 1}}))
    found = {(unit.arm, unit.round): (unit.span, unit.steps, unit.needs) for unit in units}
    assert found["transfer", 1] == found["transfer-unmasked", 2] == (16, 16, ())
    assert found["transfer-mask", 2] == (16, 13, ((7, "ticket", 0),)), "it starts as the native ticket does"
    assert found["transfer-longer", 2] == (32, 32, ())
    assert ("transfer-longer", 1) not in found, "longer is asked at the claim's level alone"
    assert not transfer_arms(parse_recipe(VAE))


@pytest.mark.parametrize(
    ("moves", "arms"),
    [
        ("signs", ["transfer", "transfer-signs-shuffle", "transfer-mask", "transfer-mask-scaled"]),
        ("mask", ["transfer", "transfer-shuffle", "transfer-shuffle-scaled"]),
    ],
)
def test_controls_follow_what_moves(moves: str, arms: list[str]) -> None:
    assert transfer_arms(target(moves=moves)) == arms


def test_every_arm_is_done_and_tells_its_source(to_gan: Path) -> None:
    results = [result for result in read_results(to_gan) if result.arm.startswith("transfer")]
    assert len(results) == 2 * 2 * 6
    for result in results:
        assert result.status == "done", result.why
        assert result.transfer["source"] == "vae"
        assert result.transfer["family"] == "vae"
        assert (result.transfer["seed"], result.transfer["round"]) == (1 - result.seed, result.round)
        assert result.transfer["covered"] == 1.0
        sparse = 0.0 if result.arm == "transfer-unmasked" else 1 - 0.6**result.round
        assert result.sparsity == pytest.approx(sparse, abs=2e-3)
    assert not any(result.transfer for result in read_results(to_gan) if not result.arm.startswith("transfer"))


def test_a_transferred_ticket_is_the_sources_and_the_rest_is_fresh(vae: Path, to_gan: Path) -> None:
    theirs, ours = ticket_of(vae, 0, "ticket", 2), ticket_of(to_gan, 1, "transfer", 2)  # another seed's
    for name, kept in ours.mask.items():
        other = name.replace("generator", "decoder")
        assert torch.equal(kept, theirs.mask[other])
        assert torch.equal(ours.weights[name], theirs.weights[other])
        bias = name.replace("weight", "bias")
        assert torch.equal(ours.weights[bias], theirs.weights[bias.replace("generator", "decoder")])
    assert sorted(ours.mask) == sorted(name.replace("decoder", "generator") for name in theirs.mask)
    assembly = Assembly(recipe_of(RunFolder(to_gan)), root=Path("data"))
    fresh = dict(assembly.task(1).named_parameters())
    for name, value in ours.weights.items():
        if name.startswith("discriminator"):
            assert torch.equal(value, fresh[name]), "a dense discriminator of the target's own"
    assert (ours.origin.rewind_to, ours.origin.method, ours.origin.arm) == (0, "transfer", "transfer")
    assert not ours.optim


def test_controls_are_what_they_say(vae: Path, to_gan: Path) -> None:
    early, own = ticket_of(vae, 1, "ticket", 0), ticket_of(to_gan, 0, "transfer", 2)
    unmasked = ticket_of(to_gan, 0, "transfer-unmasked", 2)
    assert unmasked.mask.density == 1
    name = "generator.2.weight"
    assert torch.equal(unmasked.weights[name], early.weights["decoder.2.weight"])
    mixed = ticket_of(to_gan, 0, "transfer-shuffle", 2)
    expected = shuffle(own, unmasked, 0)
    assert torch.equal(mixed.mask[name], expected.mask[name])
    assert not torch.equal(mixed.mask[name], own.mask[name])
    assert torch.equal(mixed.weights[name], unmasked.weights[name] * mixed.mask[name])
    scaled = ticket_of(to_gan, 0, "transfer-shuffle-scaled", 2)
    torch.testing.assert_close(scaled.weights[name], mixed.weights[name] * mixed.mask.densities[name] ** -0.5)
    alone, native = ticket_of(to_gan, 0, "transfer-mask", 2), ticket_of(to_gan, 0, "ticket", 0)
    assert torch.equal(alone.mask[name], own.mask[name])
    assert torch.equal(alone.weights[name], native.weights[name] * alone.mask[name])
    assert alone.origin.rewind_to == 3


def test_zeros_stay_zeros(to_gan: Path) -> None:
    for arm in ("transfer", "transfer-shuffle", "transfer-mask-scaled"):
        grown, _, _ = read_snapshot(RunFolder(to_gan).round(0, arm, 2).trained)
        mask = ticket_of(to_gan, 0, arm, 2).mask
        assert all(not grown.weights[name][~kept].any() for name, kept in mask.items())
        assert any(grown.weights[name][kept].any() for name, kept in mask.items())


def test_layers_that_got_nothing_are_pruned_alike_in_every_arm(vae: Path, tmp_path: Path) -> None:
    recipe = target("search.seeds=1", 'search.prune=["generator","discriminator"]', rest=0.3, routes={})
    run = run_transfer(vae, recipe, tmp_path / "rest")
    own, mixed = ticket_of(run, 0, "transfer", 2), ticket_of(run, 0, "transfer-shuffle", 2)
    name = "discriminator.3.weight"
    assert own.mask.densities[name] == pytest.approx(0.3, abs=0.01)
    for ticket in (own, mixed):
        assert int((ticket.weights[name] != 0).sum()) == ticket.mask.kept_in(name), "no survivor starts at zero"
    assert ticket_of(run, 0, "transfer-unmasked", 2).mask.density == 1


def test_arms_of_other_widths_keep_the_same_channels_and_weights(vae: Path, tmp_path: Path) -> None:
    recipe = target("search.seeds=1", "task.width=8", widths=True)
    run = run_transfer(vae, recipe, tmp_path / "widths")
    own, whole = ticket_of(run, 0, "transfer", 2), ticket_of(run, 0, "transfer-unmasked", 2)
    for name, kept in own.mask.items():
        assert torch.equal(own.weights[name][kept], whole.weights[name][kept]), name
    assert int((whole.weights["generator.2.weight"] != 0).sum()) == 64
    signs = run_transfer(vae, target("search.seeds=1", "task.width=16", widths=True, moves="signs"), tmp_path / "signs")
    assert {result.status for result in read_results(signs)} == {"done"}


def test_depth_and_noise_reach_the_networks(vae: Path, tmp_path: Path) -> None:
    recipe = target("search.seeds=1", "task.depth=3", match="order", deepen="append", noise=0.5)
    run = run_transfer(vae, recipe, tmp_path / "deep")
    made, theirs = ticket_of(run, 0, "transfer", 2), ticket_of(vae, 1, "ticket", 2)
    hidden = [name for name, kept in made.mask.items() if tuple(kept.shape) == (12, 12)]
    assert len(hidden) == 2
    for name in hidden:
        assert torch.equal(made.mask[name], theirs.mask["decoder.2.weight"])
        apart = (made.weights[name] - theirs.weights["decoder.2.weight"])[made.mask[name]]
        assert 0 < float(apart.std()) < float(theirs.weights["decoder.2.weight"].abs().max())
        assert not made.weights[name][~made.mask[name]].any()


def test_signs_move_without_weights(vae: Path, tmp_path: Path) -> None:
    run = run_transfer(vae, target("search.seeds=1", moves="signs", rounds=[1, 2]), tmp_path / "signs")
    made, native = ticket_of(run, 0, "transfer", 2), ticket_of(run, 0, "ticket", 0)
    assembly = Assembly(recipe_of(RunFolder(run)), root=Path("data"))
    fresh = dict(assembly.task(0).named_parameters())
    trained, _, _ = read_snapshot(RunFolder(vae).round(1, "ticket", 2).trained)
    name, theirs = "generator.2.weight", "decoder.2.weight"
    kept = made.mask[name]
    assert torch.equal(made.weights[name][kept] > 0, trained.weights[theirs][kept] > 0)
    sizes = fresh[name].detach().abs() * made.mask.densities[name] ** -0.5
    torch.testing.assert_close(made.weights[name].abs(), sizes * kept)
    mixed = ticket_of(run, 0, "transfer-signs-shuffle", 2)
    assert torch.equal(mixed.mask[name], kept)
    assert not torch.equal(mixed.weights[name] > 0, made.weights[name] > 0)
    assert torch.equal(mixed.weights[name].abs(), made.weights[name].abs())
    portable, _ = StoredSource(RunFolder(run)).portable(0, 2)
    expected = signs_shuffled(portable, derive(0, "signs", 2)).positive[theirs]
    assert torch.equal(mixed.weights[name][kept] > 0, expected[kept]), "another shuffle for each seed and round"
    assert native.origin.rewind_to == 3
    assert made.origin.rewind_to == 0


def test_trained_weights_move(vae: Path, tmp_path: Path) -> None:
    run = run_transfer(vae, target("search.seeds=1", moves="trained"), tmp_path / "trained")
    grown, _, _ = read_snapshot(RunFolder(vae).round(1, "ticket", 2).trained)
    made = ticket_of(run, 0, "transfer", 2)
    assert torch.equal(made.weights["generator.2.weight"], grown.weights["decoder.2.weight"])
    unmasked = ticket_of(run, 0, "transfer-unmasked", 2)
    assert unmasked.mask.density == 1
    assert torch.equal(unmasked.weights["generator.2.weight"], grown.weights["decoder.2.weight"]), "the same weights"
    dense, _, _ = read_snapshot(RunFolder(vae).round(1, "ticket", 0).trained)
    mixed = ticket_of(run, 0, "transfer-shuffle", 2)
    kept = mixed.mask["generator.2.weight"]
    assert torch.equal(mixed.weights["generator.2.weight"], dense.weights["decoder.2.weight"] * kept)


def test_a_mask_is_aligned_with_other_networks(vae: Path, tmp_path: Path) -> None:
    recipe = parse_recipe(
        VAE, name="vae", overrides=["search.seeds=2", "search.controls=[]"],
        transfer={"moves": "mask", "align": 8, "scale": True, "controls": ["shuffle", "mask"]},
    )  # fmt: skip
    run = run_transfer(vae, recipe, tmp_path / "aligned")
    made, theirs = ticket_of(run, 0, "transfer", 2), ticket_of(vae, 1, "ticket", 2)
    name = "decoder.2.weight"
    assert not torch.equal(made.mask[name], theirs.mask[name])
    assert int(made.mask[name].sum()) == int(theirs.mask[name].sum())
    rows = sorted(made.mask[name].sum(1).tolist())
    assert rows == sorted(theirs.mask[name].sum(1).tolist()), "a permutation of channels"
    assembly = Assembly(recipe_of(RunFolder(run)), root=Path("data"))
    training, batches = assembly.training(assembly.task(0), 16), assembly.batches(0)
    first_ticket(training, batches, rewind_to=8, seed=0)  # which trains it for so many steps
    load_weights(source := assembly.task(1), read_snapshot(RunFolder(vae).round(1, "ticket", 0).trained)[0].weights)
    some = batches.first(CRITERION_BATCHES)
    groups = movable_groups(source, some[0])
    assert torch.equal(
        made.mask[name], aligned(theirs, groups, alignment(source, training.task, some, groups=groups))[name]
    )
    plain, own = ticket_of(run, 0, "transfer-mask", 2), ticket_of(run, 0, "ticket", 0)
    assert torch.equal(plain.mask[name], theirs.mask[name]), "the same mask, as it is"
    expected = own.weights[name] * made.mask[name] * made.mask.densities[name] ** -0.5
    torch.testing.assert_close(made.weights[name], expected)
    result = RunFolder(run).round(0, "transfer", 2).read_result()
    assert result is not None
    assert result.transfer["align"]["all"]["after"] >= result.transfer["align"]["all"]["before"]
    assert result.spent["warm-up"] > 0, "the steps of dense training are booked"


# -- sources --------------------------------------------------------------------------------------------------


def test_levels_find_the_nearest_density_and_serve_once() -> None:
    assert nearest_levels({1: 0.6, 2: 0.36, 3: 0.216}, {1: 0.6, 2: 0.36}, 0.6) == {1: 1, 2: 2}
    assert nearest_levels({4: 0.41}, {1: 0.8, 2: 0.64, 3: 0.512, 4: 0.4096}, 0.8) == {4: 4}
    assert nearest_levels({1: 0.7, 2: 0.5}, {1: 0.6}, 0.6) in ({1: 1}, {1: 2})


def test_a_lone_ticket_serves_the_level_nearest_to_it(vae: Path, tmp_path: Path) -> None:
    file = RunFolder(vae).round(0, "ticket", 1).ticket
    recipe = target("search.seeds=2", rounds=[1, 2])
    gathered = check_source(file, recipe, HERE)
    assert gathered.record["rounds"] == {"1": 1}
    assert gathered.recipe.transfer_rounds == [1], "nothing runs at levels that the source lacks"
    assert gathered.record["seeds"] == {"0": 0, "1": 0}
    assert any("no level of its own" in line for line in gathered.notes)
    assert any("one seed" in line for line in gathered.notes)
    shutil.copy(file, alone := tmp_path / "alone.safetensors")
    with pytest.raises(TicketError, match="dense weights"):
        check_source(alone, recipe, HERE)
    run = run_transfer(alone, target("search.seeds=1", rounds=[1], controls=["mask"]), tmp_path / "run")
    assert {result.status for result in read_results(run)} == {"done"}


def test_a_ticket_that_was_carried_is_carried_on_with_its_own_weights(to_gan: Path, tmp_path: Path) -> None:
    file = RunFolder(to_gan).round(0, "transfer", 2).ticket
    recipe = parse_recipe(VAE, name="back", overrides=["search.seeds=1"], transfer={"routes": {"generator": "decoder"}})
    run = run_transfer(file, recipe, tmp_path / "back")
    early, whole = ticket_of(to_gan, 0, "transfer-unmasked", 2), ticket_of(run, 0, "transfer-unmasked", 2)
    assert torch.equal(whole.weights["decoder.2.weight"], early.weights["generator.2.weight"])
    with pytest.raises(TicketError, match="dense weights"):
        check_source(RunFolder(to_gan).round(0, "reinit", 2).ticket, recipe, HERE)


def test_a_portable_ticket_is_a_source_of_signs(vae: Path, tmp_path: Path) -> None:
    assert call("find", vae / "recipe.toml", "--out", vae, "--portable").exit_code == 0  # type: ignore[attr-defined]
    file = vae / "seed-0/ticket/round-02/portable.safetensors"
    with pytest.raises(TicketError, match="portable"):
        check_source(file, target("search.seeds=1"), HERE)
    run = run_transfer(file, target("search.seeds=1", moves="signs"), tmp_path / "run")
    kept = StoredSource(RunFolder(run))
    assert kept.portable(0, 2)[0].mask.density == pytest.approx(read_portable(file)[0].mask.density)
    assert ticket_of(run, 0, "transfer", 2).mask.density == pytest.approx(0.36, abs=2e-3)


def test_trained_weights_that_were_dropped_are_named(vae: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(vae, tmp_path / "copy")
    (copy / "seed-1/ticket/round-02/trained.safetensors").unlink()
    for moves in ("signs", "trained"):
        with pytest.raises(TicketError, match="--keep all"):
            check_source(copy, target("search.seeds=1", moves=moves), HERE)
    check_source(copy, target("search.seeds=1"), HERE)


def test_the_same_model_takes_tickets_of_other_seeds(vae: Path) -> None:
    gathered = check_source(vae, parse_recipe(VAE, transfer={}), HERE)
    assert gathered.record["seeds"] == {"0": 1, "1": 0}


def test_no_seed_is_served_by_its_own() -> None:
    def by_hand(*seeds: int) -> dict[int, int]:
        return {seed: seed for seed in seeds}

    assert served(by_hand(0, 1, 2), by_hand(1, 2, 3)) == {1: 2, 2: 0, 3: 1}
    assert served(by_hand(10, 11, 12), by_hand(10, 11, 12)) == {10: 11, 11: 12, 12: 10}
    four = served(by_hand(0, 1), by_hand(7, 8, 9, 10))
    assert four in ({7: 1, 8: 0, 9: 1, 10: 0}, {7: 1, 8: 0, 9: 0, 10: 1})
    assert served(by_hand(0), by_hand(0, 1)) == {0: 0, 1: 0}


def test_repetitions_are_paired_where_their_seeds_are_others() -> None:
    source, target = {0: 71, 1: 72, 2: 73}, {0: 81, 1: 82, 2: 83, 3: 84}
    assert {label: served(source, target)[label] for label in range(3)} == {0: 0, 1: 1, 2: 2}
    assert served(source, target)[3] in source
    same = served(source, source)
    assert sorted(same.values()) == [0, 1, 2]
    assert all(label != other for label, other in same.items()), "the same seeds begin alike"


def test_a_ticket_is_not_carried_to_its_own_initialization(vae: Path) -> None:
    """Another learning rate, another beta or other data leave the initialization what it was."""
    file = RunFolder(vae).round(0, "ticket", 2).ticket
    other = ["search.seeds=1", "train.lr=1e-3", "task.beta=2.0"]
    with pytest.raises(TicketError, match="--seed 1"):
        check_source(file, parse_recipe(VAE, overrides=other, transfer={}), HERE)
    assert check_source(file, parse_recipe(VAE, overrides=[*other, "seed=1"], transfer={}), HERE).record["seeds"] == {
        "1": 0
    }
    assert check_source(file, target("search.seeds=1"), HERE).record["seeds"] == {"0": 0}, (
        "a generator begins otherwise"
    )


def test_tickets_that_are_none_to_carry_are_refused(vae: Path, tmp_path: Path) -> None:
    dense = RunFolder(vae).round(0, "ticket", 0).ticket
    with pytest.raises(TicketError, match="dense ticket"):
        check_source(dense, target("search.seeds=1"), HERE)
    with pytest.raises(TicketError, match=r"40.0%, 64.0% sparsity.*99.0%"):
        check_source(vae, target("search.seeds=1", "search.keep=0.1", "claim.level=0.99", rounds=[2]), HERE)
    unclaimed = VAE[: VAE.index("[claim]")]
    find(parse_recipe(unclaimed, overrides=['search.rewind="lr"', "search.seeds=1"]), tmp_path / "lr", HERE)
    with pytest.raises(TicketError, match="--moves trained"):
        check_source(tmp_path / "lr", target("search.seeds=1"), HERE)
    with pytest.raises(TicketError, match="one architecture"):
        check_source(vae, target("search.seeds=1", moves="mask", align=4), HERE)


def test_a_damaged_source_is_refused_and_nothing_is_written(vae: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(vae, tmp_path / "copy")
    file = copy / "seed-0/ticket/round-02/ticket.safetensors"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(bytes(data))
    (recipe := tmp_path / "gan.toml").write_text(GAN)
    done = call("transfer", copy, "--to", recipe, "--out", tmp_path / "run")
    assert done.exit_code == Status.TICKET  # type: ignore[attr-defined]
    assert "damaged" in done.output  # type: ignore[attr-defined]
    assert not (tmp_path / "run").exists()


def test_a_source_that_saw_the_test_images_is_refused(vae: Path, tmp_path: Path) -> None:
    from PIL import Image

    digits = load("digits")
    folder = tmp_path / "images"
    folder.mkdir()
    for i, picture in enumerate(digits.test.all()[:200]):
        pixels = ((picture[0] + 1) * 127.5).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(folder / f"{i}.png")
    overrides = ['data.name="folder"', f'data.folder="{folder}"', "data.size=8", 'data.channels="grey"']
    source = parse_recipe(VAE, name="leak", overrides=[*overrides, "search.seeds=1"])
    find(source, tmp_path / "leak", HERE)
    with pytest.raises(TicketError, match="test images"):
        check_source(tmp_path / "leak", target("search.seeds=1"), HERE)


def test_shared_images_are_counted() -> None:
    one = torch.randint(0, 256, (50, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    other = torch.cat([one[10:17], 255 - one[:5]])
    assert shared(Images(one), Images(other)) == 7
    assert shared(Images(one), Images(other.repeat(1, 3, 1, 1))) == 0


# -- going on -------------------------------------------------------------------------------------------------


def test_another_source_is_refused_in_a_run_that_was_started(vae: Path, to_gan: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    find(parse_recipe(VAE, name="other", overrides=["train.lr=1e-3"]), other, HERE)
    before = content(to_gan)
    with pytest.raises(TicketError, match="another source"):
        run_transfer(other, target(rounds=[1, 2]), to_gan)
    assert content(to_gan) == before
    assert started(to_gan).transfer_rounds == [1, 2]
    with pytest.raises(TicketError, match="not a transfer"):
        started(vae)


def test_a_source_that_gains_seeds_goes_on_serving_as_it_did(vae: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    first = check_source(vae, target("search.seeds=1"), HERE)
    first.keep(run)
    assert (run.path / "source/seed-1").is_dir()
    later = replace(first, record={**first.record, "seeds": {"0": 5, "1": 0}}, files={"seed-0/ticket/round-02/x": b"1"})
    later.keep(run)
    kept = StoredSource(run)
    assert (kept.seed(0), kept.seed(1)) == (1, 0), "what is recorded stays"
    assert set(first.files) < set(kept.record["files"])
    with pytest.raises(TicketError, match="round 2 differs"):
        replace(first, record={**first.record, "rounds": {"2": 1}}).keep(run)


def test_what_is_kept_of_a_source_is_checked(vae: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    gathered = check_source(vae, target("search.seeds=1"), HERE)
    file = run.path / "source/seed-1/ticket/round-02/ticket.safetensors"
    file.parent.mkdir(parents=True)
    shutil.copy(RunFolder(vae).round(0, "ticket", 1).ticket, file)  # of nobody knows whom
    with pytest.raises(TicketError, match="no file of this run"):
        gathered.keep(run)
    file.unlink()
    gathered.keep(run)
    assert file.read_bytes() == RunFolder(vae).round(1, "ticket", 2).ticket.read_bytes()
    assert StoredSource(run).ticket(0, 2)[0].mask.density == pytest.approx(0.36, abs=2e-3)
    shutil.copy(RunFolder(vae).round(0, "ticket", 1).ticket, file)
    with pytest.raises(TicketError, match="not what the run has kept") as caught:
        StoredSource(run).ticket(0, 2)
    assert caught.value.status == Status.TICKET
    record = run.path / "source/source.json"
    for damage in ("{", '{"name": 1}', '{"name": "x", "seeds": "x", "rounds": {}, "files": {}}'):
        record.write_text(damage)
        with pytest.raises(TicketError, match="damaged"):
            StoredSource(run).seed(0)


def test_a_folder_of_ones_own_named_source_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out/source").mkdir(parents=True)
    (mine := tmp_path / "out/source/thesis.txt").write_text("years of work")
    recipe = parse_recipe(VAE, overrides=['data.name="mnist"', "data.size=8"])
    with pytest.raises(TicketError):
        find(recipe, tmp_path / "out", replace(HERE, root=tmp_path / "nodata"))
    assert mine.read_text() == "years of work"


def test_a_killed_transfer_goes_on_to_the_same_bytes(
    vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = target("search.seeds=1", "search.rounds=2", "search.controls=[]")
    whole = content(run_transfer(vae, recipe, tmp_path / "whole"))
    saves, save = [0], notes.save

    def dying(*given: object) -> None:
        save(*given)  # type: ignore[arg-type]
        saves[0] += 1
        if saves[0] % 9 == 0:
            raise Killed

    monkeypatch.setattr("gentickets.experiment.training_job.save", dying)
    out, deaths = tmp_path / "killed", 0
    while deaths < 60:
        reference._known.clear()  # a new process remembers nothing
        try:
            run_transfer(vae, recipe, out, EVERY_STEP)
            break
        except Killed:
            deaths += 1
    assert deaths > 5
    found = content(out)
    assert found.keys() == whole.keys()
    assert [name for name in whole if found[name] != whole[name]] == []


def test_finished_rounds_of_a_native_run_are_taken_over(vae: Path, tmp_path: Path) -> None:
    plain = parse_recipe(GAN.replace("[transfer]\n", ""), name="gan", overrides=["search.seeds=1"])
    native = tmp_path / "native"
    find(plain, native, HERE)
    wanted = load_target(str(native), {"moves": "weights"})
    assert wanted.natives is not None
    out, gathered = tmp_path / "out", check_source(vae, wanted.recipe, HERE)
    taken: list[int] = []

    def prepare(run: RunFolder) -> None:
        gathered.keep(run)
        taken.append(adopt(RunFolder(native), run, wanted.recipe, HERE))

    find(wanted.recipe, out, HERE, prepare=prepare)
    assert taken == [len(read_results(native))]
    (found, ours), told = (RunFolder(run).read_record()["identity"] for run in (native, out)), {"checksum": None}
    for result in native.glob("seed-*/*/round-*/result.json"):
        mine = {"run": ours, "taken_from": found}
        theirs = json.loads(result.read_text()) | mine | told
        assert json.loads((out / result.relative_to(native)).read_text()) | told == theirs
    alone = run_transfer(vae, wanted.recipe, tmp_path / "alone")
    for file in native.glob("seed-*/*/round-*/t*.safetensors"):
        assert (alone / file.relative_to(native)).read_bytes() == file.read_bytes(), "the same bytes, found by itself"
    half = RunFolder(tmp_path / "half").round(0, "ticket", 2)
    half.path.mkdir(parents=True)
    half.ticket.write_bytes(b"cut short")  # as a kill leaves it
    adopt(RunFolder(native), RunFolder(tmp_path / "half"), wanted.recipe, HERE)
    assert half.ticket.read_bytes() == RunFolder(native).round(0, "ticket", 2).ticket.read_bytes()
    assert len(read_results(out)) == taken[0] + 6
    chained = load_target(str(out), {"moves": "mask"})
    assert chained.recipe.transfer_controls == ["shuffle"], "the native rounds of a transfer, not its settings"
    other = parse_recipe(GAN, name="gan", overrides=["search.seeds=1", "train.lr=1e-3"])
    with pytest.raises(TicketError, match="another recipe"):
        adopt(RunFolder(native), RunFolder(tmp_path / "x"), other, HERE)
    with pytest.raises(TicketError, match="threads"):
        adopt(RunFolder(native), RunFolder(tmp_path / "x"), wanted.recipe, Options(threads=2, device="cpu"))


# -- the command ----------------------------------------------------------------------------------------------


def test_the_command_shows_the_layers_and_judges(vae: Path, tmp_path: Path) -> None:
    (recipe := tmp_path / "gan.toml").write_text(GAN)
    out = tmp_path / "run"
    done = call("transfer", vae, "--to", recipe, "--out", out, "--route", "decoder=generator", "--jobs", 1)
    assert done.exit_code == 0, done.output  # type: ignore[attr-defined]
    assert "decoder.2.weight" in done.output  # type: ignore[attr-defined]
    assert "100.0% of the prunable weights get something" in done.output  # type: ignore[attr-defined]
    document = json.loads((out / "report.json").read_text())
    assert unlike(document, schema_of("report")) == []
    level = document["runs"][0]["transfer"]["levels"][0]
    assert level["word"] == "UNDECIDED", "two seeds decide nothing"
    assert document["runs"][0]["transfer"]["notes"] == []
    again = call("transfer", "--resume", "--out", out, "--json")
    assert again.exit_code == 0, again.output  # type: ignore[attr-defined]
    (out / "seed-0/transfer/round-02/result.json").unlink()
    shown = call("show", out)
    assert "transferred" in shown.output  # type: ignore[attr-defined]
    assert f"gentickets transfer --resume --out {out}" in shown.output  # type: ignore[attr-defined]


def test_a_dry_run_writes_nothing(vae: Path, tmp_path: Path) -> None:
    (recipe := tmp_path / "gan.toml").write_text(GAN)
    done = call("transfer", vae, "--to", recipe, "--out", tmp_path / "run", "--dry-run")
    assert done.exit_code == 0, done.output  # type: ignore[attr-defined]
    assert "generator.4.weight" in done.output  # type: ignore[attr-defined]
    told = call("transfer", vae, "--to", recipe, "--out", tmp_path / "run", "--dry-run", "--json")
    assert json.loads(told.stdout)["entries"][0]["target"] == "generator.0.weight"  # type: ignore[attr-defined]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--route", "decodr=generator"], "decoder"),
        (["--route", "decoder=discriminatr"], "discriminator"),
        (["--route", "decoder"], "FROM=TO"),
        (["--route", "encoder=discriminator"], "not pruned here"),
        (["--align", "5"], "moves = 'mask'"),
        (["--noise", "0.1", "--moves", "mask"], "remove it"),
        (["--scale"], "moves = 'mask'"),
        (["--deepen", "append"], "match = 'order'"),
        (["--set", "transfer.rounds=[9]"], "no round"),
        (["--set", "transfer.controls=['signs-shuffle']"], "means nothing"),
        (["--set", "task.width=16"], "(12, 4)"),
    ],
)
def test_bad_requests_are_one_line(vae: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    (recipe := tmp_path / "gan.toml").write_text(GAN)
    route = [] if "--route" in arguments else ["--route", "decoder=generator"]
    done = call("transfer", vae, "--to", recipe, "--out", tmp_path / "run", *arguments, *route)
    assert done.exit_code in (Status.REQUEST, Status.TICKET), done.output  # type: ignore[attr-defined]
    assert said in done.output  # type: ignore[attr-defined]
    assert "Traceback" not in done.output  # type: ignore[attr-defined]
    assert not (tmp_path / "run").exists()


def test_commands_in_the_wrong_order(vae: Path, tmp_path: Path) -> None:
    (recipe := tmp_path / "gan.toml").write_text(GAN)
    (plain := tmp_path / "plain.toml").write_text(VAE)
    for arguments, said in (
        (["transfer"], "--to"),
        (["transfer", "--to", recipe], "names no source"),
        (["transfer", "nowhere", "--to", recipe], "nowhere"),
        (["transfer", recipe, "--to", recipe], "transfer itself"),
        (["transfer", "--resume", "--out", tmp_path / "none"], "no transfer to resume"),
        (["transfer", "--resume"], "--out"),
        (["transfer", "--resume", "--out", tmp_path, "--moves", "mask"], "alone goes on"),
        (["transfer", plain, "--to", recipe, "--dry-run"], "no run yet"),
        (["transfer", "--matrix", "ae,vae", "--dry-run"], "leave SOURCE"),
        (["transfer", "--matrix", "ae"], "two recipes"),
        (["transfer", vae, "--matrix", "ae,vae"], "leave SOURCE"),
        (["transfer", "--matrix", f"{plain},{plain}"], "twice"),
        (["find", recipe], "gentickets transfer"),
    ):
        done = call(*arguments)
        assert done.exit_code == Status.REQUEST, (arguments, done.output)  # type: ignore[attr-defined]
        assert said in done.output, (arguments, done.output)  # type: ignore[attr-defined]


def test_a_matrix_carries_everything_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = []
    for name, text in (("a", VAE), ("b", GAN.replace("[transfer]\n", ""))):
        (path := tmp_path / f"{name}.toml").write_text(text)
        names.append(str(path))
    out = tmp_path / "matrix"
    assert run_matrix(",".join(names), out, HERE, {}, ["transfer.controls=['shuffle']"], True) == Status.DONE
    assert json.loads(capsys.readouterr().out)["cells"]
    assert not list(out.glob("a-to-b/seed-0/transfer-mask*")), "the transfers' settings reach them"
    document = json.loads((out / "matrix.json").read_text())
    assert unlike(document, schema_of("matrix")) == []
    cells = {(cell["source"], cell["target"]): cell["word"] for cell in document["cells"]}
    assert set(cells) == {(a, b) for a in "ab" for b in "ab"}
    assert set(cells.values()) <= {"TRANSFERS", "NEUTRAL", "HURTS", "UNDECIDED"}
    assert (out / "matrix.html").is_file()
    native, taken = (RunFolder(out / name).round(0, "ticket", 0).read_result() for name in ("b", "a-to-b"))
    assert native is not None
    assert taken is not None
    assert taken.taken_from == native.run
    assert replace(taken, run=native.run, taken_from=None) == native
