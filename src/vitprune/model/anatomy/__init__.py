"""The parts of a Vision Transformer: the only room that knows how model families name them."""
