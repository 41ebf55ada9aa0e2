"""What a person starts, and no test: all checks in a row, longer runs, benchmarks."""
