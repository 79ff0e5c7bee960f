"""The calibrated sizes of later interim analyses; `python benchmarks/spending.py` writes this file."""

from __future__ import annotations

SIZES = (1e-9, 1e-6, 1e-4, 1e-3, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5)
"""Sizes of a test over all its analyses."""
TABLE: dict[tuple[str, int], dict[int, tuple[tuple[float, ...], ...]]] = {}
"""(kind, analyses) -> seeds at the first analysis -> for each later one, its size over the test's, at those sizes."""
