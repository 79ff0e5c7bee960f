"""What a section is, and the numbers and words that it may hold: all bounds stand here; torch-free.

The upper ones are far above what any experiment asks for. What exceeds them is a slip of the pen, which would
otherwise be found out after hours, or by a machine that runs out of memory.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

LARGEST = 1e30
"""Of any real number: float32 ends at 3.4e38, and a squared number at 1.8e19 already."""
LONGEST = 4096
"""Characters of a name, a pattern or a path; as long as a path may be."""
LISTED = 1000
"""Entries of a list or a table."""
DEEPEST = 20
"""Levels of tables within tables; a recipe needs four."""
FAR = 10**4
"""Upper bounds from here on are told only where they are exceeded."""
PROBLEMS = 50
"""Most problems of a recipe that are told."""
CELLS = 1_000_000
"""Trainings of one run: seeds times arms times rounds."""

Count = Annotated[int, Field(ge=1, le=10**9)]
"""Of steps or images."""
Natural = Annotated[int, Field(ge=0, le=10**9)]
Few = Annotated[int, Field(ge=1, le=10**4)]
"""Of rounds, looks, checkpoints, cuts, batches to score on, steps of a critic."""
Seeds = Annotated[int, Field(ge=1, le=10**5)]
Batch = Annotated[int, Field(ge=1, le=10**6)]
"""Images of one step."""
Workers = Annotated[int, Field(ge=0, le=10**4)]
Units = Annotated[int, Field(ge=1, le=10**5)]
"""Of one layer."""
Layers = Annotated[int, Field(ge=1, le=10**4)]
Word = Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=r"^[^\x00-\x1f\x7f]*$")]
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Listed = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""A tuple, which TOML and JSON write as a list."""
Many = Field(max_length=LISTED)


class Section(BaseModel):
    """A table of the recipe: no unknown keys, nothing coerced but whole numbers to floats."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
