"""Tests of vitprune.pruning.granularity."""
