"""Iterative prune-and-finetune training for Vision Transformers."""
