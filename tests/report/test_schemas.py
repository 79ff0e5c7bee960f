"""The schemas of JSON files: stored as they are generated, and no key can be renamed without them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from helpers import HOUSE, unlike

from gentickets.analysis.plain import View, own, plain
from gentickets.analysis.run_verdict import InterimAnalysis, RunVerdict
from gentickets.analysis.text.format import Spread
from gentickets.analysis.transfer_matrix import BestRandom, Matrix, MatrixPair
from gentickets.report import schemas
from gentickets.report.pages.verdict_files import document
from gentickets.report.schemas import FILES, main, schema_of, text_of

STORED = HOUSE / "docs" / "schemas"
ONE = Spread(1.0, None, 1, {0: 1.0})
MATRIX = Matrix(
    (
        MatrixPair("a", "b", "HURTS", "It hurts.", ticket=ONE, best=BestRandom("reinit", ONE)),
        MatrixPair("b", "a", "", ""),
    )
)
JUDGED = RunVerdict(
    name="run",
    path="runs/run",
    metric="fid",
    margin=0.02,
    claim={"metric": "fid"},
    hash=None,
    stored=True,
    look=InterimAnalysis(1, 1, 0.05, (3,)),
    word="UNDECIDED",
    sentence="Nobody knows.",
)


@pytest.mark.parametrize("name", FILES)
def test_the_stored_schemas_are_those_of_the_code(name: str) -> None:
    stored = (STORED / f"{name}.schema.json").read_text(encoding="utf-8")
    assert stored == text_of(name), "python -m gentickets.report.schemas --out docs/schemas"
    assert json.loads(stored) == schema_of(name)


def test_all_schemas_are_written_and_one_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--out", str(tmp_path / "new")])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in STORED.iterdir())
    capsys.readouterr()
    main(["matrix"])
    assert json.loads(capsys.readouterr().out) == schema_of("matrix")
    main([])
    assert capsys.readouterr().out.split() == [*FILES]


@pytest.mark.parametrize(("name", "told"), [("matrix", MATRIX.as_dict()), ("verdict", document(JUDGED))])
def test_every_key_of_a_document_is_held_against_its_schema(name: str, told: dict[str, Any]) -> None:
    schema = schema_of(name)
    assert unlike(told, schema) == []
    for key in told:
        renamed = {("other" if one == key else one): value for one, value in told.items()}
        assert unlike(renamed, schema) == [f"$.{key} is not there", "$.other is not known"]


def test_a_renamed_key_inside_and_a_wrong_type_are_seen() -> None:
    told, schema = MATRIX.as_dict(), schema_of("matrix")
    spread = told["cells"][0]["ticket"]
    spread["average"] = spread.pop("mean")
    assert "$.cells[0].ticket.mean is not there" in unlike(told, schema)
    assert "$.cells[0].ticket.average is not known" in unlike(told, schema)
    told = document(replace(JUDGED, margin=True))
    assert unlike(told, schema_of("verdict")) == ["$.margin is no number or null"]
    told = document(replace(JUDGED, facts=(("machine",),)))  # type: ignore[arg-type]
    assert unlike(told, schema_of("verdict")) == ["$.facts[0] is too short"]
    assert unlike({**MATRIX.as_dict(), "format": 2}, schema) == ["$.format is not 1"]


@dataclass(frozen=True)
class Odd:
    """A record with what JSON has no type for."""

    word: Literal["a"] | bytes


def test_what_json_has_no_type_for_is_no_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "FILES", {"odd": (Odd, {})})
    with pytest.raises(TypeError, match="JSON has no type for"):
        schema_of("odd")


def test_a_view_says_which_keys_are_written_and_where_they_come_from() -> None:
    view: View = {Spread: {"format": 1, **own("n"), "of": "values", "half": _half}}
    assert plain(ONE, view) == {"format": 1, "n": 1, "of": {"0": 1.0}, "half": 0.5}
    assert plain({"here": float("inf"), "path": Path("a")}, {}) == {"here": None, "path": "a"}


def _half(spread: Spread) -> float:
    return spread.mean / 2
