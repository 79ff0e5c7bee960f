"""Runs experiments: a recipe in, a run folder out."""
