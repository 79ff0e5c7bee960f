"""Turns the results of a run into numbers and sentences. Imports neither torch nor matplotlib nor jinja."""
