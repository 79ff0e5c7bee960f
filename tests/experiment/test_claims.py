"""Claims of runs: seeds that follow from them, growth, new claims, explorations, and the log beside the runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers import content
from scipy.stats import t

from gentickets.actions.claim_from import claimed_from
from gentickets.actions.dry_run import few_seeds
from gentickets.actions.locate import recipe_of, resuming
from gentickets.actions.transfer import adopt
from gentickets.actions.transfer_matrix import Model, with_one_set_of_seeds
from gentickets.disk import append_line
from gentickets.errors import TicketError
from gentickets.experiment.new_claim import free_folder
from gentickets.experiment.options import Options
from gentickets.experiment.run import find
from gentickets.recipe import Recipe, parse_recipe
from gentickets.recipe.declared import check_declared, edition_of, has_explored, seeds_by_hand
from gentickets.recipe.edit import with_values
from gentickets.recipe.meaning import claim_hash, random_seeds
from gentickets.results import parse_result, read_results
from gentickets.runs.claims import LOG, claims_like, log_claim, read_log
from gentickets.runs.folder import RunFolder
from gentickets.runs.formats import read_ticket

pytestmark = pytest.mark.usefixtures("without_pictures", "without_plots")

HERE = Options(jobs=0, device="cpu", keep_all=True)
SMALL = """\
[task]
family = "vae"
width = 8
depth = 1
latent = 2

[data]
name = "digits"
batch_size = 32

[train]
steps = 6
lr = 0.001

[search]
rounds = 1
keep = 0.5
rewind_to = 2
seeds = 1
controls = ["shuffle"]
scaling = "off"
budget = false

[quality]
frechet = false

[claim]
metric = "negative_elbo"
level = 0.5
"""
FIRST = {
    "declared": {"metric": "negative_elbo", "margin": 0.02, "level": 0.5, "alpha": 0.05, "sparsities": [0.5],
                 "looks": 2, "seeds": 1},
    "hash": "fb8de830c8803fc0fab72f79ca7f38cf5cd42d73f3bbd9522860bf4c5e884255",
    "seeds": [1],
}  # fmt: skip
"""What the first edition's code recorded of this claim."""
FIRST_IDENTITY = "c0b52cd31580981582508832ff84524b0292d69f5f2648feff62f21bc2708c6a"


def small(*overrides: str, text: str = SMALL) -> Recipe:
    """The small recipe with overrides."""
    return parse_recipe(text, name="small", overrides=overrides)


def begin(out: Path, *overrides: str) -> RunFolder:
    """A run of the small recipe."""
    find(small(*overrides), out, HERE)
    return RunFolder(out)


def start_of(run: RunFolder, seed: int = 0) -> bytes:
    """The dense run's first ticket, as bytes."""
    return run.round(seed, "ticket", 0).ticket.read_bytes()


@pytest.fixture(scope="module")
def claimed(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run with a claim."""
    out = tmp_path_factory.mktemp("claims") / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gentickets.experiment.training_job.TrainingJob._pictures", lambda self: None, raising=False)
        find(small(), out, HERE)
    return RunFolder(out)


# -- seeds -----------------------------------------------------------------------------------------------------------


def test_seeds_are_those_of_the_claim_in_all_that_is_trained(claimed: RunFolder) -> None:
    seeds = random_seeds(small())
    assert seeds is not None
    results = read_results(claimed.path)
    assert {(result.seed, result.random_seed) for result in results} == {(0, seeds[0])}
    for result in results:
        ticket, _ = read_ticket(claimed.round(0, result.arm, result.round).ticket)
        assert ticket.origin.seed == seeds[0]
    assert (claimed.path / "seed-0").is_dir(), "folders keep the repetition's number"
    assert claimed.read_record()["seeds"] == [0]


def test_another_claim_begins_with_other_weights_and_the_same_one_with_the_same(
    claimed: RunFolder, tmp_path: Path
) -> None:
    assert start_of(begin(tmp_path / "again")) == start_of(claimed)
    other = begin(tmp_path / "other", "claim.margin=0.03")
    assert start_of(other) != start_of(claimed)
    by_hand = begin(tmp_path / "by-hand", f"seed={(random_seeds(small()) or {})[0]}")
    one, two = (
        read_ticket(by_hand.path / f"seed-{by_hand.read_record()['seeds'][0]}/ticket/round-00/ticket.safetensors"),
        (read_ticket(claimed.round(0, "ticket", 0).ticket)),
    )
    assert all(bool((one[0].weights[name] == two[0].weights[name]).all()) for name in one[0].weights)


def test_a_claim_that_grows_keeps_every_byte(claimed: RunFolder, tmp_path: Path) -> None:
    run = begin(tmp_path / "grown")
    before = content(run.path)
    begin(run.path, "search.seeds=2", 'search.controls=["shuffle", "reinit"]')
    after = content(run.path)
    assert {name: after[name] for name in before} == before
    assert run.read_record()["claim"]["hash"] == claimed.read_record()["claim"]["hash"]
    assert check_declared(run.read_record())
    whole = random_seeds(small().of_run(run.read_record()["claim"]))
    more = random_seeds(recipe_of(run))
    assert whole is not None
    assert more is not None
    assert {result.random_seed for result in read_results(run.path)} == {*more.values()} > {*whole.values()}


def test_own_seeds_are_told_as_chosen_by_hand(claimed: RunFolder, tmp_path: Path) -> None:
    run = begin(tmp_path / "own", "seed=5")
    assert seeds_by_hand(run.read_record())
    assert not seeds_by_hand(claimed.read_record())
    assert all(result.random_seed is None and result.seed == 5 for result in read_results(run.path))
    told = json.loads(run.round(5, "ticket", 0).result.read_text())
    assert "random_seed" not in told, "results of own seeds are what they always were"


def test_old_results_take_the_repetition_for_the_seed(claimed: RunFolder) -> None:
    path = claimed.round(0, "ticket", 0).result
    assert parse_result(path.read_text(), path).random_seed is not None
    told = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("random_seed", "checksum")}
    assert parse_result(json.dumps({**told, "format": 1}), path).random_seed is None


# -- another claim ---------------------------------------------------------------------------------------------------


def test_another_claim_in_a_folder_is_refused_with_what_changed_and_what_it_costs(claimed: RunFolder) -> None:
    before = content(claimed.path)
    with pytest.raises(TicketError) as caught:
        begin(claimed.path, "claim.margin=0.03", "train.lr=0.002")
    said = str(caught.value)
    assert "claim.margin: 0.02 -> 0.03" in said
    assert "train.lr: 0.001 -> 0.002" in said
    assert "has new seeds" in said
    assert "minutes of runs will not count" in said
    assert "--new-claim, which begins in" in said
    assert content(claimed.path) == before
    begin(claimed.path)  # the same claim goes on


def test_a_new_claim_begins_beside_the_old_one_and_goes_on_there(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    other, third = small("claim.margin=0.03"), small("claim.margin=0.04")
    assert free_folder(small(), tmp_path / "run") == tmp_path / "run"
    assert free_folder(other, tmp_path / "run") == tmp_path / "run-2"
    find(other, tmp_path / "run-2", HERE)
    assert free_folder(other, tmp_path / "run") == tmp_path / "run-2", "the same command goes on"
    assert free_folder(third, tmp_path / "run") == tmp_path / "run-3"
    (tmp_path / "run-3").mkdir()
    (tmp_path / "run-3" / "notes.txt").write_text("somebody else's")
    assert free_folder(third, tmp_path / "run") == tmp_path / "run-4"


# -- the first edition -----------------------------------------------------------------------------------------------


def first_edition(out: Path) -> RunFolder:
    """A run as the first edition's code left it."""
    run = begin(out, "seed=0")
    record = {**run.read_record(), "claim": FIRST}
    run.record.write_bytes(run.record_text(record))
    return run


def test_a_run_of_the_first_edition_opens_and_grows_by_its_own_hash(tmp_path: Path) -> None:
    run = first_edition(tmp_path / "run")
    record = run.read_record()
    assert record["identity"] == FIRST_IDENTITY, "recipes without the new keys are stored as they were"
    assert (check_declared(record), edition_of(record), seeds_by_hand(record)) == (True, 1, True)
    before = content(run.path)
    begin(run.path, "search.seeds=2", 'search.controls=["shuffle", "reinit"]')  # its recipe said nothing of seeds
    after, record = content(run.path), run.read_record()
    assert {name: after[name] for name in before} == before
    assert record["claim"] == {**FIRST, "seeds": [1, 2]}
    assert (record["seeds"], check_declared(record)) == ([0, 1], True)


def test_a_record_of_the_first_edition_that_somebody_edited_is_refused(tmp_path: Path) -> None:
    record = first_edition(tmp_path / "run").read_record()
    with pytest.raises(TicketError, match="its hash does not fit"):
        check_declared({**record, "recipe": {**record["recipe"], "seed": 1}})
    with pytest.raises(TicketError, match="edition 3"):
        check_declared({**record, "claim": {**FIRST, "edition": 3}})


def test_the_first_editions_run_is_no_run_of_a_new_claim(tmp_path: Path) -> None:
    run = first_edition(tmp_path / "run")
    assert free_folder(small(), run.path) == tmp_path / "run-2"
    with pytest.raises(TicketError, match=r"claim.unit: none -> 'absolute'"):
        begin(run.path, "claim.unit=absolute", "claim.margin=2")


# -- explorations ----------------------------------------------------------------------------------------------------


def test_an_exploration_has_seeds_from_zero_and_claims_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "explored")
    find(small().exploring(), run.path, HERE)
    record = run.read_record()
    assert (has_explored(record), edition_of(record), record["recipe"]["seed"]) == (True, None, 0)
    assert [result.random_seed for result in read_results(run.path)] == [None] * 3
    assert "--explore" in resuming(run)
    find(small().exploring(), run.path, HERE)
    with pytest.raises(TicketError, match=r"begun with --explore.*gentickets verdict --from"):
        find(small(), run.path, HERE)
    assert not (tmp_path / LOG).exists(), "nothing was claimed"
    with pytest.raises(TicketError, match="declared a claim"):
        find(small().exploring(), begin(tmp_path / "run").path, HERE)


def test_a_claim_takes_level_and_seeds_from_an_exploration(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "explored")
    chosen = ["seed=3", "search.seeds=3", "claim.level=validation", "claim.margin=0.9", "task.likelihood=bernoulli"]
    find(small(*chosen, "search.controls=[]").exploring(), run.path, HERE)
    recipe = claimed_from(run.path, overrides=["claim.margin=0.04"])
    assert recipe.claim is not None
    assert (recipe.claim.level, recipe.search.seeds, recipe.seed) == (0.5, 3, None)
    assert recipe.claim.margin == 0.04
    assert "level = 0.5" in recipe.text
    assert "seeds = 3" in recipe.text
    assert "seed = " not in recipe.text
    assert random_seeds(recipe) is not None
    assert 'likelihood = "bernoulli"' in recipe.text, "what --set had changed is in the text"
    assert claimed_from(run.path, seeds=7).search.seeds == 7
    with pytest.raises(TicketError, match="declared a claim itself"):
        claimed_from(begin(tmp_path / "run").path)


def test_values_are_changed_in_a_text_that_stays_as_it_was() -> None:
    text = 'seed = 4  # mine\n\n[search]\nseeds = 3  # few\n\n[claim]\nmetric = "fid"\nlevel = "validation"\n'
    assert with_values(text, {"seed": None, "search.seeds": 5, "claim.level": 0.5, "claim.alpha": 0.1}) == (
        '\n[search]\nseeds = 5\n\n[claim]\nalpha = 0.1\nmetric = "fid"\nlevel = 0.5\n'
    )
    assert with_values("", {"claim.level": 0.5}) == "\n[claim]\nlevel = 0.5\n"
    assert with_values('[search]\ncontrols = ["a", "b"]  # c\n', {"search.controls": ["x"]}) == (
        '[search]\ncontrols = ["x"]\n'
    )
    with pytest.raises(TicketError, match=r"search.seeds is written in a way"):
        with_values("search = { seeds = 3 }\n", {"search.seeds": 5})


def test_a_first_analysis_that_can_hardly_decide_is_told_beforehand() -> None:
    """By hand: one level, two analyses, t of 2 and 4 degrees of freedom at 0.8 x 5 % / 2."""
    three, five, two = (few_seeds(small(f"search.seeds={seeds}")) for seeds in (3, 5, 2))
    assert (t.isf(0.02, 2) > 4 > t.isf(0.02, 4), five) == (True, "")
    assert f"with 3 seeds, takes {t.isf(0.02, 2):.1f} standard errors; with 5 it takes {t.isf(0.02, 4):.1f}" in three
    assert "with 2 seeds, is not possible" in two
    assert few_seeds(small("search.seeds=3").exploring()) == ""


# -- the log ---------------------------------------------------------------------------------------------------------


def test_claims_on_the_same_task_and_data_are_counted(tmp_path: Path) -> None:
    one = begin(tmp_path / "one")
    two = begin(tmp_path / "two", "claim.margin=0.03")
    begin(tmp_path / "one")  # which goes on, and is no claim more
    again = begin(tmp_path / "again")
    begin(tmp_path / "wide", "task.width=9")
    log = read_log(tmp_path / LOG)
    assert [claim.run for claim in log] == ["one", "two", "again", "wide"]
    assert log[0].hash == claim_hash(small())
    assert claims_like(one) == (1, 2, [log[1]])
    assert claims_like(two) == (2, 2, [log[0]])
    assert claims_like(again)[:2] == (1, 2), "a claim is its hash"
    assert claims_like(RunFolder(tmp_path / "wide")) == (1, 1, [])


def test_a_damaged_log_or_one_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    run = begin(tmp_path / "one")
    log = tmp_path / LOG
    whole = log.read_text()
    log.write_text('{"time": 3}\n\n[1]\n' + "[" * 3000 + "\n" + whole + '{"half": ')
    assert [claim.run for claim in read_log(log)] == ["one"]
    begin(tmp_path / "two", "claim.margin=0.03")
    assert [claim.run for claim in read_log(log)] == ["one", "two"], "a half line is ended first"
    log.unlink()
    assert claims_like(run) == (1, 1, [])
    log.mkdir()
    assert "could not be logged" in str(log_claim(run, run.read_record()))
    assert read_log(log) == []


def test_lines_of_several_writers_do_not_mix(tmp_path: Path) -> None:
    lines = [f"{number}" * 200 for number in range(8)]

    def write(line: str) -> None:
        for _ in range(20):
            append_line(tmp_path / "log", line)

    writers = [threading.Thread(target=write, args=(line,)) for line in lines]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted((tmp_path / "log").read_text().split()) == sorted(lines * 20)


# -- matrices and rounds of other runs -------------------------------------------------------------------------------


def models(*recipes: Recipe) -> Sequence[Model]:
    """Models of a matrix."""
    return with_one_set_of_seeds([Model(str(place), recipe, Path()) for place, recipe in enumerate(recipes)])


def test_a_matrix_has_one_set_of_seeds(tmp_path: Path) -> None:
    one, two = (model.recipe for model in models(small(), small("task.width=9")))
    assert random_seeds(one) == random_seeds(two) != random_seeds(small())
    other = models(small(), small("task.width=10"))[0].recipe
    assert random_seeds(other) != random_seeds(one)
    hand = models(small("seed=3"), small("seed=3", "task.width=9"))
    assert [random_seeds(model.recipe) for model in hand] == [None, None]
    find(one, tmp_path / "run", HERE)
    run = RunFolder(tmp_path / "run")
    assert random_seeds(recipe_of(run)) == random_seeds(one), "the run remembers"
    assert check_declared(run.read_record())
    assert [result.random_seed for result in read_results(run.path)] == [(random_seeds(one) or {})[0]] * 3
    with pytest.raises(TicketError, match="another seed of repetition 0"):
        adopt(run, RunFolder(tmp_path / "fresh"), small(), HERE)
    assert adopt(run, RunFolder(tmp_path / "fresh"), one, HERE) == 3
