"""Tests of vitprune.data."""
