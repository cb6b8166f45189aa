"""Images and labels: where they come from, how they are transformed, in which order they are served."""

from vitprune.data.datamodule import ImageData

__all__ = ["ImageData"]
