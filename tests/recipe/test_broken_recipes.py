"""Every recipe's text is sound, or ends with status 2 and lines that name what is wrong; none is an internal error."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from mutations import BASES, SOUND, broken_overrides, broken_recipes

from gentickets.errors import Status, TicketError
from gentickets.recipe import load_recipe, parse_recipe, recipe_from, shipped_recipes
from gentickets.recipe.bounds import DEEPEST, PROBLEMS

PLUGINS = (Path("mine.py"),)


def lines(text: str, *overrides: str, plugins: tuple[Path, ...] = ()) -> list[str]:
    """What is said of a text; nothing of a sound one."""
    try:
        recipe = parse_recipe(text, name="r", overrides=overrides, plugins=plugins)
    except TicketError as error:
        found = error
    else:
        assert recipe_from(recipe.resolved()).resolved() == recipe.resolved()
        return []
    assert found.status is Status.REQUEST
    said = str(found).split("\n")
    assert all(line.isprintable() and 0 < len(line) < 1500 for line in said)
    assert len(said) <= PROBLEMS + 1
    return said


def test_broken_recipes_end_in_sentences() -> None:
    assert [lines(text) for text in BASES] == [[]] * len(BASES)
    said = [
        lines(text, plugins=PLUGINS if number % 4 == 0 else ()) for number, text in enumerate(broken_recipes(0, 150))
    ]
    assert sum(map(bool, said)) > 100, "they are broken often enough to mean something"
    for override in broken_overrides(0, 60):
        for line in lines(SOUND, override):
            assert line.startswith(("--set ", "r.toml"))


@pytest.mark.full
def test_many_more_broken_recipes_end_in_sentences() -> None:
    for text in broken_recipes(1, 2000):
        lines(text)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps = 200", "steps = 1_000_000_000_000_000_000_000_000",
         "r.toml:11: train.steps: 1000000000000000000000000 is not"),
        ("steps = 200", "steps = 0x" + "f" * 9000,
         "r.toml:11: train.steps: a whole number that is too large to show is not allowed"),
        ("steps = 200", "steps = " + "9" * 9000, "r.toml:11: not TOML: a number of thousands of digits"),
        ("batch_size = 16", "batch_size = 1000000000000", "r.toml:9: data.batch_size: 1000000000000 is not "
         "allowed; must be a number of at most 1,000,000"),
        ("rounds = 3", "rounds = 300_000_000",
         "search.rounds: 300000000 is not allowed; must be a number of at most 10,000"),
        ("rounds = 3", "rounds = 3e8",
         "search.rounds: 300000000.0 is not allowed; must be a whole number of at least 1"),
        ("lr = 1e-3", "lr = 1e31", "train.lr: 1e+31 is not allowed; must be at most 1e+30"),
        ("lr = 1e-3", "lr = nan", "train.lr: nan is not allowed"),
        ("width = 8", "width = 1_000_000_000",
         "task.width: 1000000000 is not allowed; must be a number of at most 100,000"),
        ('family = "vae"', 'family = ""', "r.toml:3: task.family: '' is not allowed; must be the name of a family"),
        ('family = "vae"', "family = 1979-05-27", "task.family: datetime.date(1979, 5, 27) is not allowed"),
        ("[train]", '[train]\n"a.b" = 1', 'r.toml:11: train."a.b": unknown key'),
        ("[train]", '[train]\n"x[0]" = 1', 'r.toml:11: train."x[0]": unknown key'),
        ("[train]", '[train]\n"\\u0000" = 1', 'train."\\u0000": unknown key'),
        ("ema = {decoder = 0.9}", "ema = {'a.b' = 2}",
         """train.ema."a.b": 2 is not allowed; must be a number above 0 and"""),
        ("level = 0.36", "level = {a = 1}", "claim.level: {'a': 1} is not allowed; must be"),
        ('exempt = ["decoder.0.*"]', 'exempt = ["a", "a"]', "search.exempt: 'a' stands there twice"),
        ('figures = ["frechet"]', 'figures = ["kid", "kid"]', "quality.figures: 'kid' stands there twice"),
        ('controls = ["reinit", "shuffle"]', 'controls = ["reinit", "reinit"]',
         "search.controls: 'reinit' stands there twice"),
        ("sparsities = [0.36, 0.488]", "sparsities = [0.36, 0.36]",
         "claim.sparsities[1]: 0.36 is 0.360 (round 2), which stands"),
        ("forks = [0, 20]", "forks = [20, 20]", "verdict.forks[1]: 20 stands there twice"),
        ('prune = ["decoder"]', 'prune = ["decoder.*"]', "search.prune[0]: family 'vae' has no component 'decoder.*'"),
        ('prune = ["decoder"]', 'prune = ["' + "x" * 5000 + '"]', "must be of at most 4,096 characters"),
        ("forks = [0, 20]", "forks = [" + "1," * 1001 + "]", "verdict.forks: "),
        ("seeds = 2", "seeds = 100_000\nbudget = false", "search.seeds: 100,000 seeds of 3 rounds "
         "and 2 controls are about 2,400,000 trainings"),
        ('name = "digits"', 'name = "folder"\nfolder = "a\\u0000b"',
         "data.folder: 'a\\x00b' is not allowed; must be text without"),
        ("seed = 3", "seed = 3" + "\na" + ".a" * 40 + " = 1",
         f"r.toml:2: a: is nested more than {DEEPEST} levels deep"),
        ("seed = 3", "seed = 3\na = " + "[" * 9000, "r.toml:2: lists or tables within 100 others"),
        ("seed = 3", "seed = 3\na" + ".a" * 90_000 + " = 1", "r.toml:2: a key of a hundred parts or more"),
        ("seed = 3", "seed = 3\n" + "x" * 90_000 + " = 1", "r.toml:2: "),
        ("seed = 3", "seed = 3\na = [", "not TOML: "),
    ],
)  # fmt: skip
def test_each_kind_names_its_key_or_line(old: str, new: str, said: str) -> None:
    assert SOUND.count(old) >= 1
    found = lines(SOUND.replace(old, new, 1))
    assert any(said in line for line in found), found


def test_lines_are_found_in_one_pass() -> None:
    """A megabyte took minutes, as every line was parsed with all before it."""
    first = SOUND.count("\n") + 1
    text = SOUND + "[x]\nk = 1\n" + "".join(f"k{n} = '[{n}' # ]\n" for n in range(40_000))
    start = time.process_time()
    found = lines(text + '[y]\nz = """\n[a]\n"""\n["q.w"]\n')
    assert time.process_time() - start < 5
    assert found[0].startswith(f"r.toml:{first}: x: unknown section")
    assert found[1].startswith(f"r.toml:{first + 40_002}: y: unknown section")
    assert found[2].startswith(f'r.toml:{first + 40_006}: "q.w": unknown section')


@pytest.mark.parametrize("start", ['a = "', 'a = """', "a = '", "a = '''"])
@pytest.mark.parametrize("rest", ['\\"', "'\\", '"""\\'])
def test_a_text_without_an_end_is_looked_at_once(start: str, rest: str) -> None:
    """An end was looked for from each of its quotes: a tenth of a megabyte took half an hour."""
    before = time.process_time()
    assert lines(start + rest * 50_000)
    assert time.process_time() - before < 2


def test_what_is_no_file_is_no_recipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    (tmp_path / "bytes.toml").write_bytes(b"seed = 1\n\xff")
    (tmp_path / "large.toml").write_bytes(b"#" * 2_000_000)
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf" + SOUND.replace("\n", "\r\n").encode())
    load_recipe(tmp_path / "bom.toml")
    names = [tmp_path / f"{name}.toml" for name in ("pipe", "loop", "bytes", "large")]
    for name in (*names, tmp_path, "a\0b", "x" * 300, "y" * 9000, ""):
        with pytest.raises(TicketError) as caught:
            load_recipe(name)
        assert caught.value.status is Status.REQUEST
        assert str(caught.value).isprintable()


def test_shipped_recipes_are_within_the_bounds() -> None:
    assert all(load_recipe(name) for name in list(shipped_recipes())[::4])
