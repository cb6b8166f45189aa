"""Plots as figures that are readable in greyscale, and tables for the terminal."""
