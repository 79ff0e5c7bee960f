"""Builds tables as rows of strings, the same for a terminal and a page."""
