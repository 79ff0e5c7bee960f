"""Actions: what is done with finished tickets and runs."""
