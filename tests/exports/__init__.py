"""Tests of vitprune.exports."""
