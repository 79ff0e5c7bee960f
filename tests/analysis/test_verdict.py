"""The verdict of a run: what is said and with what status, what comes next, which interim analyses are allowed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import call, unlike

from gentickets.actions.locate import recipe_of
from gentickets.analysis.interim_analyses import interim_analysis_of, with_seeds_for
from gentickets.analysis.judge import judge_run
from gentickets.analysis.text.verdict import convergence_text
from gentickets.arms import reported_as
from gentickets.errors import TicketError
from gentickets.experiment.options import Options
from gentickets.experiment.plan import Unit, plan_units
from gentickets.experiment.run import record_of
from gentickets.recipe import Recipe, load_recipe
from gentickets.recipe.asked import complete
from gentickets.report.pages.verdict_files import write_verdict
from gentickets.report.schemas import schema_of
from gentickets.results import Result, read_result
from gentickets.runs.claims import log_claim
from gentickets.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("without_plots")

LEVELS = {"dense": 103.0, "budget": 101.0, "dense-twice": 102.2, "ticket": 102.0}
"""What arms reach where nothing else is said; the controls 104, all of them one better when trained longer."""
FLOOR = 85.94
"""What the metric could reach at best: the dense model is 17 above it."""
NOISE = (0.0, 0.13, -0.11, 0.07, -0.12, 0.02)
SCATTER = {"reinit-longer": 3.0}
"""How much more than the others an arm differs from seed to seed."""


def recipe(seeds: int = 3, **changes: str) -> Recipe:
    two_levels = {"rounds": "6", "control_rounds": "[3,5]", "controls": '["reinit","shuffle"]', "budget": "true"}
    wanted = {"search.seeds": seeds, **{f"search.{name}": value for name, value in two_levels.items()}}
    wanted |= {name.replace("__", "."): value for name, value in changes.items()}
    return load_recipe("digits_vae", overrides=[f"{name}={value}" for name, value in wanted.items()])


def result_of(unit: Unit, means: Mapping[str, float]) -> Result:
    """A finished round of a unit: its arm's mean, and a little that differs from seed to seed and arm to arm."""
    told = reported_as(unit.name.base, unit.round)
    own = unit.arm if told != "dense" else told
    mean = means.get(own, means.get(told, LEVELS.get(told, 104.0)) - (1.0 if unit.name.longer else 0.0))
    noise = SCATTER.get(unit.arm, 1.0) * NOISE[(unit.seed + len(own)) % len(NOISE)]
    # no two arms differ by the same in every seed
    own_noise = 0.01 * float(np.random.default_rng([*own.encode(), unit.round, unit.seed]).normal())
    value = mean + noise + 0.3 * (unit.seed % 2) + own_noise
    curve = [{"step": step, "valid": {"negative_elbo": 104 - step / 500}} for step in (375, 437, 500, 1000)]
    sparse = 0.0 if told in ("dense", "budget", "narrow", "dense-twice") else 1 - 0.8**unit.round
    full = Result(
        unit.arm, unit.seed, unit.round, sparse, unit.span, unit.steps, "last",
        valid={"negative_elbo": value}, test={"negative_elbo": value, "coverage": 0.7},
        curve=curve if unit.arm == "dense-twice" else [], seconds={"train": 60.0},
        floors={split: {"negative_elbo": FLOOR} for split in ("valid", "test")} if told == "dense" else {},
    )  # fmt: skip
    if unit.arm == "beside":
        return replace(full, valid={}, test={}, beside=LOOKED)
    return full


LOOKED: dict[str, Any] = {
    "arms": {
        arm: {
            "classes": [0.5, 0.5],
            "latents": {"active": 7, "of": 16},
            "nearest": {"samples": 4.0, "test": 5.0, "copies": 0.02},
        }
        for arm in ("dense", "ticket")
    },
    "classes": [0.4, 0.6],
    "paths": [
        {"step": step, "metric": "negative_elbo", "places": [0.0, 0.5, 1.0], "values": [100.0, 100 + 100 * high, 100.0],
         "barrier": 100 * high, "relative": high}
        for step, high in ((0, 0.3), (50, 0.01))
    ],
    "skipped": {},
}  # fmt: skip


def make_run(path: Path, of: Recipe, **means: float) -> Path:
    """A finished run folder of a recipe, made without training."""
    run = RunFolder(path)
    path.mkdir(parents=True)
    record = record_of(of, Options())
    run.record.write_bytes(run.record_text(record))
    run.recipe.write_text(of.text, encoding="utf-8")
    for unit in plan_units(of):
        folder = run.round(*unit.key)
        folder.path.mkdir(parents=True)
        named = {name.replace("_", "-"): mean for name, mean in means.items()}
        folder.result.write_text(result_of(unit, named).to_json(), encoding="utf-8")
    return path


def test_a_ticket_that_beats_everything_wins(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(5)))
    ran = call("verdict", path, "--require", "wins")
    assert (ran.exit_code, ran.stdout.splitlines()[0]) == (0, "WINS")
    assert "What to do now: Use the ticket" in ran.stdout
    assert "Decided: no further analysis is needed" in ran.stdout
    told = json.loads((path / "verdict.json").read_text())
    assert (told["word"], told["edition"], told["format"]) == ("WINS", 2, 2)
    assert unlike(told, schema_of("verdict")) == []
    assert [(level["round"], level["word"]) for level in told["levels"]] == [(3, "WINS AT EQUAL STEPS"), (5, "WINS")]
    assert told["more"]["decided"] is True
    assert (path / "verdict.html").is_file()
    assert (path / "report.html").is_file()


CASES: list[tuple[str, dict[str, float]]] = [
    ("WINS", {}),
    ("HEAD START ONLY", {"shuffle_longer": 100.0}),
    ("NO BETTER THAN A CONTROL", {"random_erk": 101.0, "random_erk_scaled": 101.0}),
    ("WORSE THAN DENSE", {"ticket": 110.0}),
]


@pytest.mark.parametrize(("word", "means"), CASES)
def test_the_status_is_0_wherever_it_was_judged(tmp_path: Path, word: str, means: dict[str, float]) -> None:
    path = make_run(tmp_path / "run", complete(recipe(5)), **means)
    ran = call("verdict", path, "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["word"]) == (0, word)
    meets = {"wins": ("WINS",), "equal-steps": ("WINS", "HEAD START ONLY")}
    meets["matches-dense"] = ("WINS", "HEAD START ONLY", "NO BETTER THAN A CONTROL")
    for required, enough in meets.items():
        assert call("verdict", path, "--require", required).exit_code == (0 if word in enough else 7), required


@pytest.mark.parametrize(("word", "means"), CASES)
def test_find_and_verdict_say_the_same(tmp_path: Path, word: str, means: dict[str, float]) -> None:
    path = make_run(tmp_path / "run", complete(recipe(5)), **means)
    ran = call("report", path)
    judged = judge_run(path)
    assert judged.word == word
    assert judged.sentence in " ".join(ran.stdout.split())
    report = json.loads((path / "report.json").read_text())["runs"][0]["verdict"]
    assert (report["word"], report["sentence"]) == (judged.word, judged.sentence)


def test_no_more_than_a_match_without_the_declared_controls(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", recipe(5))
    judged = judge_run(path)
    assert judged.declared is not None
    assert judged.word == judged.declared.word == "MATCHES DENSE"
    assert set(judged.missing) == {"random-erk", "narrow", "longer", "dense-twice"}
    assert f"gentickets verdict {path} --run" in judged.sentence
    worse = judge_run(make_run(tmp_path / "worse", recipe(5), ticket=120.0))
    assert worse.word == "WORSE THAN DENSE", "more opponents cannot make it better"


def test_an_open_claim_says_what_comes_next_and_what_it_costs(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(3)), reinit_longer=101.3)
    judged = judge_run(path)
    assert judged.word == "WINS AT EQUAL STEPS", "whether it lasts is not shown yet"
    assert judged.more is not None
    assert (judged.more.decided, judged.more.next) == (False, 6)
    units = plan_units(complete(recipe(1)))
    cores = int(RunFolder(path).read_record()["machine"]["cores"])
    each = sum(1 for unit in units if not unit.arm.startswith("fork-")) * 60
    assert judged.more.minutes == pytest.approx(3 * each / cores / 60, rel=0.2)
    assert judged.more.command == f"gentickets verdict {path} --more"
    assert "Decided" not in call("verdict", path).stdout


def test_no_verdict_comes_of_two_seeds(tmp_path: Path) -> None:
    judged = judge_run(make_run(tmp_path / "run", complete(recipe(2))))
    assert (judged.word, judged.more) == ("UNDECIDED", None)
    assert "2 seeds are too few" in judged.sentence


def test_a_run_without_its_last_unit_is_undecided_and_not_an_error(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(3)))
    RunFolder(path).round(2, "ticket", 5).result.unlink()
    assert judge_run(path).word == "UNDECIDED"
    for result in path.glob("seed-*/*/round-*/result.json"):
        result.unlink()
    ran = call("verdict", path)
    assert (ran.exit_code, "nothing is done yet" in ran.stdout) == (0, True)
    assert call("verdict", path, "--require", "matches-dense").exit_code == 7


def test_whether_dense_is_trained_and_what_stands_beside(tmp_path: Path) -> None:
    judged = judge_run(make_run(tmp_path / "run", complete(recipe(5))))
    assert judged.trained is not None
    assert judged.trained.trained is True, "0.8 better by twice the steps, and the ticket leads by 1"
    assert judged.trained.better_by is not None
    assert judged.trained.better_by.mean == pytest.approx(-0.8, abs=0.2)
    assert judged.trained.slope == pytest.approx(-0.25 / 103)
    assert judged.beside is not None
    assert judged.beside.connected == 50
    assert {line.arm: (line.latents, line.nearest, line.copies) for line in judged.beside.arms}["ticket"] == (
        "7 of 16", 0.8, 0.02,
    )  # fmt: skip
    assert [(path.step, set(path.relative.values())) for path in judged.beside.paths] == [(0, {0.3}), (50, {0.01})]
    not_trained = judge_run(make_run(tmp_path / "short", complete(recipe(5)), dense_twice=95.0))
    assert not_trained.trained is not None
    assert not_trained.trained.trained is False


def test_the_claim_is_told_as_it_was_declared(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(3)))
    judged = judge_run(path)
    stored = RunFolder(path).read_record()["claim"]
    assert (judged.hash, judged.stored, judged.claim) == (stored["hash"], True, stored["declared"])
    changed = RunFolder(path).read_record()
    changed["recipe"]["claim"]["margin"] = 0.5
    (path / "run.json").write_bytes(RunFolder(path).record_text(changed))
    ran = call("verdict", path)
    assert (ran.exit_code, "margin" in ran.stderr) == (3, True)


def as_first_edition(path: Path) -> None:
    """Make a run's record what the first edition stored: a claim without an edition."""
    record = RunFolder(path).read_record()
    record.pop("claim")
    (path / "run.json").write_bytes(RunFolder(path).record_text(record))


def test_a_run_of_the_first_edition_shows_the_verdict_that_it_stored(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(3)))
    as_first_edition(path)
    nothing = judge_run(path)
    assert (nothing.word, nothing.edition, nothing.more, nothing.levels) == ("no verdict", 1, None, ())
    assert "of the first edition, and no verdict was stored" in nothing.sentence
    level = {"round": 5, "sparsity": 0.672, "word": "FASTER", "declared": True, "sentence": "At 67.2 % it is FASTER."}
    stored = {"format": 1, "word": "FASTER", "sentence": "At 67.2 % it is FASTER.", "levels": [level]}
    (path / "verdict.json").write_text(json.dumps(stored))
    judged = judge_run(path)
    assert (judged.word, judged.sentence) == (
        "FASTER", "FASTER, by the first edition's rule: At 67.2 % it is FASTER."
    )  # fmt: skip
    assert [(one.word, one.sentence) for one in judged.levels] == [("FASTER", "At 67.2 % it is FASTER.")]
    assert call("report", path).exit_code == 0
    assert "by the first edition" in (path / "report.html").read_text()
    assert call("verdict", path, "--require", "matches-dense").exit_code == 7, "another rule's verdict proves nothing"


def test_what_the_first_edition_stored_is_not_overwritten(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(3)))
    as_first_edition(path)
    stored = json.dumps({"format": 1, "word": "WINS", "sentence": "It WINS."})
    (path / "verdict.json").write_text(stored)
    assert call("verdict", path).exit_code == 0
    assert json.loads((path / "verdict.json").read_text())["word"] == "WINS"
    assert "WINS, by the first edition's rule: It WINS." in call("verdict", path).stdout
    (path / "verdict.json").unlink()  # the report has been written anew twice by now, and still says it
    assert "WINS, by the first edition's rule: It WINS." in call("verdict", path).stdout


def test_interim_analyses_are_the_declared_ones(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(3)))
    look = interim_analysis_of(recipe_of(RunFolder(path)), RunFolder(path).read_record())
    assert (look.number, look.of, look.alpha, look.seeds, look.following) == (1, 2, 0.05, (3, 6), 6)
    three = complete(recipe(3))
    assert with_seeds_for(three, look, 3, more=True).search.seeds == 6
    assert with_seeds_for(complete(recipe(2)), look, 3, more=True).search.seeds == 6, "the run counts, not the recipe"
    assert with_seeds_for(three, look, 3, seeds=6).search.seeds == 6
    assert with_seeds_for(three, look, 3, seeds=3).search.seeds == 3
    with pytest.raises(TicketError, match="at 3 and 6 seeds; --seeds 5 is none of them"):
        with_seeds_for(three, look, 3, seeds=5)
    with pytest.raises(TicketError, match="no further one was declared"):
        with_seeds_for(three, look, 6, more=True)


def growing(path: Path, seeds: int, complete_: int, **means: float) -> Path:
    """A run that grows from so many seeds to twice as many; of the new ones some are complete, the next has begun."""
    from test_recomputed_verdicts import grown_run

    grown_run(path, seeds, means)
    for seed in range(complete_, 2 * seeds):
        for file in sorted((path / f"seed-{seed}").rglob("result.json"))[int(seed == complete_) * 4 :]:
            file.unlink()
    return path


def test_while_a_run_grows_its_first_analysis_stands(tmp_path: Path) -> None:
    before = judge_run(make_run(tmp_path / "first", complete(recipe(5)), reinit_longer=101.3))
    path = growing(tmp_path / "run", 5, 7, reinit_longer=101.3)
    judged = judge_run(path)
    assert judged.word == before.word == "WINS AT EQUAL STEPS"
    assert judged.levels[1].nodes == before.levels[1].nodes, "of the new seeds nothing is looked at"
    assert (judged.look.number, judged.look.following) == (1, 10)
    assert "(5 seeds, interim analysis 1 of 2; the next has 7 of 10 seeds)" in judged.sentence
    assert any("The interim analysis of 10 seeds is under way: 7 of 10 seeds are complete" in n for n in judged.notes)
    assert before.more is not None
    assert judged.more is not None
    assert judged.more.minutes == pytest.approx(before.more.minutes * 3 / 5, rel=0.2), "what is left of it"
    assert judged.more.chances == before.more.chances
    assert call("report", path).exit_code == 0


def test_the_second_analysis_counts_once_it_is_complete(tmp_path: Path) -> None:
    path = growing(tmp_path / "run", 5, 10, reinit_longer=101.3)
    judged = judge_run(path)
    assert (judged.seeds, judged.look.number) == (10, 2)
    assert "under way" not in " ".join(judged.notes)
    missing = next((path / "seed-8" / "shuffle").rglob("result.json"))
    done = read_result(missing)
    missing.unlink()
    assert judge_run(path).seeds == 5, "one control of one seed is not there"
    missing.write_text(replace(done, status="failed", why="no memory", test={}, valid={}).to_json())
    assert judge_run(path).seeds == 10, "what failed is there"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere",), "nowhere"),
        (("digits_vae", "--more"), "there is no run at"),
        (("width/gda",), "sweep of widths"),
        (("transfer/vae", "--set", 'claim.metric="kl"', "--set", 'claim.unit="absolute"'), "kl"),
        (("digits_vae", "--seeds", "2"), "2 is not in the range"),
    ],
)
def test_what_cannot_be_judged_is_one_line_and_status_2(
    arguments: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = call("verdict", *arguments)
    assert ran.exit_code == 2
    assert told in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_run_takes_no_recipe_options(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(3)))
    for option in (("--out", "elsewhere"), ("--set", "train.steps=7")):
        ran = call("verdict", path, *option)
        assert (ran.exit_code, "go with a recipe" in ran.stderr) == (2, True)
    assert call("verdict", path, "--dry-run").exit_code == 2


def edited(path: Path, seed: int, arm: str, round: int, **changes: Any) -> None:
    """Change a result of a run on disk."""
    folder = RunFolder(path).round(seed, arm, round)
    result = folder.read_result()
    assert result is not None
    folder.result.write_text(replace(result, **changes).to_json(), encoding="utf-8")


@pytest.mark.parametrize("arm", ["shuffle", "shuffle-scaled", "shuffle-longer"])
def test_a_control_that_failed_in_a_seed_is_not_beaten_by_its_twin(tmp_path: Path, arm: str) -> None:
    path = make_run(tmp_path / "run", complete(recipe(5)))
    edited(path, 2, arm, 5, status="diverged", valid={}, test={}, why="a loss became NaN")
    judged = judge_run(path)
    assert judged.word == ("WINS AT EQUAL STEPS" if arm.endswith("longer") else "MATCHES DENSE")
    assert "diverged in seed 2 (a loss became NaN)" in judged.sentence


def test_a_missing_dense_model_trained_twice_as_long_is_said_and_decides_nothing(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(5)))
    RunFolder(path).round(1, "dense-twice", 0).result.unlink()
    judged = judge_run(path)
    assert (judged.word, "dense-twice" in judged.missing) == ("WINS", True)


def test_a_dense_model_that_is_not_trained_is_a_caution_of_every_praise(tmp_path: Path) -> None:
    caution = (
        "The dense model is not fully trained: twice its steps gain more than the ticket's lead, so the ticket may"
    )
    path = make_run(tmp_path / "run", complete(recipe(5)), dense_twice=95.0)
    assert caution in judge_run(path).sentence
    trained = judge_run(path).trained
    assert trained is not None
    assert "that is more than the ticket's lead, 1" in convergence_text(trained, "negative_elbo")
    assert caution not in judge_run(make_run(tmp_path / "trained", complete(recipe(5)))).sentence
    assert caution not in judge_run(make_run(tmp_path / "worse", complete(recipe(5)), ticket=110.0)).sentence


def test_a_longer_dense_model_that_failed_leaves_the_verdict_to_be_had(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(5)))
    edited(path, 4, "dense-longer", 0, status="diverged", valid={}, test={}, why="a loss became NaN")
    judged = judge_run(path)
    assert judged.word == "WINS AT EQUAL STEPS"
    assert "diverged in seed 4" in judged.sentence


def test_a_lead_of_rounding_is_none(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(5)))
    for seed in range(5):
        ticket = RunFolder(path).round(seed, "ticket", 5).read_result()
        assert ticket is not None
        equal = {"negative_elbo": ticket.test["negative_elbo"] * (1 + 4e-16)}
        for arm in ("shuffle", "shuffle-scaled"):
            edited(path, seed, arm, 5, valid=equal, test=equal)
    assert judge_run(path).word == "MATCHES DENSE", "and no difference at all shows nothing else"


@pytest.mark.parametrize("damage", ["figure", "beside", "claim"])
def test_a_damaged_file_is_named_with_status_3(tmp_path: Path, damage: str) -> None:
    path = make_run(tmp_path / "run", complete(recipe(3)))
    file = path / "run.json" if damage == "claim" else path / "seed-0" / "beside" / "round-05" / "result.json"
    told = json.loads(file.read_text())
    told |= {"figure": {"test": {"x": "y"}}, "beside": {"beside": {"arms": []}}, "claim": {"claim": "x"}}[damage]
    file.write_text(json.dumps(told), encoding="utf-8")
    ran = call("verdict", path)
    assert (ran.exit_code, file.name in ran.stderr) == (3, True)
    assert "internal" not in ran.stderr


def test_a_level_left_to_validation_is_told_as_the_claims(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(3, claim__level='"validation"', search__control_rounds="[5,6]")))
    judged = judge_run(path)
    assert judged.declared is not None
    assert judged.declared.round == 6
    assert len({level.sentence for level in judged.levels}) == len(judged.levels) == 6
    with pytest.raises(TicketError, match="chooses among all rounds"):
        recipe(3, claim__level='"validation"', claim__sparsities="[0.2]")


def test_three_seeds_at_least_are_declared(tmp_path: Path) -> None:
    ran = call("verdict", "digits_vae", "--set", "search.seeds=2", "--out", tmp_path / "run")
    assert (ran.exit_code, "--seeds 3" in ran.stderr) == (2, True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("word", "means", "said"),
    [
        ("WORTH ITS SEARCH", {}, "the ticket is at least"),
        ("NOT WORTH ITS SEARCH", {"dense_whole": 95.0}, " worse than dense (margin "),
    ],
)
def test_the_second_verdict_is_against_equal_total_compute(
    tmp_path: Path, word: str, means: dict[str, float], said: str
) -> None:
    judged = judge_run(make_run(tmp_path / "run", complete(recipe(5)), **means))
    assert judged.second is not None
    assert (judged.word, judged.second.word) == ("WINS", word), "the first verdict does not hang on it"
    assert judged.second.steps == 2750, "a warm-up of 50, five trainings of 450, and the ticket's own 450"
    assert judged.second_sentence.startswith(
        f"{word} (second verdict): against the arms that spend the same 2,750 steps on"
    )
    assert said in judged.second_sentence
    assert judged.second_sentence.endswith("Dynamic sparse training was not tried.")
    flops = {"reinit-whole": {"steps": 2750.0, "executed": 1e9, "masked": 1e8}}
    told = replace(judged, second=replace(judged.second, flops=flops))
    page = write_verdict(told, tmp_path / "run").read_text(encoding="utf-8")
    assert "<td>re-initialized, equal total steps</td>" in page, "arms have titles, not folder names"


def test_without_its_arms_the_second_verdict_is_open(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", complete(recipe(3)))
    for result in path.glob("seed-*/dense-whole/round-*/result.json"):
        result.unlink()
    judged = judge_run(path)
    assert judged.second is not None
    assert (judged.second.word, judged.second.part) == ("OPEN", None)
    assert "not there yet" in judged.second_sentence


def test_claims_on_the_same_task_and_data_are_counted(tmp_path: Path) -> None:
    paths = [make_run(tmp_path / f"run{seeds}", complete(recipe(seeds))) for seeds in (3, 5)]
    assert not any("This is claim" in note for note in judge_run(paths[0]).notes), "the log knows no other yet"
    for path in paths:
        assert log_claim(RunFolder(path), RunFolder(path).read_record()) is None
    assert "This is claim 2 of 2 on this task and data; the others: run3." in judge_run(paths[1]).notes
