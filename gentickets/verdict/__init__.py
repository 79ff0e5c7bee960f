"""Verdict: is this really a winning ticket? What a run's seeds show, what more would, and the page that says so."""
