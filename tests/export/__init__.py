"""Tests of vitprune.export."""
