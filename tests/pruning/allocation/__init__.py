"""Tests of vitprune.pruning.allocation."""
