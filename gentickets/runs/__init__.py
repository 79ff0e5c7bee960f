"""Tickets and runs on disk."""
