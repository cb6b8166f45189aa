"""Streams for evaluation: whole, and in their order."""

import pytest
from datasets import Dataset
from datasets import Image as ImageFeature

from tests.data.shards import ROWS, epoch, flat, png, streamed
from vitprune.data import Columns
from vitprune.errors import UsageError


@pytest.mark.parametrize("workers", [0, 3])
def test_validation_is_served_whole_and_in_its_order(shards, workers):
    data = streamed(shards, num_workers=workers, batch_size=7)
    data.setup("fit")
    for loader in (data.val_dataloader(), data.whole_validation()):
        assert flat(epoch(data, loader)) == list(range(2 * ROWS))
        assert len(loader) == 7


@pytest.mark.parametrize("wrong", [-1, 2, "three"])
def test_labels_that_there_are_no_names_for(tmp_path, wrong):
    labels = {"train": [0, 1, 1, 0], "validation": [0, 1, wrong, 1]}
    for split, found in labels.items():
        found = (
            [("zero", "one")[label] if label in (0, 1) else label for label in found]
            if wrong == "three"
            else found
        )
        rows = Dataset.from_dict({"image": [{"bytes": png(9), "path": None}] * 4, "label": found})
        rows.cast_column("image", ImageFeature()).to_parquet(
            tmp_path / f"{split}-00000-of-00001.parquet"
        )
    data = streamed(str(tmp_path), batch_size=4, columns=Columns(class_names=["zero", "one"]))
    data.setup("fit")
    with pytest.raises(
        UsageError,
        match=f"row 2 of the validation split has the label {wrong!r}; valid are 0 to 1, and names "
        "such as 'zero'",
    ):
        data.on_before_batch_transfer(next(iter(data.val_dataloader())), 0)
