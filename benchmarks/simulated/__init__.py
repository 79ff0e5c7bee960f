"""Worlds in which verdicts are tried, and the rules that they are compared to."""
