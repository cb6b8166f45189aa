"""The validation split of a source that has none."""

from dataclasses import dataclass

from datasets import Dataset

from vitprune.errors import UsageError


@dataclass(frozen=True)
class Split:
    """How a source without a validation split is divided.

    Args:
        validation_fraction: Fraction of train that becomes the validation split, in (0, 1).
        seed: Seed of that choice and of the choice of `max_images`; the seed of the run has no
            effect on them.

    Raises:
        UsageError: If the fraction is out of its range.

    """

    validation_fraction: float = 0.1
    seed: int = 42

    def __post_init__(self) -> None:
        if not 0 < self.validation_fraction < 1:
            raise UsageError(
                "data.split.validation_fraction must lie between 0 and 1, not "
                f"{self.validation_fraction}."
            )

    def divide(self, train: Dataset) -> tuple[Dataset, Dataset]:
        """Return the two disjoint parts for training and validation."""
        parts = train.train_test_split(
            test_size=self.validation_fraction, seed=self.seed, shuffle=True
        )
        return parts["train"], parts["test"]
