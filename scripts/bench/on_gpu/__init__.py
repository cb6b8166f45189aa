"""The parts of `scripts/bench/gpu.py`: right, fast, worth it."""
