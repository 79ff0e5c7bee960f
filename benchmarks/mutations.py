"""Broken recipes: texts that are no TOML, or ask for what cannot be, made from one that is sound.

from mutations import broken_recipes
for text in broken_recipes(seed=0, n=2000): ...
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

SOUND = """\
seed = 3
[task]
family = "vae"
network = "conv"
width = 8
beta = 1.0
[data]
name = "digits"
batch_size = 16
[train]
steps = 200
optimizer = "adam"
lr = 1e-3
betas = [0.9, 0.99]
schedule = "cosine"
warmup = 5
ema = {decoder = 0.9}
[train.objectives.vae]
lr = 2e-3
[search]
rounds = 3
keep = 0.8
rewind_to = 10
seeds = 2
prune = ["decoder"]
exempt = ["decoder.0.*"]
controls = ["reinit", "shuffle"]
[quality]
curve = 4
figures = ["frechet"]
[claim]
metric = "negative_elbo"
level = 0.36
sparsities = [0.36, 0.488]
[verdict]
forks = [0, 20]
"""
BIRD = (
    SOUND.partition("[verdict]")[0]
    .replace("[search]\n", '[search]\nmethod = "early_bird"\nby = "channels"\nevery = 5\nafter = "rewind"\n')
    .replace('controls = ["reinit", "shuffle"]', 'controls = ["scratch"]')
)
TRANSFER = (
    SOUND.partition("[claim]")[0] + '[transfer]\nsource = "run"\nroutes = {decoder = "decoder"}\nmoves = "mask"\n'
)
BASES = (SOUND, BIRD, TRANSFER)
PLAIN = r"""
-1 0 1 1e24 3e8 1e400 -1e400 inf -inf nan 1e12 1000000000000 1e-400 1_0 01 1. .5 +-1 true false None 2**63 = \\ '
"" "adam "validation" "\u0000" "\u202e" "\ud800" "\q" 1979-05-27 1979-05-27T07:32:00Z 1979-13-45 07:32:00
[] [[]] {} {a=1} {a={b={c=1}}} [1,'a',true] [nan] [0.5,0.5] [1,1] [1,,2] ["shuffle","shuffle"] ["frechet","frechet"]
["no.such.*"] {'a.b'=0.5} {''=0.5} {'x[0]'=0.5} {'a\u0000'=1} {lr=inf} {vae={lr=[1]}}
9223372036854775807 9223372036854775808 -9223372036854775809
"""
VALUES = (
    *PLAIN.split(),
    "",
    "1 2",
    "9" * 100_000,
    "0x" + "f" * 100_000,
    '"' + "x" * 200_000 + '"',
    "'''\na\n'''",
    '"""a""""',
    "[" * 50 + "]" * 50,
    "[" * 5000 + "]" * 5000,
    "[" * 5000,
    "[" + "1," * 50_000 + "]",
)
ODD = """
train "train.steps" "a[0]" "" a.b.c "\u0000" größe [train] [[train]] [train.objectives.'a.b'] [train.objectives.'']
[task.family] [claim. [] [search] labels model_config __class__ self image - 1 "steps" '\u202e'
"""
KEYS = (
    *ODD.split(),
    "steps .x",
    "a" + ".a" * 3000,
    "x" * 5000,
    "[" * 200,
    "[" + ".".join("abcdefghij" * 50) + "]",
)
PIECES = (
    "\x00",
    "\x07",
    "\x1b[2J",
    "\ufeff",
    "\r",
    "\r\n",
    "\u2028",
    "\t",
    "#",
    '"',
    "'",
    '"""',
    "'''",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    "\\",
)


def _value(text: str, rng: random.Random) -> str:
    """Another value for a key."""
    lines = text.split("\n")
    places = [place for place, line in enumerate(lines) if "=" in line]
    if not places:
        return text + f"\na = {rng.choice(VALUES)}"
    place = rng.choice(places)
    lines[place] = f"{lines[place].split('=')[0]}= {rng.choice(VALUES)}"
    return "\n".join(lines)


def _key(text: str, rng: random.Random) -> str:
    """Another key, or a table more."""
    lines, key = text.split("\n"), rng.choice(KEYS)
    lines.insert(rng.randrange(len(lines)), key if key.startswith("[") else f"{key} = {rng.choice(VALUES)}")
    return "\n".join(lines)


def _renamed(text: str, rng: random.Random) -> str:
    """A word that is misspelt everywhere."""
    word = rng.choice(sorted(set(re.findall(r"[a-z_]{3,}", text))) or [text[:3]])
    place = rng.randrange(max(1, len(word)))
    return text.replace(word, word[:place] + rng.choice("xq_. -\u00e9") + word[place + 1 :])


def _moved(text: str, rng: random.Random) -> str:
    """A line that stands elsewhere, twice, or not at all."""
    lines = text.split("\n")
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.randrange(3)):
        lines.insert(rng.randrange(len(lines) + 1), line)
    return "\n".join(lines)


def _cut(text: str, rng: random.Random) -> str:
    """A text that ends too early, or lacks a stretch."""
    start, end = sorted(rng.randrange(len(text)) for _ in range(2))
    return text[:start] if rng.random() < 0.5 else text[:start] + text[end:]


def _strewn(text: str, rng: random.Random) -> str:
    """Odd characters anywhere."""
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(text) + 1)
        text = text[:place] + rng.choice(PIECES) + text[place:]
    return text


def _flipped(text: str, rng: random.Random) -> str:
    """One character is another."""
    place = rng.randrange(len(text))
    return text[:place] + chr(rng.choice((rng.randrange(128), rng.randrange(0xD800)))) + text[place + 1 :]


def _long(text: str, rng: random.Random) -> str:
    """Far more of something than anybody writes."""
    lines = [f"k{number} = {number}" for number in range(rng.choice((1000, 5000)))]
    return rng.choice(
        ("\n".join(lines) + "\n" + text, text + "\n".join(lines), text + "#" * 200_000, text + "\n" * 200_000)
    )


def _else(text: str, rng: random.Random) -> str:
    """What is no recipe at all."""
    others = (
        "",
        "\n",
        "{}",
        '{"task": {"family": "ae"}}',
        "<html></html>",
        "%PDF-1.4",
        "a: b\n- c",
        "\ufeff" + text,
        "[[task]]",
        "task = 1",
    )
    return rng.choice((*others, text.replace("\n", "\r\n"), text.replace("\n", "\r"), text[::-1]))


MUTATIONS: tuple[Callable[[str, random.Random], str], ...] = (
    _value, _value, _value, _key, _key, _renamed, _moved, _cut, _strewn, _flipped, _long, _else,
)  # fmt: skip


def broken_recipes(seed: int, n: int) -> Iterator[str]:
    """n texts, the same for the same seed; most are broken in one way, some in several, and some are still sound."""
    for number in range(n):
        rng = random.Random(f"{seed} {number}")
        text = rng.choice(BASES)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            text = rng.choice(MUTATIONS)(text or SOUND, rng) or "\n"
        yield text


def broken_overrides(seed: int, n: int) -> Iterator[str]:
    """n texts for ``--set``, likewise."""
    keys = (
        "train.steps",
        "task.width",
        "claim",
        "search.controls",
        "x",
        "",
        ".",
        "train..lr",
        "a" + ".b" * 5000,
        '"a.b".c',
        "train.lr.x",
    )
    for number in range(n):
        rng = random.Random(f"{seed} set {number}")
        yield rng.choice(keys) + rng.choice(("=", "=", "=", "", "==", "\n=")) + rng.choice(VALUES)
