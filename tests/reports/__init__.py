"""Tests of vitprune.reports."""
