"""What surrounds the training loop: checkpoints, exact resume, stopping, logs. None of it knows how pruning works."""
