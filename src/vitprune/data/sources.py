"""Load a labelled data set: a hub name, an image folder, parquet files or the embedded digits.

The result has the columns `image` (undecoded) and `label` (a `ClassLabel`), and the splits `train`
and `validation`, and `test` if the source has one with labels.
"""

from datasets import DatasetDict
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.data.columns import Columns, normalise_columns
from vitprune.data.digits import digits
from vitprune.data.labels import share_labels
from vitprune.data.opening import open_source
from vitprune.data.split import Split
from vitprune.data.split_names import SPLIT_NAMES, find_split
from vitprune.errors import UsageError


def load_source(
    source: str,
    columns: Columns = Columns(),
    split: Split = Split(),
    subset: str | None = None,
) -> DatasetDict:
    """Load a labelled image data set.

    Args:
        source: `digits`, a local folder (of class folders with images, or of parquet files) or a
            hub name.
        columns: Names of the columns and classes.
        split: How train is divided if the source has no validation split.
        subset: Configuration of a data set that has several.

    Returns:
        Splits `train`, `validation` and, if the source has one with labels, `test`.

    Raises:
        UsageError: If the source is missing or has no usable image or label column.

    """
    raw = digits() if source == "digits" else open_source(source, subset)
    splits = {name: raw[found] for name in SPLIT_NAMES if (found := find_split(raw, name))}
    if not splits:
        raise UsageError(
            f"data.source {source!r} has the splits {sorted(raw)}; one of them must be called "
            "'train'."
        )
    splits = {name: normalise_columns(rows, source, columns) for name, rows in splits.items()}
    splits = share_labels(splits, source, columns.class_names)
    if "validation" not in splits and "train" in splits:
        splits["train"], splits["validation"] = split.divide(splits["train"])
        rank_zero_info(
            f"Validation split: {len(splits['validation'])} images of the train split of {source} "
            f"(data.split.validation_fraction {split.validation_fraction}, seed {split.seed})."
        )
    return DatasetDict(splits)
