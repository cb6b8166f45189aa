"""The splits of a source, read when they are first needed."""

from dataclasses import dataclass
from functools import cached_property

from datasets import Dataset, DatasetDict

from vitprune.data.columns import Columns
from vitprune.data.sources import load_source
from vitprune.data.split import Split
from vitprune.data.split_names import SPLIT_NAMES
from vitprune.data.streaming import StreamedSplit, load_streams
from vitprune.errors import UsageError


@dataclass(frozen=True)
class Splits:
    """Labelled images by split; the attributes are arguments of `ImageData`.

    Attributes:
        streaming: Whether to read without a download of the whole.

    """

    source: str | None
    subset: str | None
    columns: Columns
    split: Split
    max_images: dict[str, int]
    streaming: bool

    @cached_property
    def by_name(self) -> DatasetDict | dict[str, StreamedSplit]:
        """Splits `train`, `validation` and optionally `test`, with columns `image` and `label`."""
        if self.source is None:
            raise UsageError(
                "data.source is not set. Use a hub name, an image folder, parquet files or "
                "'digits'."
            )
        if unknown := set(self.max_images) - set(SPLIT_NAMES):
            raise UsageError(
                f"data.max_images names {sorted(unknown)}; valid are train, validation and test."
            )
        if self.streaming:
            return load_streams(self.source, self.columns, self.max_images, self.subset)
        splits = load_source(self.source, self.columns, self.split, self.subset)
        for name, most in self.max_images.items():
            if name in splits and len(splits[name]) > most:
                splits[name] = splits[name].shuffle(seed=self.split.seed).select(range(most))
        return splits

    def __getitem__(self, name: str) -> Dataset | StreamedSplit:
        if name not in self.by_name:
            raise UsageError(
                f"data.source {self.source!r} has no {name} split; it has {sorted(self.by_name)}."
            )
        if len(self.by_name[name]) == 0:
            raise UsageError(
                f"the {name} split of {self.source!r} is empty. Use a source with images "
                f"in its {name} split."
            )
        return self.by_name[name]

    @cached_property
    def class_names(self) -> list[str] | None:
        """Names of the classes in the order of their numbers; None without a source."""
        given = self.columns.class_names
        if self.source is None:
            return given
        found = next(iter(self.by_name.values())).features["label"].names
        if given and len(given) != len(found):
            raise UsageError(
                f"data.columns.class_names has {len(given)} names, but the data has {len(found)} "
                "classes. Name all of them, in order."
            )
        return given or found
