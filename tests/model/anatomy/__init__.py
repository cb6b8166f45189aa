"""Tests of vitprune.model.anatomy."""
