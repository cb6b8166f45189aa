"""Accuracy under one-shot pruning: sensitivity scans, sweeps and weight histograms."""
