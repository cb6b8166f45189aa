"""From a masked checkpoint to a folder that plain `transformers` loads."""

from vitprune.export.export import export_checkpoint

__all__ = ["export_checkpoint"]
