"""Tickets from a training loop that somebody else wrote: rounds, steps, rewinding, and the mask in between."""

from gentickets.loops.rounds import Round
from gentickets.loops.search import Search

__all__ = ["Round", "Search"]
