"""The page: what was promised, how often it was tried, how often it held, and which guards were broken on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promises.part import Part

HEAD = """# Reliability

What gentickets promises when things go wrong, and how often each promise held when it was tried. This page is written
by `python benchmarks/reliability.py` from [reliability.json](reliability.json). Each part is one command, given in its
row, and goes on where it was stopped. The runs are the suite's own and a few steps long: an autoencoder, a VAE, a GAN,
an early-bird search, a transfer, and the arms of a verdict.

"The same bytes" means: tensor files and images byte for byte, and `result.json` but for what depends on time and place
(seconds, memory, energy, machine, attempt, and the checksum over them).

"""


def render(stored: Mapping[str, Any], parts: Sequence[Part]) -> str:
    """The page as Markdown."""
    lines = [HEAD + "## Promises", "", "| promise | tried | held | command | minutes | date, commit |",
             "|---|--:|--:|---|--:|---|"]  # fmt: skip
    for part in parts:
        if (found := stored["parts"].get(part.name)) is None:
            lines.append(f"| {part.promise} | | | `--part {part.name}` | | not run |")
            continue
        lines.append(
            f"| {part.promise} | {found['tried']:,} | {found['held']:,} | `--part {part.name}` "
            f"| {found['seconds'] / 60:.1f} | {found['date']}, {found['commit']} |"
        )
    lines += _failures(stored, parts)
    lines += ["", "## Negative controls", "", "Each guard was patched away once; the part has to notice.", "",
              "| guard taken away | part | noticed | command | date, commit |", "|---|---|---|---|---|"]  # fmt: skip
    for name, found in sorted(stored["controls"].items()):
        part, guard = name.split("/")
        seen = "yes" if found["red"] else "NO"
        lines.append(f"| {found['takes']} | {part} | {seen} | `--part {part} --broken {guard}` "
                     f"| {found['date']}, {found['commit']} |")  # fmt: skip
    lines += ["", "## Where", ""]
    places = {(found["machine"], found["versions"]) for found in stored["parts"].values()}
    lines += [f"- {machine}; {versions}" for machine, versions in sorted(places)]
    return "\n".join(lines) + "\n"


def _failures(stored: Mapping[str, Any], parts: Sequence[Part]) -> list[str]:
    lines = []
    for part in parts:
        for why in stored["parts"].get(part.name, {}).get("wrong", []):
            lines.append(f"- {part.name}: {why}")
    return ["", "What did not hold:", "", *lines] if lines else []
