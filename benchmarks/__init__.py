"""Benchmarks and studies; each prints its numbers and ends with one JSON line."""
