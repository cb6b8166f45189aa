"""Tests of vitprune.pruning.masks."""
