"""Compare runs, and show a run on one HTML page."""
