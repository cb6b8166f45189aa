"""The parts of a Vision Transformer. Nothing else knows how model families name them."""
