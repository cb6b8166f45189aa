"""From zeros to a smaller model: what can be removed, cutting it out, and proving the result."""
