"""Sentences and formatted numbers for people."""
