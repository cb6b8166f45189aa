"""Tests of vitprune.figures."""
