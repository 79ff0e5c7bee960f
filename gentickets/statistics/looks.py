"""Looks: at which numbers of seeds a claim may be judged, fixed before the first is known.

Bonferroni's share of alpha for each look keeps the chance of any false word at most alpha if the sizes of all looks
are declared: whether a later one is taken may then depend on anything seen. A size chosen after the first look may
not: seeds added exactly until the bound is expected to pass are a second chance for luck (Proschan and Hunsberger,
1995), and 2 looks from 3 seeds on, each at 2.5 %, found 5.4 % of false wins instead of 4.5 %.
"""

from __future__ import annotations

from gentickets.errors import TicketError


def look_sizes(seeds: int, looks: int) -> tuple[int, ...]:
    """The numbers of seeds at which a claim of so many declared seeds and looks is judged: n, 2 n, 4 n, ...

    A look may be left out (from n to 4 n at once), as each size has its own share of alpha.

    Raises:
        TicketError: no seeds or no looks.
    """
    if seeds < 1 or looks < 1:
        raise TicketError(f"a claim is judged at 1 look or more with 1 seed or more, not {looks} with {seeds}")
    return tuple(seeds * 2**look for look in range(looks))


def seeds_judged(present: int, seeds: int, looks: int) -> int:
    """How many seeds, the first ones of those present, a claim may be judged by: the largest look they fill; else 0."""
    return max((size for size in look_sizes(seeds, looks) if size <= present), default=0)
