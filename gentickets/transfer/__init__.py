"""Transfer: a ticket carried from one model into another."""

from .pairing import Pair, Pairing, default_routes, paired
from .table import Entry, Table

__all__ = ["Entry", "Pair", "Pairing", "Table", "default_routes", "paired"]
