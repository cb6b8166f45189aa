"""The parts of a Vision Transformer: its layers, attentions, MLPs, stem and classifier.

Only `names.py` knows the names that model families use for them.
"""

from vitprune.model.anatomy.names import AttentionNames, MlpNames, declare

__all__ = ["AttentionNames", "MlpNames", "declare"]
