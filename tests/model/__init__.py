"""Tests of vitprune.model."""
