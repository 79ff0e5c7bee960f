"""The parts of `benchmarks/reliability.py`: each tries one promise many times and says how often it held."""
