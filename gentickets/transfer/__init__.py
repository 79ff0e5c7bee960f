"""Transfer: a ticket carried from one model into another."""

from .alignment import Match, aligned, alignment, alignment_report, matches, movable_groups
from .carrying import MOVES, carried, transfer
from .codes import code_group
from .pairing import Pair, Pairing, default_routes, paired
from .table import LayerTransfer, Table
from .widths import fitted, perturbed, shrunk, stretched

__all__ = [
    "MOVES",
    "LayerTransfer",
    "Match",
    "Pair",
    "Pairing",
    "Table",
    "aligned",
    "alignment",
    "alignment_report",
    "carried",
    "code_group",
    "default_routes",
    "fitted",
    "matches",
    "movable_groups",
    "paired",
    "perturbed",
    "shrunk",
    "stretched",
    "transfer",
]
