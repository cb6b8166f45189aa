"""Tests of vitprune.training.pruning.rewind."""
