"""The hash of a claim: what it is over, what leaves it alone, and the seeds that follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gentickets.recipe import FAMILIES, Recipe, parse_recipe, recipe_from
from gentickets.recipe.asked import complete, declared_arms, declared_controls
from gentickets.recipe.declared import claim_record
from gentickets.recipe.meaning import KEYS, LATER, LEFT_OUT, claim_hash, meaning, random_seeds
from gentickets.recipe.sections import SECTIONS
from gentickets.seeds import derive

SMALL = """\
[task]
family = "vae"
width = 16
likelihood = "bernoulli"

[data]
name = "digits"

[train]
steps = 100
lr = 0.05

[search]
rounds = 4
keep = 0.5
seeds = 3
prune = ["encoder", "decoder"]
controls = ["shuffle"]

[claim]
metric = "negative_elbo"
level = 0.75
margin = 0.05
unit = "share"
"""
STORED = [
    (SMALL, "1e8d8975c96974b68e89245f5cb8e390c43cfb65fc909f59b4dd417518eda962"),
]
"""Recipes whose hash must never change: seeds of runs that are there follow from it."""


def small(*overrides: str, text: str = SMALL) -> Recipe:
    """The small recipe with overrides."""
    return parse_recipe(text, name="small", overrides=overrides)


@pytest.mark.parametrize(("text", "stored"), STORED)
def test_stored_hashes_stay(text: str, stored: str) -> None:
    assert claim_hash(small(text=text)) == stored


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("lr = 0.05", "lr = 5e-2"),
        ("lr = 0.05", "lr = 0.05  # a comment\n"),
        ("steps = 100\nlr = 0.05", "lr = 0.0500\nsteps = 1_00"),
        ("margin = 0.05\n", ""),  # the default of shares
        ("level = 0.75", "level = 0.7501"),  # the same round's
        ('unit = "share"', 'unit = "share"\nlead = 0.0125'),  # a quarter of the margin
        ('unit = "share"', 'unit = "share"\nspending = "linear"\nimages = "fixed"\nlooks = 2\nalpha = 0.05'),
        ('unit = "share"', 'unit = "share"\nsparsities = [0.75, 0.9375]'),
        ('unit = "share"', 'unit = "share"\ncontrols = ["narrow", "random-erk", "shuffle", "reinit"]'),
        ('prune = ["encoder", "decoder"]', 'prune = ["decoder", "encoder"]'),
        ("[search]", "[train.objectives.vae]\n\n[search]"),  # an empty table
        ("lr = 0.05", "lr = 0.05\nbetas = [0.9, 0.999]"),
        ('name = "digits"', 'name = "digits"\nworkers = 3'),
        ('controls = ["shuffle"]', 'controls = ["reinit"]\nlonger = 5\nbudget = false\nscaling = "off"'),
        ("[claim]", "[quality]\ncurve = 5\n\n[claim]"),
        ("[claim]", "[verdict]\nforks = [0]\n\n[claim]"),
    ],
)
def test_spelling_places_and_arms_leave_the_hash_alone(before: str, after: str) -> None:
    assert before in SMALL
    assert claim_hash(small(text=SMALL.replace(before, after))) == claim_hash(small())


@pytest.mark.parametrize(
    "change",
    [
        "train.lr=0.051", "train.steps=101", "claim.margin=0.06", "claim.lead=0.01", "claim.level=0.9375",
        "claim.alpha=0.01", "claim.looks=1", "claim.spending=late", "claim.sparsities=[0.75]",
        'claim.controls=["shuffle"]', "claim.disasters=0.1", "claim.images=sample", "claim.metric=reconstruction",
        "search.seeds=5", "search.keep=0.6", "search.rounds=5", "search.rewind_to=3", "search.scope=global",
        'search.prune=["decoder"]', "task.width=17", "task.beta=2", "data.batch_size=32", "train.precision=bf16",
        "quality.samples=100", "quality.checkpoints=2", "seed=0",
    ],
)  # fmt: skip
def test_what_changes_a_trained_or_judged_number_changes_the_hash(change: str) -> None:
    more = ["claim.level=0.64", "claim.sparsities=[]"] if "keep" in change else []
    assert claim_hash(small(change, *more)) != claim_hash(small())


def test_every_key_of_a_recipe_is_known_to_count_or_not_to() -> None:
    """Whoever adds a key says which; one that counts is neutral at first, so that hashes stay."""
    for section in ("data", "train", "search", "quality"):
        told = {*KEYS[section], *LEFT_OUT.get(section, ())}
        assert told == set(SECTIONS[section].model_fields), section
        assert not {*KEYS[section]} & {*LEFT_OUT.get(section, ())}
    assert {"claim", "transfer", "verdict", *KEYS} == set(SECTIONS)
    claimed = {*meaning(small("claim.disasters=0.1"))["claim"]} - {"levels", "seeds"}
    assert claimed == set(SECTIONS["claim"].model_fields) - {"sparsities"}
    known = {"ae": 5, "vae": 7, "gan": 12, "gda": 2}
    found = {name: sum(f"task.{key}" not in LATER for key in model.model_fields) for name, model in FAMILIES.items()}
    assert found == known, "a keyword that is new stands in LATER, with the value with which it changes nothing"


def test_later_keys_at_their_neutral_value_leave_the_hash_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = claim_hash(small())
    monkeypatch.setitem(LATER, "task.beta", 1.0)
    assert claim_hash(small()) != stored, "it was hashed from the first release on"
    neutral = claim_hash(small())
    assert claim_hash(small("task.beta=1.0")) == neutral != claim_hash(small("task.beta=2.0"))


def test_seeds_follow_from_the_hash_and_own_seeds_are_themselves() -> None:
    recipe = small()
    root = int(claim_hash(recipe)[:16], 16)
    assert random_seeds(recipe) == {label: derive(root, "seed", label) for label in (0, 1, 2)}
    assert random_seeds(small("claim.alpha=0.01")) != random_seeds(recipe)
    own = small("seed=7")
    assert (own.seeds, random_seeds(own), own.seeds_by_hand) == ([7, 8, 9], None, True)
    assert random_seeds(recipe.exploring()) is None
    assert recipe.exploring().seeds == [0, 1, 2]
    assert not recipe.seeds_by_hand
    unclaimed = small(text=SMALL.partition("[claim]")[0])
    assert (unclaimed.seeds, random_seeds(unclaimed), unclaimed.seeds_by_hand) == ([0, 1, 2], None, False)


def test_a_claim_that_grows_keeps_its_hash_and_its_seeds() -> None:
    recipe = small()
    record = claim_record(recipe)
    grown = complete(small("search.seeds=6")).of_run(record)
    assert claim_hash(grown) == record["hash"]
    seeds, more = random_seeds(recipe), random_seeds(grown)
    assert seeds is not None
    assert more is not None
    assert list(more) == [0, 1, 2, 3, 4, 5]
    assert {label: more[label] for label in seeds} == seeds
    assert claim_record(grown, record)["seeds"] == [3, 6]
    assert claim_hash(complete(recipe)) == claim_hash(recipe), "find and verdict declare the same"


def test_a_recipe_comes_back_from_its_record_with_the_same_claim() -> None:
    for recipe in (small(), small("seed=4"), small('claim.controls=["snip"]', "claim.lead=0")):
        again = recipe_from(recipe.resolved())
        assert (again.seed, claim_hash(again)) == (recipe.seed, claim_hash(recipe))
    earlier = {key: value for key, value in small().resolved().items() if key != "seed"}
    assert recipe_from(earlier).seed == 0, "before seeds followed from claims, they began at 0"


def test_declared_controls_are_the_standard_ones_unless_the_claim_names_others() -> None:
    assert declared_controls(small()) == ["reinit", "shuffle", "random-erk", "narrow"]
    assert declared_arms(small()) == [
        "reinit", "reinit-scaled", "shuffle", "shuffle-scaled", "random-erk", "random-erk-scaled", "narrow",
    ]  # fmt: skip
    named = small('claim.controls=["snip", "reinit"]')
    assert declared_controls(named) == ["snip", "reinit"]
    assert complete(named).search.controls == ("shuffle", "snip", "reinit")
    began = small().of_run({"declared": {"controls": ["shuffle"], "seeds": 3}})
    assert declared_controls(began) == ["shuffle"], "what was standard when the run began"


def test_a_plugins_keywords_count(tmp_path: Path) -> None:
    plugins = (tmp_path / "mine.py",)
    text = SMALL.replace('family = "vae"\nwidth = 16\nlikelihood = "bernoulli"', 'family = "mine"\nsize = 1')
    text = text.replace('unit = "share"\n', "").replace('prune = ["encoder", "decoder"]\n', "")
    one = parse_recipe(text, plugins=plugins)
    assert claim_hash(one) != claim_hash(parse_recipe(text.replace("size = 1", "size = 2"), plugins=plugins))
