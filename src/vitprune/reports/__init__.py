"""Runs compared, and a run on one HTML page."""
