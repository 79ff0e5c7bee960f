"""Verdict: is this really a winning ticket? What a run's seeds show, what more would, and the page that says so."""

from __future__ import annotations

from gentickets.verdict.asking import judge_run
from gentickets.verdict.document import document, write_verdict
from gentickets.verdict.run_verdict import RunVerdict

__all__ = ["RunVerdict", "document", "judge_run", "write_verdict"]
