"""Compare pruning methods at equal fine-tuning budgets."""
