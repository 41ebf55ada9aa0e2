"""Benchmarks: each prints its figures and fails when a promise is not kept."""
