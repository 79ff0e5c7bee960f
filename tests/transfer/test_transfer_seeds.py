"""Seeds of transfers and matrices, where they follow from claims: whose they are, and who is paired with whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import recipe_text

from gentickets.actions.transfer import adopt, check_source
from gentickets.actions.transfer_matrix import Model, with_one_set_of_seeds
from gentickets.actions.transfer_target import load_target
from gentickets.errors import TicketError
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.recipe import Recipe, parse_recipe
from gentickets.recipe.meaning import claim_hash, seeds_of
from gentickets.results import read_results
from gentickets.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("without_pictures")

HERE = Options(jobs=0, device="cpu", keep_all=True)
PLAIN = recipe_text(
    task={"network": "mlp", "width": 8, "depth": 1, "latent": 2},
    train={"steps": 6, "lr": 0.002},
    search={"rounds": 1, "keep": 0.6, "rewind_to": 2, "prune": ["decoder"], "seeds": 2, "budget": None},
    quality=None,
    claim={"metric": "negative_elbo", "level": 0.4},
)


def recipe(*overrides: str, **section: object) -> Recipe:
    """The small recipe, as a transfer's target where a section is given."""
    return parse_recipe(PLAIN, name="plain", overrides=overrides, transfer=section or None)


def seeds_in(run: Path, *, arms: str = "") -> dict[int, int | None]:
    """Repetition -> the seed that its results have."""
    return {result.seed: result.random_seed for result in read_results(run) if result.arm.startswith(arms)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose seeds follow from its claim."""
    out = tmp_path_factory.mktemp("source") / "source"
    find(recipe("train.lr=0.003"), out, HERE)
    return out


def test_a_transfer_has_the_seeds_of_its_targets_claim_and_sources_of_the_same_repetition(
    source: Path, tmp_path: Path
) -> None:
    target = recipe(rounds=[1], controls=["mask"])
    assert claim_hash(target) == claim_hash(recipe()), "a transfer has its target's claim"
    gathered = check_source(source, target, HERE)
    assert gathered.record["seeds"] == {"0": 0, "1": 1}
    assert not gathered.notes
    find(gathered.recipe, tmp_path / "run", HERE, prepare=gathered.keep)
    assert seeds_in(tmp_path / "run") == seeds_of(recipe()) != seeds_in(source)
    moved = [result for result in read_results(tmp_path / "run") if result.arm == "transfer"]
    assert [(result.seed, result.transfer["seed"], result.status) for result in moved] == [
        (0, 0, "done"), (1, 1, "done"),
    ]  # fmt: skip


def test_rounds_of_a_run_with_the_same_claim_are_taken_over_and_no_others(source: Path, tmp_path: Path) -> None:
    native = tmp_path / "native"
    find(recipe(), native, HERE)
    loaded = load_target(str(native), {"rounds": (1,), "controls": ("mask",)}).recipe
    gathered = check_source(source, loaded, HERE)
    taken: list[int] = []

    def prepare(run: RunFolder) -> None:
        gathered.keep(run)
        taken.append(adopt(RunFolder(native), run, gathered.recipe, HERE))

    find(gathered.recipe, tmp_path / "run", HERE, prepare=prepare)
    assert taken == [6], "dense run, ticket and whole budget of two seeds"
    assert {result.taken_from is not None for result in read_results(tmp_path / "run") if result.arm == "ticket"} == {
        True
    }
    other = gathered.recipe.of_run({"seeds_from": "0" * 64})
    with pytest.raises(TicketError, match="another claim, and so another seed of repetition 0"):
        adopt(RunFolder(native), RunFolder(tmp_path / "fresh"), other, HERE)


def test_a_grown_runs_transfer_keeps_its_seeds(tmp_path: Path) -> None:
    find(recipe(), tmp_path / "native", HERE)
    find(recipe("search.seeds=3"), tmp_path / "native", HERE)
    loaded = load_target(str(tmp_path / "native"), {"rounds": (1,), "controls": ("mask",)}).recipe
    assert seeds_of(loaded) == seeds_in(tmp_path / "native")
    assert {label: seeds_of(loaded)[label] for label in (0, 1)} == seeds_of(recipe())


def test_all_runs_of_a_matrix_have_one_set_of_seeds(tmp_path: Path) -> None:
    both = [Model("a", recipe(), tmp_path / "a"), Model("b", recipe("train.lr=0.003"), tmp_path / "b")]
    for model in (models := with_one_set_of_seeds(both)):
        find(model.recipe, model.native, HERE)
    assert seeds_in(tmp_path / "a") == seeds_in(tmp_path / "b") == seeds_of(models[0].recipe)
    target = load_target(str(tmp_path / "b"), {"rounds": (1,), "controls": ("mask",)}).recipe
    assert seeds_of(target) == seeds_in(tmp_path / "a")
    gathered = check_source(tmp_path / "a", target, HERE)
    assert gathered.record["seeds"] == {"0": 1, "1": 0}, "nobody begins where the source began"
    assert check_source(tmp_path / "a", recipe(rounds=[1]), HERE).record["seeds"] == {"0": 0, "1": 1}
