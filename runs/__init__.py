"""Programs that a person starts, none of them a test: all checks in a row, longer runs, benchmarks."""
