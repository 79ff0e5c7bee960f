"""Broken recipes and masked steps, as the suite's own generators make them."""

from __future__ import annotations

import contextlib
import io
import shutil

from promises import broken
from promises.part import Part, World

RECIPES, EXAMPLES = 100, 100
"""Tries in one batch."""


def recipes(world: World, number: int) -> str | None:
    """A hundred broken recipes, each validated: sound, or status 2 and a line that names where."""
    from gentickets_cli.failures import run_safely
    from gentickets_cli.main import cli
    from mutations import broken_recipes

    place = world.scratch(number)
    broken.apply(world.broken)
    try:
        for name, text in enumerate(broken_recipes(number, RECIPES)):
            path = place / f"{name}.toml"
            path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
            said = io.StringIO()
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                status = run_safely(
                    lambda path=path: cli.main(["recipes", "validate", str(path)], standalone_mode=False)
                )
            lines = said.getvalue().splitlines()
            if status not in (0, 2) or "internal" in said.getvalue() or (status == 2 and not lines):
                return f"status {status}: {lines[-1:]} for {str(text)[:200]!r}"
        return None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def masks(world: World, number: int) -> str | None:
    """Five hundred examples of `hold`: as training with masked gradients, or refused before anything changes."""
    from masked_training import examples

    broken.apply(world.broken)
    for name, ok, why in examples(number, EXAMPLES):
        if not ok:
            return f"{name}: {why}"
    return None


BROKEN_RECIPES = Part(
    "recipes",
    "A recipe that is broken in any way ends with status 2 and a line that names the key or the line.",
    2_000, 200, recipes,
    {"recipe": "what the schema refuses is not caught"},
    RECIPES,
)  # fmt: skip
MASKS = Part(
    "masks",
    "Under every optimizer of PyTorch, hold() trains as with masked gradients, or refuses in a sentence beforehand.",
    20_000, 200, masks,
    {"hold": "masks are not applied after steps"},
    EXAMPLES,
)  # fmt: skip
