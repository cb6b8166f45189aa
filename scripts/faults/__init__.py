"""Fault injection: what a run is left with after being killed."""
