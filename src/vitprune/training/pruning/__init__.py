"""The pruning callback and its state."""
