"""Renders HTML pages, and writes the JSON files beside them."""
