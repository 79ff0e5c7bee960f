"""When has a ticket emerged? A watcher on training: its mask stands still, and not as noise does."""

from .distances import Packed, corrected, hamming, packed
from .null import RATE, Null, calibrated, least_units
from .order import vacuous_before
from .pace import Pace
from .ranks import moved, standardized
from .rules import RULES, Settings, Standing
from .walks import Looks
from .watch import EarlyBird, Ranking

__all__ = [
    "RATE",
    "RULES",
    "EarlyBird",
    "Looks",
    "Null",
    "Pace",
    "Packed",
    "Ranking",
    "Settings",
    "Standing",
    "calibrated",
    "corrected",
    "hamming",
    "least_units",
    "moved",
    "packed",
    "standardized",
    "vacuous_before",
]
