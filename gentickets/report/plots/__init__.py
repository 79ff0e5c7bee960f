"""Plots, as inline SVG or PNG."""
