"""Saves matplotlib figures as small inline SVG that follow the page's colours, light or dark."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from gentickets.analysis.text.format import fixed
from gentickets.arms import ArmName

# Colours stand for CSS variables of page.html and are exchanged in the SVG's text, so that a figure follows
# the reader's light or dark theme. The hues are close to those of Okabe and Ito (2008), for the colour-blind.
INK, MUTED, LINE, PAPER = "#1a1a1b", "#6a6a6b", "#dcdcdd", "#fefefd"
TICKET, BUDGET, CARRIED = "#0072b2", "#7b3fa1", "#c1121e"
CONTROLS = ("#d55e00", "#009e73", "#cc79a7", "#b8860b", "#8c6d46", "#4d8fac")
PHASES = {
    "warm-up": "#8fb8d8",
    "train": "#0072b3",
    "score": "#e69f01",
    "checks": "#d55e01",
    "compact": "#b6a400",
    "evaluate": "#009e74",
    "store": "#999990",
}
"""Phase of a result's seconds and FLOPs -> colour, the same in every report."""
OTHER = "#cc79a8"
"""The colour of a phase that is none of these."""
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    PAPER: "paper",
    TICKET: "ticket",
    BUDGET: "budget",
    CARRIED: "carried",
    **{colour: f"control-{place}" for place, colour in enumerate(CONTROLS)},
}
ENLARGED = 1.1
"""How much wider than drawn a figure may become, where the page has room."""
READABLE = 9
"""Pixels of the smallest letters where the page has none: a figure scrolls before it shrinks further."""
WIDE = 8
"""From this ratio of largest to smallest on, a figure of which less is better gets a logarithmic axis."""
MARKERS = ("s", "^", "D", "v", "P", "X")
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gentickets",
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.unicode_minus": True,
    "axes.formatter.useoffset": False,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.facecolor": "none",
}


def to_svg(figure: Figure, label: str, name: str) -> str:
    """The figure as an inline `<svg>`: no fonts, no dates, `label` read aloud, ids that start with `name`.

    Texts are escaped by matplotlib; `label` is escaped here.
    """
    stream = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(stream, format="svg", metadata=metadata, bbox_inches="tight", pad_inches=0.05)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id="|xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    if width := re.search(r' width="([\d.]+)pt"', text):
        text = text.replace(width[0], " " + _size(float(width[1]), text), 1)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label, quote=True)}" ', 1)


def _size(width: float, text: str) -> str:
    """As wide as the page allows, so that neither letters outgrow those of other figures nor become too small."""
    smallest = min((float(size) for size in re.findall(r"font-size: ([\d.]+)px", text)), default=STYLE["font.size"])
    return f'style="min-width: {math.ceil(READABLE * width / smallest)}px; max-width: {ENLARGED * width:.0f}pt"'


def styled(**changes: Any) -> AbstractContextManager[None]:
    """The style that figures are made and saved under; matplotlib's own settings come back afterwards."""
    settings: Any = {**STYLE, **{name.replace("_", "."): value for name, value in changes.items()}}
    context: AbstractContextManager[None] = mpl.rc_context(settings)
    return context


def styles(controls: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """Control -> colour and marker, the same in every figure of a page."""
    names = dict.fromkeys(ArmName.of(control).base for control in controls)
    return {name: (CONTROLS[place % len(CONTROLS)], MARKERS[place % len(MARKERS)]) for place, name in enumerate(names)}


def sparsity_axis(axes: Axes, sparsities: Iterable[float], label: str) -> None:
    """An axis that spaces rounds evenly (logarithmic in density), labelled in percent sparsity."""
    places = sorted(sparsities)
    gap = 0.999 * (axis_position(places[-1]) - axis_position(places[0])) / 11 if places else 0.0
    shown: list[float] = []
    for place in places:
        # By distance: rounds of several runs fall close to each other.
        if not shown or axis_position(place) - axis_position(shown[-1]) > gap:
            shown.append(place)
    axes.set_xticks([axis_position(place) for place in shown])
    axes.set_xticklabels([_short(place) for place in shown])
    axes.set_xlabel(f"{label}, rounds evenly spaced")
    axes.grid(visible=False, axis="x")


def logarithmic(axes: Axes) -> None:
    """A logarithmic axis of figures, with plain numbers: its powers of ten would come as mathematics, unrendered."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def axis_position(sparsity: float) -> float:
    """The place of a sparsity on that axis."""
    return -math.log(max(1e-9, 1 - sparsity))


def _short(sparsity: float) -> str:
    digits = 2 if 0.99 < sparsity < 1 else 1
    return fixed(100 * sparsity, digits).removesuffix(".0")
