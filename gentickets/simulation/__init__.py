"""Simulation: worlds in which the truth is known, to see whether verdicts and methods find it."""
