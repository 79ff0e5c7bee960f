"""Recipes: every error at once, each with its line; defaults, overrides, and what follows from them."""

from __future__ import annotations

import inspect
import json
import math
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import HOUSE

from gentickets.errors import Status, TicketError
from gentickets.recipe import (
    FAMILIES,
    Recipe,
    diff,
    load_recipe,
    parse_recipe,
    read_recipe,
    recipe_from,
    shipped_recipes,
    with_changes,
)

SMALL = """\
[task]
family = "vae"

[data]
name = "digits"

[train]
steps = 100

[search]
rounds = 4
keep = 0.5
controls = ["shuffle"]

[claim]
metric = "negative_elbo"
level = 0.75
"""


def errors(text: str, *overrides: str, plugins: tuple[Path, ...] = ()) -> list[str]:
    """The lines of the error that a recipe raises."""
    with pytest.raises(TicketError) as caught:
        parse_recipe(text, name="r", overrides=overrides, plugins=plugins)
    assert caught.value.status == Status.REQUEST
    return str(caught.value).splitlines()


def small(*overrides: str, plugins: tuple[Path, ...] = ()) -> Recipe:
    """The small recipe with overrides."""
    return parse_recipe(SMALL, name="small", overrides=overrides, plugins=plugins)


def test_defaults_are_the_documented_ones() -> None:
    recipe = parse_recipe('[task]\nfamily = "gan"\n[data]\nname = "mnist"\n[train]\nsteps = 10\n')
    assert recipe.resolved() == {
        "seed": 0,
        "task": {
            "family": "gan",
            "network": "mlp",
            "width": 64,
            "depth": 2,
            "latent": 16,
            "loss": "nonsaturating",
            "critic_steps": 1,
            "norm": "auto",
            "slope": 0.2,
        },
        "data": {
            "name": "mnist",
            "batch_size": 64,
            "size": None,
            "channels": None,
            "folder": None,
            "valid": None,
            "workers": 0,
        },
        "train": {
            "steps": 10,
            "optimizer": "adam",
            "lr": 1e-3,
            "betas": [0.9, 0.999],
            "eps": 1e-8,
            "weight_decay": 0.0,
            "schedule": "constant",
            "warmup": 0,
            "clip_norm": None,
            "ema": {},
            "precision": "fp32",
            "compile": False,
            "objectives": {},
        },
        "search": {
            "method": "iterative",
            "criterion": "magnitude",
            "score_batches": 8,
            "rounds": 6,
            "keep": 0.8,
            "rewind_to": 0,
            "rewind": "weights",
            "optimizer_state": "rewound",
            "scope": "component",
            "prune": [],
            "other": "rewound",
            "exempt": [],
            "seeds": 3,
            "controls": [],
            "control_rounds": [6],
            "scaling": "both",
            "budget": True,
            "longer": 0,
        },
        "quality": {
            "samples": None,
            "checkpoints": 1,
            "frechet": True,
            "figures": None,
            "features": "own",
            "inception": None,
            "downstream": False,
            "train": False,
            "curve": 0,
        },
        "claim": None,
    }


def test_every_shipped_recipe_is_sound_and_says_how_to_run_it() -> None:
    names = shipped_recipes()
    assert {"digits_vae", "digits_ae", "digits_gan", "digits_vae_longer", "tiny"} <= set(names)
    for name in names:
        recipe = load_recipe(name)
        command, sentence = recipe.text.splitlines()[:2]
        assert command == f"# {recipe.command} {name}"
        assert sentence.startswith("# ")
        if recipe.search.method == "widths":
            assert recipe.search.widths
            continue
        if name == "quick/dcgan_earlybird":
            assert recipe.claim is None, "it shows how it goes and what it costs"
            continue
        assert recipe.claim is not None
        assert recipe.claim_round in (recipe.control_rounds if recipe.search.controls else recipe.rounds)


def test_resolved_recipes_are_json_and_load_to_the_same() -> None:
    for name in shipped_recipes():
        recipe = load_recipe(name, overrides=["train.objectives={}", "train.lr=0.01"])
        again = recipe_from(json.loads(json.dumps(recipe.resolved())), name=recipe.name)
        assert again.resolved() == recipe.resolved()
        assert diff(again, recipe) == []


def test_a_recipe_travels_to_a_worker() -> None:
    recipe = small()
    again = pickle.loads(pickle.dumps(recipe))
    assert again.resolved() == recipe.resolved()
    assert (again.text, again.name) == (SMALL, "small")


def test_all_errors_come_at_once_each_with_its_line() -> None:
    text = """\
sed = 3
[task]
family = "ae"
network = "cnv"
beta = 2.0
[data]
name = "digit"
batch_size = 0
[train]
lr = -1
[train.objectives.ae]
optimizer = "adamm"
[search]
controls = [
  "reinit",
  "shufle",
]
keep = 1.5
prune = ["encodr"]
[train.ema]
decodr = 0.5
"""
    assert errors(text) == [
        "r.toml:1: sed: unknown section or key. Did you mean 'seed'?",
        "r.toml:4: task.network: 'cnv' is not allowed; must be 'mlp', 'linear', 'conv', 'maxpool', 'resnet18', 'sngan' "
        "or 'resnet'. Did you mean 'conv'?",
        "r.toml:5: task.beta: unknown key; only family 'vae' has it",
        "r.toml:7: data.name: 'digit' is not allowed; must be 'digits', 'mnist', 'fashion-mnist', 'kmnist', "
        "'cifar10', 'celeba' or 'folder'. Did you mean 'digits'? One of your own comes with --plugin "
        "my_models.py",
        "r.toml:8: data.batch_size: 0 is not allowed; must be a whole number of at least 1",
        "r.toml:9: train.steps: is missing; must be a whole number of at least 1",
        "r.toml:10: train.lr: -1 is not allowed; must be a number above 0",
        "r.toml:12: train.objectives.ae.optimizer: 'adamm' is not allowed; must be 'adam', 'adamw', 'sgd' or "
        "'rmsprop'. Did you mean 'adam'?",
        "r.toml:14: search.controls[1]: 'shufle' is not allowed; must be 'reinit', 'reinit0', 'shuffle', "
        "'random-erk', 'random-uniform', 'narrow', 'narrow-weights', "
        "'random-channels', 'low-channels', 'scratch', 'scratch-flops', 'snip', 'grasp' or 'synflow'. "
        "Did you mean 'shuffle'?",
        "r.toml:18: search.keep: 1.5 is not allowed; must be a number above 0 and below 1",
        "r.toml:19: search.prune[0]: family 'ae' has no component 'encodr'. Did you mean 'encoder'?",
        "r.toml:21: train.ema.decodr: family 'ae' has no component 'decodr'. Did you mean 'decoder'?",
    ]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed=-1", "seed: -1 is not allowed; must be a whole number of at least 0"),
        ("seed=true", "seed: true is not allowed"),
        ("train.steps=1.0", "1.0 is not allowed; must be a whole number of at least 1"),
        ('train.steps="100"', "'100' is not allowed; must be a whole number"),
        ('train.lr="0.1"', "'0.1' is not allowed; must be a number above 0"),
        ("train.lr=nan", "nan is not allowed"),
        ("train.lr=inf", "inf is not allowed"),
        (
            "train.betas=[0.9]",
            "[0.9] is not allowed; must be a list of 2, each a number of at least 0 and below 1",
        ),
        ("train.betas=0.9", "0.9 is not allowed; must be a list of 2"),
        (
            "train.ema.decoder=1",
            "--set train.ema.decoder: 1 is not allowed; must be a number above 0 and below 1",
        ),
        ("train.ema.generator=0.9", "family 'vae' has no component 'generator'"),
        ("train.objectives.ae.lr=0.1", "family 'vae' has no objective 'ae'. Did you mean 'vae'?"),
        ("train.objectives.vae.stepz=1", "--set train.objectives.vae.stepz: unknown key"),
        ("train.momentum=0.9", "--set train.momentum: adam has no momentum; remove it"),
        ("train.objectives.vae.alpha=0.9", "adam has no alpha; remove it"),
        ("train.warmup=100", "100 is not below train.steps = 100"),
        ("train.stepz=3", "--set train.stepz: unknown key. Did you mean 'steps'?"),
        ("task.size=16", "unknown key; it belongs in [data]"),
        ("task.clip=0.1", "unknown key; only family 'gan' has it"),
        ("task.conditional=true", "conditional models are not supported; remove it"),
        ("data.labels=true", "conditional models are not supported; remove it"),
        (
            "task.family=vaee",
            "unknown family 'vaee'. Did you mean 'vae'? One of your own comes with --plugin",
        ),
        ("task=3", "--set task: 3 is not allowed; must be a section, [task]"),
        ("train=3", "--set train: 3 is not allowed; must be a section, [train]"),
        ("data.folder=pictures", "is read only with name = 'folder', not 'digits'"),
        ("data.name=folder", "data.folder: is missing; name = 'folder' needs the path of a folder of images"),
        ("search.longer=1", "1 is not allowed; must be 0 or a whole number of at least 2"),
        ("search.rewind_to=100", "100 is not below train.steps = 100"),
        ("search.control_rounds=[2, 5]", "5 is not a round; must be from 1 to search.rounds = 4"),
        ("search.control_rounds=[0]", "0 is not allowed; must be a whole number of at least 1"),
        ("search.control_rounds=[4]", "[4] lacks round 2, which the claim is about"),
        ('search.controls=["narrow", "narrow"]', "'narrow' stands there twice"),
        ('search.prune=["generator"]', "family 'vae' has no component 'generator'"),
        ("quality.checkpoints=101", "101 is more than the 100 steps from search.rewind_to on"),
        ("quality.samples=1", "1 is not allowed; must be a whole number of at least 2"),
        ("claim.level=0.8", "near it: 0.750 (round 2), 0.875 (round 3), 0.938 (round 4)"),
        ("claim.level=validaton", "must be a number above 0 and below 1 or 'validation'"),
        ("claim.metric=kl", "'kl' alone says nothing of quality, a collapsed encoder has none"),
        ("claim.metric=freche", "'freche' is no metric here; family 'vae' can claim"),
        ("claim.margin=-0.1", "-0.1 is not allowed; must be a number of at least 0"),
        ("claim.margin=1.0", "1.0 is not allowed; must be a number of at least 0 and below 1"),
        ("claim={}", "claim.level: is missing"),
    ],
)
def test_an_impossible_value_is_refused_with_what_would_be_right(override: str, said: str) -> None:
    assert any(said in line for line in errors(SMALL, override))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["task.family=ae"],
            "'negative_elbo' is no metric here; family 'ae' can claim 'reconstruction'",
        ),
        (["task.family=gan", "claim.metric=reconstruction"], "family 'gan' can claim 'frechet'"),
        (["claim.metric=frechet", "quality.frechet=false"], "is not measured with quality.frechet = false"),
        (["task.network=conv", "task.depth=3"], '--set task.depth: means nothing without network = "mlp"'),
        (["task.family=gan", "task.clip=0.1"], '--set task.clip: means nothing without loss = "wasserstein"'),
        (["task.family=gan", "task.likelihood=bernoulli"], "unknown key; only family 'vae' has it"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(overrides: list[str], said: str) -> None:
    assert any(said in line for line in errors(SMALL, *overrides))


def test_longer_needs_a_claim() -> None:
    text = SMALL.partition("[claim]")[0]
    assert errors(text, "search.longer=5") == [
        "--set search.longer: trains longer at the claim's round; add a [claim] section"
    ]


def test_a_wrong_key_does_not_cause_errors_that_are_not_there() -> None:
    found = errors(SMALL, "train.steps=-1", "search.rewind_to=50", "search.rounds=many")
    assert [line.split(":")[0] for line in found] == ["--set train.steps", "--set search.rounds"]
    assert len(errors(SMALL, "task.family=gan", "task.loss=wassertein", "task.clip=0.1", "claim.metric=frechet")) == 1


def test_whole_numbers_become_floats_and_nothing_else_is_coerced() -> None:
    recipe = small("train.lr=1", "train.betas=[0, 0.9]")
    assert recipe.train.lr == 1.0
    assert isinstance(recipe.train.lr, float)
    assert recipe.train.betas == (0.0, 0.9)
    assert errors(SMALL, "quality.frechet=1") == ["--set quality.frechet: 1 is not allowed; must be true or false"]


def test_a_plugin_family_is_accepted_only_with_plugins() -> None:
    plugin = (Path("my_models.py"),)
    overrides = ("task.family=diffusion", "task.noise=0.1", "claim.metric=loss", "train.ema.denoiser=0.9")
    assert any("--plugin" in line for line in errors(SMALL, *overrides))
    recipe = small(*overrides, plugins=plugin)
    assert recipe.task.family == "diffusion"
    assert recipe.task.keywords == {"noise": 0.1}
    assert recipe_from(recipe.resolved()).resolved() == recipe.resolved()
    refused = errors(SMALL, *overrides, "task.sizes=[1]", "task.labels=true", plugins=plugin)
    assert refused == [
        "--set task.sizes: [1] is not allowed; must be text, a number, true or false",
        "--set task.labels: conditional models are not supported; remove it: training here never sees labels",
    ]


def test_a_plugins_dataset_and_criterion_are_accepted_only_with_plugins() -> None:
    overrides = ("data.name=faces", "search.criterion=mine")
    assert [line.split(". One of your own")[0] for line in errors(SMALL, *overrides)] == [
        "--set data.name: 'faces' is not allowed; must be 'digits', 'mnist', 'fashion-mnist', 'kmnist', "
        "'cifar10', 'celeba' or 'folder'",
        "--set search.criterion: 'mine' is not allowed; must be 'magnitude', 'random', 'snip', 'grasp', "
        "'grasp-abs', 'synflow', 'gradient' or 'lamp'",
    ]
    recipe = small(*overrides, plugins=(Path("mine.py"),))
    assert (recipe.data.name, recipe.search.criterion) == ("faces", "mine")


def test_rounds_and_sparsities_by_hand() -> None:
    recipe = small()
    assert [recipe.sparsity(round) for round in range(5)] == [0.0, 0.5, 0.75, 0.875, 0.9375]
    assert recipe.claim_round == 2
    assert recipe.control_rounds == [2, 4]
    vae = load_recipe("digits_vae")
    assert math.isclose(vae.sparsity(5), 1 - 0.8**5)
    assert vae.claim_round == 5


def test_a_level_within_a_thousandth_is_its_rounds() -> None:
    assert small("claim.level=0.7509").claim_round == 2
    assert any("no round" in line for line in errors(SMALL, "claim.level=0.7511"))


def test_control_rounds_follow_the_claim() -> None:
    assert small("claim.level=validation").control_rounds == [1, 2, 3, 4]
    assert small("claim.level=validation").claim_round is None
    assert small("search.control_rounds=[3, 2]").control_rounds == [2, 3]
    without = parse_recipe(SMALL.partition("[claim]")[0])
    assert (without.claim_round, without.control_rounds) == (None, [4])


def test_seeds_follow_each_other() -> None:
    assert small("seed=7", "search.seeds=3").seeds == [7, 8, 9]


def test_an_objective_keeps_the_runs_settings_that_it_does_not_change() -> None:
    recipe = small("train.lr=0.1", "train.objectives.vae={optimizer = 'sgd', momentum = 0.9}")
    own = recipe.train.settings("vae")
    assert (own["name"], own["lr"], own["momentum"]) == ("sgd", 0.1, 0.9)
    assert recipe.train.settings()["name"] == "adam"
    assert recipe.resolved()["train"]["objectives"] == {"vae": {"optimizer": "sgd", "momentum": 0.9}}


def test_diff_names_every_changed_key() -> None:
    changed = small("train.lr=0.1", "train.ema.decoder=0.9", 'search.controls=["reinit"]')
    assert diff(small(), changed) == [
        "train.lr: 0.001 -> 0.1",
        "search.controls: ['shuffle'] -> ['reinit']",
        "train.ema.decoder: none -> 0.9",
    ]
    assert diff(small(), small().resolved()) == []


def test_overrides_are_toml_values_and_bare_words_are_text() -> None:
    recipe = small("data.name=folder", "data.folder=/my/fine pictures", "data.channels='rgb'", "search.budget=false")
    assert (recipe.data.folder, recipe.data.channels, recipe.search.budget) == (
        "/my/fine pictures",
        "rgb",
        False,
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.steps", "must be section.key=value"),
        ("train.steps=", "must be section.key=value"),
        (".steps=1", "must be section.key=value"),
        ("train.steps=[1", "is no TOML value"),
        ("train.steps=1\nlr=2", "must be one value"),
        ("train.steps.x=1", "train.steps is no table"),
    ],
)
def test_a_malformed_override_is_refused(override: str, said: str) -> None:
    (line,) = errors(SMALL, override)
    assert said in line


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("seed = 1\nx = \n", "r.toml:2: not TOML"),
        ("[data]\n\n[data]\n", "r.toml:3"),
        ('seed = 1\nx = "', "r.toml:2"),
    ],
)
def test_a_syntax_error_has_its_line(text: str, place: str) -> None:
    (line,) = errors(text)
    assert line.startswith(place)


def test_lines_are_found_behind_long_values_quotes_and_inline_tables() -> None:
    text = (
        'task = {family = "vae",\tlatent = 0}\n# [train]\n[data]\nname = """\ndigits\n[train]\n"""\n'
        '[ "train" ]\nema . decoder = 2\n"steps" = [\n 1,\n]\n'
    )
    assert [line.split(": ")[0] + " " + line.split(": ")[1] for line in errors(text)] == [
        "r.toml:1 task.latent",
        "r.toml:4 data.name",
        "r.toml:9 train.ema.decoder",
        "r.toml:10 train.steps",
    ]


def test_a_path_a_shipped_name_and_a_file_in_a_folder_are_found(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    recipe = load_recipe(file)
    assert recipe.name == "mine"
    file.write_text(SMALL.replace("100", "-100"))
    with pytest.raises(TicketError, match=f"^{file}:8: train.steps: -100 is not allowed"):
        load_recipe(str(file))
    assert load_recipe("tiny.toml").name == "tiny"


def test_shipped_recipes_in_folders_have_the_folder_in_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "xyz.toml").write_text(SMALL)
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    assert list(shipped_recipes()) == ["quick/xyz"]
    assert load_recipe("quick/xyz").name == "quick/xyz"


def test_a_group_of_shipped_recipes_is_no_recipe() -> None:
    for name in ("quick", "quick/"):
        with pytest.raises(TicketError, match=rf"'{name}' is a group of \d+ shipped recipes.*'quick/beta_vae'"):
            load_recipe(name)


def test_capitals_do_not_hide_the_nearest_name() -> None:
    (said,) = errors(SMALL, "search.criterion=SNIP")
    assert "Did you mean 'snip'?" in said
    (said,) = errors(SMALL, "data.name=MNIST")
    assert "Did you mean 'mnist'?" in said


def test_width_sweeps_without_widths_and_with_a_claim_are_refused() -> None:
    said = errors(SMALL, "search.method=widths", "claim.metric=negative_elbo", "claim.level=0.2")
    assert any("search.widths: is missing; method = 'widths' needs the widths to try" in line for line in said)
    assert any("claim: means nothing with search.method = 'widths'" in line for line in said)
    assert not any("claim.level" in line for line in said)


def test_a_claim_about_a_figure_that_is_left_out_is_refused() -> None:
    overrides = ("task.family=gan", "claim.metric=frechet", "claim.level=0.2", "quality.figures=[]")
    assert any("'frechet' is not among quality.figures; add it there" in line for line in errors(SMALL, *overrides))
    overrides = ("task.family=gan", "claim.metric=fid", "claim.level=0.2", "quality.features=inception")
    said = errors(SMALL, *overrides, 'quality.figures=["kid"]')
    assert any("'fid' is not measured, as 'frechet' is not among quality.figures" in line for line in said)


def test_an_empty_list_takes_a_key_of_another_method_back() -> None:
    text = (HOUSE / "recipes" / "width" / "gda.toml").read_text("utf-8")
    recipe = parse_recipe(text, overrides=["search.method=iterative", "search.widths=[]"])
    assert recipe.search.widths == ()


def test_a_level_that_only_rounds_leaves_out_is_refused_with_both() -> None:
    overrides = ("search.method=one_shot", "search.rounds=3", "search.only_rounds=[2]", "claim.metric=negative_elbo")
    said = errors(SMALL, *overrides, "claim.level=0.2")
    assert any("rounds = 3, only_rounds = [2]); near it: 0.750 (round 2)" in line for line in said)


def test_what_is_no_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TicketError, match=r"no recipe file 'digits_va'.* Did you mean 'digits_vae'\?"):
        load_recipe("digits_va")
    (tmp_path / "mine.toml").write_text(SMALL)
    with pytest.raises(TicketError, match=r"Did you mean 'mine\.toml'\?"):
        load_recipe(tmp_path / "mime.toml")
    with pytest.raises(TicketError, match="is a folder, not a recipe"):
        load_recipe(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"a = 1\n\xff\xfe")
    with pytest.raises(TicketError, match=r"binary\.toml:2: not UTF-8"):
        load_recipe(tmp_path / "binary.toml")
    (tmp_path / "big.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(TicketError, match="larger than 1,000,000 bytes"):
        load_recipe(tmp_path / "big.toml")


def test_loading_a_recipe_imports_no_torch() -> None:
    code = "import sys, gentickets.recipe as r; r.load_recipe('digits_vae'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_keyword_schemas_are_the_constructors() -> None:
    from gentickets.tasks import FAMILIES as CONSTRUCTORS

    assert CONSTRUCTORS.keys() == FAMILIES.keys()
    for family, constructor in CONSTRUCTORS.items():
        parameters = inspect.signature(constructor).parameters
        expected = {name: one.default for name, one in parameters.items() if name != "image"}
        assert {name: one.default for name, one in FAMILIES[family].model_fields.items()} == expected
        task = constructor((1, 8, 8))
        assert list(FAMILIES[family].components) == task.components
        assert list(FAMILIES[family].objectives) == [objective.name for objective in task.objectives()]


def test_what_stands_here_without_torch_is_what_stands_there() -> None:
    from gentickets.criteria import OPTIONS
    from gentickets.recipe.sections import CRITERION_OPTIONS

    for option, criteria in CRITERION_OPTIONS.items():
        assert set(criteria) == {name for name, options in OPTIONS.items() if option in options}


def test_a_stored_recipe_of_any_version_is_read_and_keeps_its_values() -> None:
    for name in shipped_recipes():
        recipe = load_recipe(name)
        stored = json.loads(json.dumps(recipe.resolved()))
        again = read_recipe(stored)
        assert again.resolved() == stored
        assert again.stored is stored
        assert again.model_copy().stored == stored, "a copy tells what it says itself"


def test_what_an_older_or_newer_version_stored_opens() -> None:
    old = load_recipe("digits_vae").resolved()
    for section, key in (("train", "precision"), ("search", "score_batches"), ("quality", "curve"), ("claim", "looks")):
        del old[section][key]
    old["search"]["later"] = old["later"] = 1
    old["search"]["scope"] = "somewhere"
    recipe = read_recipe(old)
    assert (recipe.train.precision, recipe.search.score_batches, recipe.quality.curve) == ("fp32", 8, 0)
    assert recipe.claim is not None
    assert recipe.claim.looks == 2
    assert recipe.search.scope == "somewhere"
    assert recipe.stored == old
    bare = read_recipe({"search": {"method": "one_shot"}})
    assert (bare.train.steps, bare.data.name, bare.task.family, bare.claim) == (0, "", "", None)


def test_changes_are_laid_over_what_is_stored() -> None:
    stored = {**load_recipe("digits_vae").resolved(), "plugins": ["own.py"], "image": [1, 8, 8]}
    del stored["train"]["precision"]
    changed = with_changes(read_recipe(stored), {"train": {"steps": 7}, "seed": 3})
    assert (changed.train.steps, changed.seed, changed.image, changed.plugins) == (7, 3, (1, 8, 8), ["own.py"])
    assert changed.stored == {**stored, "seed": 3, "train": {**stored["train"], "steps": 7}}
