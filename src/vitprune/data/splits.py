"""The splits of a source, read when somebody first needs them, with what the user says about them."""

from dataclasses import dataclass
from functools import cached_property

from datasets import Dataset, DatasetDict

from vitprune.data.sources import load_source
from vitprune.data.split_names import SPLIT_NAMES
from vitprune.data.streaming import StreamedSplit, load_streams
from vitprune.errors import UsageError


@dataclass(frozen=True)
class Splits:
    """Labelled images; the attributes are the arguments of `ImageData` of the same names."""

    source: str | None
    subset: str | None
    image_column: str | None
    label_column: str | None
    label_names: list[str] | None
    validation_fraction: float
    split_seed: int
    max_images: dict[str, int]
    streaming: bool

    @cached_property
    def by_name(self) -> DatasetDict | dict[str, StreamedSplit]:
        """Splits `train`, `validation` and perhaps `test`, with the columns `image` and `label`."""
        if self.source is None:
            raise UsageError(
                "data.source is not set: give a hub name, an image folder, parquet files or "
                "'digits'."
            )
        if unknown := set(self.max_images) - set(SPLIT_NAMES):
            raise UsageError(
                f"data.max_images names {sorted(unknown)}; valid are train, validation and test."
            )
        columns = (self.image_column, self.label_column)
        if self.streaming:
            return load_streams(
                self.source, *columns, self.label_names, self.max_images, self.subset
            )
        splits = load_source(
            self.source,
            *columns,
            self.validation_fraction,
            self.split_seed,
            self.subset,
            self.label_names,
        )
        for name, most in self.max_images.items():
            if name in splits and len(splits[name]) > most:
                splits[name] = splits[name].shuffle(seed=self.split_seed).select(range(most))
        return splits

    def __getitem__(self, name: str) -> Dataset | StreamedSplit:
        if name not in self.by_name:
            raise UsageError(
                f"data.source {self.source!r} has no {name} split; it has {sorted(self.by_name)}."
            )
        if len(self.by_name[name]) == 0:
            raise UsageError(f"the {name} split of {self.source!r} is empty.")
        return self.by_name[name]

    @cached_property
    def classes(self) -> list[str] | None:
        """Names of the classes in the order of their numbers; None without a source."""
        if self.source is None:
            return self.label_names
        found = next(iter(self.by_name.values())).features["label"].names
        if self.label_names and len(self.label_names) != len(found):
            raise UsageError(
                f"data.label_names has {len(self.label_names)} names, the data {len(found)} "
                "classes."
            )
        return self.label_names or found
