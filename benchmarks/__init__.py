"""Programs that measure what gentickets promises; ``python -m benchmarks`` lists and runs them."""
