"""The parts of a Vision Transformer: its layers, attentions, MLPs, stem and classifier.

`names.py` is the one place that knows what model families call them.
"""

from vitprune.model.anatomy.names import AttentionNames, MlpNames, declare

__all__ = ["AttentionNames", "MlpNames", "declare"]
