"""Tests of vitprune.training.pruning."""
