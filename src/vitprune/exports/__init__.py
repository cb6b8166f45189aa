"""From a pruned model to a folder that plain `transformers` loads.

`checkpoint.export_checkpoint` exports the model of a training run, `model.export` any pruned
Hugging Face classifier, and `load.load_pruned` reads an export.
"""
