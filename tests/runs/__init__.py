"""Tests of vitprune.runs."""
