"""Ledger: where the seconds and the FLOPs of a run went, and what its search cost. Torch-free.

`ledger.json` of a run follows from its results alone. A run that was stopped and went on has the same FLOPs. (Features
of real images and the data's own classifier, made once by whoever comes first, are on no round's bill.)

- ``format`` 1; ``method``; ``seeds``.
- ``entries``: ``{"seed", "arm", "round", "phase", "part", "seconds", "flops", "steps"}``. Phases are those of
  `result.json`. ``flops`` is null where a result does not tell; ``steps`` are optimizer steps. ``part`` is ``search``
  (somebody who only wants a ticket has to pay it), ``ticket`` (the training of a ticket that leads to no other),
  or ``comparison`` (dense reference, controls, longer trainings).
- ``totals``: part -> ``{"seconds", "flops", "phases": {phase: {"seconds", "flops"}}}``, and ``all`` of them.
- ``rounds``: ``{"seed", "arm", "round", "status", "memory", "energy"}`` of every result: bytes and joules of training.
- ``levels``: what a ticket of each round costs (`LevelCost.as_dict`).

What is search depends on the method and the level. ``iterative``: the dense run and every round before, whole, and the
scores of the level's own round. ``one_shot``: the dense run, and the scores. ``at_start``: the dense steps up to the
one that is rewound to, and the scores. ``early_bird``: the arm ``search`` up to the step at which the level emerged,
and compacting; and where it is rewound to a later step, or to a state that the search's penalty on norm scales has not
seen, the dense steps on the way there that the search did not take. Several levels share their search; each level's
cost is what it would cost alone.

Evaluating and storing are booked to the part that does them, but are no part of a level's costs: nothing needs them.
Where an operator was met whose FLOPs are not known, a cost has ``uncounted``, its name: ``flops`` is then a lower
bound, of which no ratio and no break-even is given (null).
Seconds were taken side by side with other workers, each like the other. FLOPs are executed ones (a mask saves none).
"""

from gentickets.ledger.book import FORMAT, ledger_of, write_ledger
from gentickets.ledger.entries import (
    ASIDE,
    COMPARISON,
    PARTS,
    PREPARING,
    SEARCH,
    TICKET,
    WARM_UP,
    Cost,
    Entry,
    entries_of,
    lower_bound,
    part_of,
)
from gentickets.ledger.levels import LevelCost, beyond_search, break_even, levels_of, search_cost, trainings
from gentickets.ledger.whole import Compute, TotalCompute, total_compute

__all__ = [
    "ASIDE",
    "COMPARISON",
    "FORMAT",
    "PARTS",
    "PREPARING",
    "SEARCH",
    "TICKET",
    "WARM_UP",
    "Compute",
    "Cost",
    "Entry",
    "LevelCost",
    "TotalCompute",
    "beyond_search",
    "break_even",
    "entries_of",
    "ledger_of",
    "levels_of",
    "lower_bound",
    "part_of",
    "search_cost",
    "total_compute",
    "trainings",
    "write_ledger",
]
