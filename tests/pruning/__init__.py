"""Tests of vitprune.pruning."""
