"""What a recipe's words mean, by version: a run keeps the meanings with which it began."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import recipe_text

import gentickets.experiment.start_record as recorded_module
from gentickets.definitions import CURRENT, FIRST, definitions_of
from gentickets.errors import Status, TicketError
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.masks import Mask, erk, erk_like, prunable
from gentickets.recipe import load_recipe, parse_recipe
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_ticket
from gentickets.tasks import FAMILIES

pytestmark = pytest.mark.usefixtures("without_pictures")

TWO_SEEDS = recipe_text(
    task={"width": 12, "depth": 1, "latent": 2},
    data={"batch_size": 32},
    train={"steps": 4},
    search={"keep": 0.4, "controls": ["random-erk"], "scaling": "off"},
)


def keeping(**tensors: tuple[tuple[int, int], int]) -> Mask:
    """A mask of tensors by name, of a shape and with so many kept at its front."""
    masks = {}
    for name, (shape, kept) in tensors.items():
        masks[name.replace("_", ".")] = (torch.arange(shape[0] * shape[1]) < kept).view(shape)
    return Mask(masks)


PLAYERS = keeping(g_small=((2, 2), 1), g_large=((8, 8), 16), d_one=((4, 4), 4), d_two=((4, 4), 4))


def counts(mask: Mask, densities: dict[str, float]) -> dict[str, float]:
    return {name: densities[name] * kept.numel() for name, kept in mask.items()}


def test_erk_by_component_by_hand() -> None:
    """g keeps 17 of 68: 0.85 of each sum, 3.4 and 13.6, so that the weight left over is the large one's; d 8 of 32."""
    found = counts(PLAYERS, erk_like(PLAYERS, by_component=True))
    assert found == {"g.small": 3, "g.large": 14, "d.one": 4, "d.two": 4}


def test_erk_over_all_by_hand() -> None:
    """25 of 100 over sums of 36: 2.8, 11.1, 5.6 and 5.6; two are left over, for the remainders 0.8 and 0.6."""
    found = counts(PLAYERS, erk_like(PLAYERS, by_component=False))
    assert found == {"g.small": 3, "g.large": 11, "d.one": 6, "d.two": 5}


def test_erk_fills_small_tensors_and_gives_what_has_no_share_none() -> None:
    """34 of 68: the small one whole, 30 of 64. 1 of 68: 0.2 and 0.8 of a weight; 2 of 68: 0.4 and 1.6, one each."""
    half = keeping(g_small=((2, 2), 0), g_large=((8, 8), 34))
    assert counts(half, erk_like(half, by_component=True)) == {"g.small": 4, "g.large": 30}
    one = keeping(g_small=((2, 2), 1), g_large=((8, 8), 0))
    assert counts(one, erk_like(one, by_component=True)) == {"g.small": pytest.approx(0.4), "g.large": 1}
    two = keeping(g_small=((2, 2), 1), g_large=((8, 8), 1))
    assert counts(two, erk_like(two, by_component=True)) == {"g.small": 1, "g.large": 1}


def test_erk_of_an_sngan_keeps_each_players_share() -> None:
    """Ranked by player at 10.7 %: pooled densities keep 15.1 % of the generator and 4.9 % of the discriminator."""
    keywords = load_recipe("paper/sngan_cifar10").resolved()["task"]
    task = FAMILIES[keywords.pop("family")]((3, 32, 32), **keywords)
    shapes = {name: weight.shape for name, weight in prunable(task).items()}
    mask = Mask({name: (torch.arange(shape.numel()) % 1000 < 107).view(shape) for name, shape in shapes.items()})
    pooled, own = erk(mask, mask.density), erk_like(mask, by_component=True)
    for component, before in (("generator", 0.151), ("discriminator", 0.049)):
        part = mask.of(component)
        assert sum(counts(part, pooled).values()) / part.total == pytest.approx(before, abs=1e-3)
        assert sum(counts(part, own).values()) == pytest.approx(part.kept)


def test_versions_are_recorded_and_unknown_ones_refused(tmp_path: Path) -> None:
    assert definitions_of({}, tmp_path) == FIRST
    assert FIRST.erk == 1
    assert definitions_of({"definitions": CURRENT.record()}, tmp_path) == CURRENT
    for wrong, says in (({"erk": 9}, "'erk' 9.*upgrade"), ({"new": 1}, "'new' 1"), ({"erk": True}, "damaged")):
        with pytest.raises(TicketError, match=says) as raised:
            definitions_of({"definitions": wrong}, tmp_path)
        assert raised.value.status == Status.TICKET


def test_a_run_keeps_the_definitions_with_which_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, run, here = parse_recipe(TWO_SEEDS), RunFolder(tmp_path / "run"), Options(jobs=0, device="cpu")
    with monkeypatch.context() as before:
        before.setattr(recorded_module, "CURRENT", FIRST)
        find(recipe, run.path, here)
    find(parse_recipe(TWO_SEEDS.replace("seeds = 1", "seeds = 2")), run.path, here)
    assert run.read_record()["seeds"] == [0, 1]
    assert run.definitions() == FIRST
    find(recipe, tmp_path / "now", here)
    for seed, place, version in ((0, run, 1), (1, run, 1), (0, RunFolder(tmp_path / "now"), 2)):
        ticket, made = (read_ticket(place.round(seed, arm, 1).ticket)[0].mask for arm in ("ticket", "random-erk"))
        alike = [made.of(component).kept == ticket.of(component).kept for component in ticket.components]
        assert all(alike) == (version == 2)
