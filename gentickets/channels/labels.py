"""Labels: one number for each channel, and which of them are the same channel, which stay, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

NOBODY, OUTSIDE = 0, 1
"""The label of what is of no channel (batches, places, constants), and of what leads in or out of a network."""
Ids = np.ndarray[Any, np.dtype[np.int64]]


@dataclass
class Labels:
    """Labels that were given away, and what is known of them. Tensors of labels are int64."""

    count: int = 2
    starts: list[int] = field(default_factory=lambda: [NOBODY, OUTSIDE])
    """The first label of every tensor's axis that was labelled, in order."""
    pairs: list[Tensor] = field(default_factory=list)
    """(2, n): labels of the same channel."""
    walls: dict[int, str] = field(default_factory=lambda: {OUTSIDE: "they lead in or out of the component"})
    """Label -> why its channel stays."""
    together: dict[int, str] = field(default_factory=dict)
    """Label of channels that were tied to each other -> where they meet."""
    _known: tuple[tuple[int, int], Tensor] | None = None

    def fresh(self, shape: tuple[int, ...]) -> Tensor:
        """A new label for every entry."""
        size = int(np.prod(shape))
        self.starts.append(self.count)
        self.count += size
        return torch.arange(self.count - size, self.count).view(shape)

    def tie(self, one: Tensor, other: Tensor) -> None:
        """Let labels, entry by entry, be of the same channel; those of a layer that meet nobody's stay."""
        one, other = spread(one, other)
        differ = one != other
        if bool(differ.any()):
            self.pairs.append(torch.unique(torch.stack([one[differ], other[differ]]), dim=1))

    def gather(self, rows: Tensor, why: str) -> Tensor:
        """Let all channels of each row, (rows, n), go only together; the label of each row, 0 where it has none."""
        first = rows.max(1).values if rows.shape[1] else rows.new_zeros(len(rows))
        differ = (rows > NOBODY) & (rows != first[:, None])
        if bool(differ.any()):
            self.tie(first[:, None].expand_as(rows)[differ], rows[differ])
            for label in torch.unique(first[differ.any(1)]).tolist():
                self.together.setdefault(label, why)
        return first

    def wall(self, labels: Tensor, why: str) -> None:
        """These channels stay."""
        for label in torch.unique(labels).tolist():
            if label > OUTSIDE:
                self.walls.setdefault(label, why)

    def classes(self) -> Ids:
        """Label -> number of its channel, as ties now are; 0 ties nothing here but has a number as well."""
        from scipy.sparse import coo_array  # it takes as long to import as all of this package
        from scipy.sparse.csgraph import connected_components

        edges = np.concatenate([pair.numpy() for pair in self.pairs], 1) if self.pairs else np.zeros((2, 0), np.int64)
        graph = coo_array((np.ones(edges.shape[1], np.int8), (edges[0], edges[1])), shape=(self.count, self.count))
        found: Ids = connected_components(graph, directed=False)[1].astype(np.int64)
        return found

    def canonical(self, labels: Tensor) -> Tensor:
        """The same labels, with the least of each channel's in place of all of them; 0 stays 0."""
        state = len(self.pairs), self.count
        if self._known is None or self._known[0] != state:
            number = self.classes()
            least = np.full(int(number.max()) + 1, self.count, dtype=np.int64)
            np.minimum.at(least, number, np.arange(self.count))
            self._known = state, torch.from_numpy(least[number])
        found = self._known[1][labels]
        return torch.where(labels == NOBODY, labels, found)

    def axis_of(self, labels: Tensor) -> Tensor:
        """For each label the number of the axis that it was given for."""
        return torch.searchsorted(torch.tensor(self.starts), labels, right=True)


def spread(*labels: Tensor) -> list[Tensor]:
    """Labels of one shape, that of what they are of together."""
    return list(torch.broadcast_tensors(*labels))  # type: ignore[no-untyped-call]


def compressed(labels: Tensor) -> Tensor:
    """The labels with one entry in place of equal ones along each dimension, so that they broadcast to what they were.

    What keeps memory small: a map of (n, c, h, w) has c labels.
    """
    for dim in range(labels.ndim):
        if labels.shape[dim] > 1 and labels.stride(dim) == 0:
            labels = labels.narrow(dim, 0, 1)
    for dim in range(labels.ndim):
        first = labels.narrow(dim, 0, 1) if labels.shape[dim] > 1 else labels
        if labels.shape[dim] > 1 and bool((labels == first).all()):
            labels = first
    return labels
