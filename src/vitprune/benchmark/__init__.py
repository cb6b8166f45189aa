"""Latency, throughput, size and FLOPs of exported models."""
