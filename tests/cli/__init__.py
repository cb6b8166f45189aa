"""Tests of vitprune.cli."""
