"""Tests of vitprune.benchmark."""
