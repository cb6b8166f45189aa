"""Tests of vitprune.pruning.criteria."""
