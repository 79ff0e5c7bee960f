"""Writes docs/results.md from the stored results of runs, and stores those of a run.

    python -m benchmarks.results all                        # the page, from docs/results/
    python -m benchmarks.results quick/vae --from runs --commit 0c67998 --command "gentickets find quick/vae"

With ``--from``, `report.json` and `verdict.json` of the run of that name are stored first, with what made them, but
without the values of single images. Every number of the page comes out of these files: tests/house/test_results.py
renders the page again and compares.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gentickets.analysis.text.format import (
    DASH,
    Spread,
    decimals,
    difference,
    heading,
    metric_name,
    numbered,
    percent,
    plus_minus,
)

DOCS = Path(__file__).parents[1] / "docs"
STORE, PAGE = DOCS / "results", DOCS / "results.md"
MOST = 2_000_000
"""Bytes that all stored results may have."""
COLUMNS = 4
"""Metrics of a table; the others stand in the stored file."""
SECTIONS = {
    "digits": ("Digits", "Models of the shipped recipes on scikit-learn's digits."),
    "quick": ("The paper's models in small", "Models of Kalibhat et al. (2021) at a fraction of their width."),
    "transfer": ("Transfer", "Tickets that were found in one model and trained in another, and their sources."),
    "width": ("Width", "Dense networks of several widths, after Balaji et al. (2021), and sparse against narrow ones."),
}
INTRO = """# Results

This page is written by `python -m benchmarks.results all` from the files in `docs/results/`: what `gentickets` wrote
of each run, with the command, commit, versions, machine and date that made it. A test renders the page again and
compares. Metrics are mean ± standard deviation over seeds on the **test** split, in brackets the number of seeds; an
arrow shows which way is better. *To dense* is the difference from the dense model's mean. [Verdicts](verdict.md)
explains the verdicts, [concepts](concepts.md) the arms.

Measurements that were made before results were stored are on a page of [earlier measurements](earlier_results.md).
"""


def _section(name: str) -> str:
    first = name.split("/")[0]
    return first if first in SECTIONS else "digits"


def _rank(name: str) -> tuple[int, str]:
    return list(SECTIONS).index(_section(name)), name


def stored(store: Path = STORE) -> dict[str, dict[str, Any]]:
    """Name of a run -> what is stored of it, in the page's order."""
    names = [str(path.parent.relative_to(store)) for path in store.glob("**/about.json")]
    return {name: _read(store / name) for name in sorted(names, key=_rank)}


def _read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"verdict": None, "about": {}, "report": {}}
    for path in folder.glob("*.json"):
        found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return found


def store(run: Path, name: str, commit: str, command: str, into: Path = STORE) -> None:
    """Store what a run's `report.json`, `verdict.json` and `run.json` say, with what made it."""
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (report,) = json.loads((run / "report.json").read_text(encoding="utf-8"))["runs"]
    written = time.strftime("%Y-%m-%d", time.gmtime((run / "report.json").stat().st_mtime))
    about = {key: record.get(key) for key in ("versions", "machine", "device", "threads")}
    _write(into / name / "about.json", {"command": command, "commit": commit, "date": written, **about})
    _write(into / name / "report.json", {key: value for key, value in report.items() if key != "path"})
    if (run / "verdict.json").is_file():
        verdict = json.loads((run / "verdict.json").read_text(encoding="utf-8"))
        _write(into / name / "verdict.json", without_images(verdict))


def without_images(value: Any) -> Any:
    """A document without what it says of single images."""
    if isinstance(value, Mapping):
        return {key: without_images(one) for key, one in value.items() if key not in ("images", "path")}
    return [without_images(one) for one in value] if isinstance(value, list) else value


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page in Markdown."""
    parts = [INTRO]
    for key, (title, about) in SECTIONS.items():
        names = [name for name in results if _section(name) == key]
        if names:
            parts += [f"## {title}\n\n{about}\n", *(_run(name, results[name]) for name in names)]
    return "\n".join(parts)


def _run(name: str, one: Mapping[str, Any]) -> str:
    report, verdict = one["report"], one["verdict"]
    parts = [f"### {name}\n", _made(one["about"], report), f"> {report['verdict']['sentence']}\n", _arms(report)]
    if verdict is not None:
        parts += ["**The verdict's tests**\n", _markdown(*verdict["table"]), *_said(verdict)]
    return "\n".join(parts)


def _made(about: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    versions = about["versions"]
    machine = about["machine"]
    seconds = sum(float(value) for phases in report["seconds"].values() for value in phases.values())
    parts = [
        f"`{about['command']}`",
        f"commit {about['commit']}",
        about["date"],
        numbered(len(report["seeds"]), "seed"),
        f"{seconds:,.0f} seconds of work, summed over workers",
        f"PyTorch {versions['torch']}, Python {versions['python']}",
        f"{machine['cores']} shared cores ({machine['processor']}, {machine['system']}), {about['device']}",
    ]
    return " · ".join(parts) + "\n"


def _said(verdict: Mapping[str, Any]) -> Iterator[str]:
    if verdict.get("second_sentence"):
        yield f"> {verdict['second_sentence']}\n"
    for key in ("trained", "more"):
        if verdict.get(key):
            yield f"> {verdict[key]['sentence']}\n"


def _arms(report: Mapping[str, Any]) -> str:
    rows = report["rows"]
    sweep = all(row["width"] for row in rows)
    columns = [("arm", [row["name"] for row in rows])]
    columns.append(("weights", [f"{row['weights']['all']:,}" for row in rows]) if sweep else _sparsity(rows))
    for place, metric in enumerate(report["figures"][:COLUMNS]):
        for split in ("test", "train") if sweep else ("test",):
            spreads = [_spread(row[split].get(metric)) for row in rows]
            if any(spreads):
                places = decimals(spreads)
                title = heading(metric) + (f" on {split}" if sweep else "")
                columns.append((title, [_counted(one, places, counted=not place) for one in spreads]))
        if not place and not sweep:
            columns.append(("to dense", [_to_dense(rows, row, metric) for row in rows]))
    names = [name for name, _ in columns]
    left = [metric_name(metric) for metric in report["figures"][COLUMNS:]]
    note = f"\nIn the stored file only: {', '.join(left)}.\n" if left else ""
    return _markdown(names, list(zip(*(cells for _, cells in columns), strict=True))) + note


def _sparsity(rows: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    return "sparsity", [f"width {row['width']}" if row["width"] else percent(row["sparsity"]) for row in rows]


def _spread(value: Mapping[str, Any] | None) -> Spread | None:
    return None if value is None else Spread(value["mean"], value["sd"], value["n"], value["values"])


def _counted(spread: Spread | None, places: int, counted: bool) -> str:
    return DASH if spread is None else plus_minus(spread, places) + (f" ({spread.n})" if counted else "")


def _to_dense(rows: Sequence[Mapping[str, Any]], row: Mapping[str, Any], metric: str) -> str:
    name = "dense-longer" if row["arm"].endswith("-longer") else "dense"
    dense = next((one for one in rows if one["arm"] == name), None)
    if dense is None or dense is row or metric not in row["test"] or metric not in dense["test"]:
        return DASH
    return difference(row["test"][metric]["mean"], dense["test"][metric]["mean"])


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Store what is named, then write the page."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.results", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="runs, or 'all' that are stored")
    parser.add_argument("--from", dest="runs", type=Path, metavar="FOLDER", help="store the runs of this folder first")
    parser.add_argument("--commit", help="the commit that made them")
    parser.add_argument("--command", help="what was typed (default: gentickets find NAME)")
    given = parser.parse_args(words)
    if given.runs is not None and (given.commit is None or "all" in given.names):
        parser.error("to store runs, name them and give --commit")
    for name in given.names if given.runs is not None else ():
        store(given.runs / name, name, given.commit, given.command or f"gentickets find {name}")
    if missing := [name for name in given.names if name != "all" and not (STORE / name / "about.json").is_file()]:
        parser.error(f"nothing is stored of {', '.join(missing)}; give --from FOLDER")
    PAGE.write_text(page(stored()), encoding="utf-8")
    print(f"written: {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
