"""Does what can be done with finished tickets and runs: train, export, measure, transfer."""
