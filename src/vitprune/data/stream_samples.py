"""Rows of a stream as samples: their labels were not checked when the source was opened."""

from dataclasses import dataclass
from typing import Any

from vitprune.data.bad_images import BadImage
from vitprune.data.row_samples import ImageSamples, Sample

Row = dict[str, Any]


@dataclass(frozen=True)
class StreamSamples:
    """Decode and transform the rows of a stream.

    Attributes:
        samples: Decodes and transforms.
        names: Names of the classes in the order of their numbers.

    """

    samples: ImageSamples
    names: list[str]

    def make(self, row: Row, key: tuple[int, ...], place: str) -> Sample:
        """Return a sample; its randomness is a function of the seed and `key`.

        Args:
            row: `image`, undecoded, and `label`, a number or a name.
            key: Seeds the random transforms.
            place: Name of the row, for messages.

        """
        label = row["label"]
        if isinstance(label, str) and label in self.names:
            label = self.names.index(label)
        if label not in range(len(self.names)):
            return BadImage(
                f"{place} of the {self.samples.name} split has the label {label!r}; valid are 0 to "
                f"{len(self.names) - 1}, and names such as {self.names[0]!r}"
            )
        return self.samples.make(row["image"], label, key, place)
