"""What is measured, one module a measurement; see `python -m benchmarks --help`."""
