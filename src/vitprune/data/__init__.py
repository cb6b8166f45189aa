"""Labelled images: their sources, their transforms and the order in which they are served."""

from vitprune.data.augmentation import Augmentation
from vitprune.data.columns import Columns
from vitprune.data.datamodule import ImageData
from vitprune.data.processor import Normalization
from vitprune.data.split import Split
from vitprune.data.streaming import Streaming

__all__ = ["Augmentation", "Columns", "ImageData", "Normalization", "Split", "Streaming"]
