"""The keys of [claim]: units, leads, declared controls, and what the best possible model reaches in each metric."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_recipe import SMALL
from test_recipe import errors as errors_of
from test_recipe import small as small_recipe

from gentickets.errors import TicketError
from gentickets.metrics import TABLE, check_floors, floor_of
from gentickets.recipe import Recipe, parse_recipe, recipe_from
from gentickets.recipe.claim_section import NEUTRAL
from gentickets.recipe.of_claim import claim_floor

BERNOULLI = "task.likelihood=bernoulli"
"""The small recipe's metric has a floor then."""


def small(*overrides: str, plugins: tuple[Path, ...] = ()) -> Recipe:
    """The small recipe with a Bernoulli likelihood and overrides."""
    return small_recipe(BERNOULLI, *overrides, plugins=plugins)


def errors(*overrides: str) -> list[str]:
    """The lines of the error that the overrides raise."""
    return errors_of(SMALL, BERNOULLI, *overrides)


def margin(*overrides: str) -> float:
    """The margin of the claim."""
    claim = small(*overrides).claim
    assert claim is not None
    return claim.margin


def test_the_default_margin_follows_from_the_unit() -> None:
    assert margin() == 0.02
    assert margin("claim.unit=share") == 0.05
    assert margin("claim.unit=share", "claim.margin=0.1") == 0.1
    assert margin("claim.unit=absolute", "claim.margin=12.5") == 12.5


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["claim.unit=absolute"], "claim.margin: unit = 'absolute' needs one above 0"),
        (["claim.unit=absolute", "claim.margin=0"], "needs one above 0"),
        (["claim.unit=share", "claim.margin=1"], "1.0 is not allowed; must be a number of at least 0 and below 1"),
        (["claim.unit=share", "claim.margin=0"], "0.0 is not allowed; must be a number above 0 and below 1"),
        (["claim.margin=2"], "2.0 is not allowed; must be a number of at least 0 and below 1"),
        (["claim.lead=1.5"], "--set claim.lead: 1.5 is not allowed; must be a number of at least 0 and below 1"),
        (["claim.lead=-1"], "-1 is not allowed; must be a number of at least 0"),
        (["claim.unit=percent"], "must be 'absolute' or 'share'"),
        (["claim.spending=early"], "must be 'linear' or 'late'"),
        (["claim.disasters=1"], "must be a number above 0 and below 1"),
        (["claim.images=all"], "must be 'fixed' or 'sample'"),
        (["claim.controls=[]"], "claim.controls"),
        (['claim.controls=["shuffle", "shuffle"]'], "--set claim.controls[1]: 'shuffle' stands there twice"),
        (['claim.controls=["scratch"]'], "goes with method = 'early_bird' and by = 'channels' only"),
        (['claim.controls=["shufle"]'], "Did you mean 'shuffle'?"),
        (["claim.unit=share", "task.likelihood=gaussian"], "'negative_elbo' has none here; give absolute units"),
        (["claim.unit=share", "claim.metric=inception_score"], "give absolute units: unit = 'absolute'"),
        (["claim.images=sample", "claim.metric=frechet"], "'sample' needs a metric that is a mean over images"),
    ],
)
def test_what_a_claim_cannot_say_is_refused_in_one_line(overrides: list[str], said: str) -> None:
    lines = errors(*overrides)
    assert [line for line in lines if said in line], lines


def test_what_is_refused_has_a_neighbour_that_is_not() -> None:
    small("claim.unit=absolute", "claim.margin=3", "claim.lead=1.5", "task.likelihood=gaussian")
    small("claim.unit=share", "claim.lead=0", "claim.spending=late", "claim.disasters=0.1", "claim.images=sample")
    small('claim.controls=["snip", "shuffle"]')


def test_keys_at_their_neutral_value_are_not_there() -> None:
    neutral = [f"claim.{key}={value}" for key, value in NEUTRAL.items() if value is not None]
    assert small(*neutral).resolved() == small().resolved()
    plain = small().resolved()["claim"]
    assert plain == {"metric": "negative_elbo", "margin": 0.02, "level": 0.75, "alpha": 0.05, "looks": 2,
                     "sparsities": [0.75, 0.9375]}  # fmt: skip
    whole = small("claim.unit=share", "claim.lead=0.01", 'claim.controls=["shuffle"]')
    assert (
        whole.resolved()["claim"] | {"unit": "share", "lead": 0.01, "controls": ["shuffle"]}
        == (whole.resolved()["claim"])
    )
    assert recipe_from(whole.resolved()).resolved() == whole.resolved()


@pytest.mark.parametrize(
    ("overrides", "floor"),
    [
        ([], "pixel entropy"),
        (["claim.metric=reconstruction"], "pixel entropy"),
        (["task.likelihood=gaussian"], None),
        (["task.likelihood=gaussian", "claim.metric=reconstruction"], None),
        (["claim.metric=frechet"], "real against real"),
        (["claim.metric=fid", "quality.features=inception"], "real against real"),
        (["claim.metric=kid"], "zero"),
        (["claim.metric=coverage"], "one"),
        (["claim.metric=accuracy_on_reconstructions"], "one"),
        (["claim.metric=inception_score"], None),
        (["claim.metric=density"], None),
    ],
)
def test_each_metric_has_the_floor_of_its_family(overrides: list[str], floor: str | None) -> None:
    assert claim_floor(small(*overrides)) == floor


def test_an_autoencoders_error_may_be_zero_and_a_plugins_may_be_what_it_says() -> None:
    text = (
        SMALL.replace("vae", "ae").replace('likelihood = "bernoulli"\n', "").replace("negative_elbo", "reconstruction")
    )
    assert claim_floor(parse_recipe(text)) == "zero"
    own = small("task.family=mine", "claim.metric=reconstruction", "claim.unit=share", plugins=(Path("mine.py"),))
    assert claim_floor(own) is None  # another family's figure of that name says nothing of this one's
    assert claim_floor(own, {"reconstruction": "one"}) == "one"
    assert claim_floor(small("task.family=mine", "claim.metric=kid", plugins=(Path("mine.py"),))) == "zero"


def test_floors_of_figures_that_a_family_computes_are_the_familys() -> None:
    assert {row.name for row in TABLE if row.floor and not row.needs} == set()
    assert floor_of("reconstruction") is None
    check_floors({"a": "zero", "b": "real against real"})
    with pytest.raises(TicketError, match=r"floor\['a'\] is 'nought'; it must be 'zero', 'one'"):
        check_floors({"a": "nought"})
