"""The parts of a Vision Transformer, and how the model families of `transformers` name them."""
