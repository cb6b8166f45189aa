"""What pruning does, drawn."""
