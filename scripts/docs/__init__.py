"""Hooks of the documentation site: pages that are made from other files, and its checks."""
