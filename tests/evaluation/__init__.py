"""Tests of vitprune.evaluation."""
