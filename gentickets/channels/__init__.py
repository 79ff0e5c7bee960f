"""Channels: which channels of the networks can only go together, which stay, and networks without the others."""

from .compacting import compact, removable, without_dead
from .dead import dead_channels, fold_constants
from .group import Group, Member, full_channels
from .groups import groups_of
from .ranking import channel_scores, keep_channels, lowest_channels, random_channels
from .rearranging import rearranged
from .slicing import narrowed, silenced, sliced

__all__ = [
    "Group",
    "Member",
    "channel_scores",
    "compact",
    "dead_channels",
    "fold_constants",
    "full_channels",
    "groups_of",
    "keep_channels",
    "lowest_channels",
    "narrowed",
    "random_channels",
    "rearranged",
    "removable",
    "silenced",
    "sliced",
    "without_dead",
]
