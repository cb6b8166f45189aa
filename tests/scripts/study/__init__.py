"""Tests of scripts/study."""
