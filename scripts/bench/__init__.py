"""Benchmarks, each a module with a command line: `python -m scripts.bench.NAME --help`."""
