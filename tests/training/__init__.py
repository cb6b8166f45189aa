"""Tests of vitprune.training."""
