"""Writes sentences and formats numbers for people."""
