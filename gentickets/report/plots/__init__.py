"""Draws plots as inline SVG or PNG."""
