"""Find the images: a hub name, an image folder, parquet files or the embedded digits become one
`DatasetDict`.

Whatever the source calls them, the result has the columns `image` (undecoded) and `label` (a
`ClassLabel`), and the splits `train` and `validation`, and `test` where there is one.
"""

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from vitprune.data.opening import open_source
from vitprune.data.split_names import SPLIT_NAMES, find_split
from vitprune.errors import UsageError

LABEL_NAMES = ("label", "labels", "class", "target", "fine_label", "cls")
DIGITS_SPLIT_SEED = (
    0  # fixed for good: the embedded model was pretrained on exactly this train split
)


def load_source(
    source: str,
    image_column: str | None = None,
    label_column: str | None = None,
    validation_fraction: float = 0.1,
    seed: int = 42,
    subset: str | None = None,
    label_names: list[str] | None = None,
) -> DatasetDict:
    """Load a labelled image data set.

    Args:
        source: `digits`, a local folder (of class folders with images, or of parquet files) or a
            hub name.
        image_column: The column of the images; found out if there is only one of that type.
        label_column: The column of the labels; found out if there is one `ClassLabel` or one of a
            usual name.
        validation_fraction: Share of the train split that becomes the validation split where the
            source has none, in (0, 1).
        seed: Fixes which images that share holds.
        subset: Configuration of a data set that has several.
        label_names: The classes in the order of their numbers, where labels are strings.

    Returns:
        Splits `train`, `validation` and, where the source has one with labels, `test`.

    Raises:
        UsageError: If the source is missing or has no usable image or label column.

    """
    raw = _digits() if source == "digits" else open_source(source, subset)
    splits = {name: raw[found] for name in SPLIT_NAMES if (found := find_split(raw, name))}
    if not splits:
        raise UsageError(
            f"data.source {source!r} has the splits {sorted(raw)}; one of them must be called "
            "'train'."
        )
    splits = {
        name: normalise_columns(split, source, image_column, label_column)
        for name, split in splits.items()
    }
    splits = _share_labels(splits, source, label_names)
    if "validation" not in splits and "train" in splits:
        splits |= _carve_validation(splits["train"], validation_fraction, seed)
        rank_zero_info(
            f"{source} has no validation split: {len(splits['validation'])} images were set aside "
            f"from the train split (data.validation_fraction {validation_fraction}, seed {seed})."
        )
    return DatasetDict(splits)


def _digits() -> DatasetDict:
    """Scikit-learn's 1797 digits, 8x8 grey values: 1197 to train, 300 to validate, 300 to test, stratified."""
    digits = load_digits()
    images = (digits.images * (255 / 16)).round().astype(np.uint8)  # (N, 8, 8)
    rest, test = train_test_split(
        np.arange(len(images)),
        test_size=300,
        random_state=DIGITS_SPLIT_SEED,
        stratify=digits.target,
    )
    train, validation = train_test_split(
        rest, test_size=300, random_state=DIGITS_SPLIT_SEED, stratify=digits.target[rest]
    )
    features = Features(
        {"image": Image(), "label": ClassLabel(names=[str(digit) for digit in range(10)])}
    )

    def split(rows: np.ndarray) -> Dataset:
        columns = {"image": list(images[rows]), "label": digits.target[rows].tolist()}
        return Dataset.from_dict(columns, features=features)

    return DatasetDict(train=split(train), validation=split(validation), test=split(test))


def normalise_columns(
    split: Dataset, source: str, image_column: str | None, label_column: str | None
) -> Dataset:
    """Keep the image and the label column, under these names, without decoding an image."""
    image = image_column or _find_image_column(split, source)
    label = label_column or _find_label_column(split, source)
    for column, option in ((image, "image_column"), (label, "label_column")):
        if column not in split.column_names:
            raise UsageError(
                f"data.{option} {column!r} is not a column of {source!r}; it has "
                f"{split.column_names}."
            )
    split = split.select_columns([image, label])
    split = split.rename_columns(
        {old: new for old, new in ((image, "image"), (label, "label")) if old != new}
    )
    if not isinstance(split.features["image"], Image) and not _holds_encoded_images(
        split.features["image"]
    ):
        raise UsageError(
            f"column {image!r} of {source!r} holds {split.features['image']}, not images."
        )
    return split.cast_column("image", Image(decode=False))


def _holds_encoded_images(feature: object) -> bool:
    """Parquet files written without the `datasets` library keep images as a struct of bytes and path, or as bytes."""
    return (isinstance(feature, dict) and "bytes" in feature) or feature == Value("binary")


def _find_image_column(split: Dataset, source: str) -> str:
    found = [
        c for c, f in split.features.items() if isinstance(f, Image) or _holds_encoded_images(f)
    ]
    return _only(found, "image", split, source)


def _find_label_column(split: Dataset, source: str) -> str:
    found = [
        column for column, feature in split.features.items() if isinstance(feature, ClassLabel)
    ]
    if split.column_names == ["image"] and split.info.builder_name == "imagefolder":
        raise UsageError(
            f"the image folder {source!r} has one class only, or none: at least two folders, one a "
            "class, must hold images, all at the same depth, for example train/cat/1.jpg and "
            "train/dog/2.jpg."
        )
    return _only(
        found or [column for column in LABEL_NAMES if column in split.features],
        "label",
        split,
        source,
    )


def _only(found: list[str], kind: str, split: Dataset, source: str) -> str:
    if len(found) != 1:
        problem = f"no {kind} column" if not found else f"several {kind} columns, {found}"
        raise UsageError(
            f"data.source {source!r} has {problem}. Its columns are {split.column_names}; name one "
            f"with data.{kind}_column."
        )
    return found[0]


def _share_labels(
    splits: dict[str, Dataset], source: str, label_names: list[str] | None
) -> dict[str, Dataset]:
    """Give every split the same `ClassLabel`, check its range, and drop a test split without labels."""
    reference = splits.get("train") or next(iter(splits.values()))
    feature = reference.features["label"]
    if not isinstance(feature, ClassLabel):
        feature = _class_label(reference, source, label_names)
    if feature.num_classes < 2:
        raise UsageError(
            f"{source!r} has one class only, {feature.names}: there is nothing to tell apart."
        )
    shared = {}
    for name, split in splits.items():
        if name == "test" and set(split.unique("label")) <= {-1, None}:
            rank_zero_info(f"the test split of {source} has no labels and is left out.")
            continue
        shared[name] = _with_class_label(split, feature, source, name)
    return shared


def _class_label(split: Dataset, source: str, label_names: list[str] | None) -> ClassLabel:
    values = split.unique("label")
    if any(not isinstance(value, int | str) for value in values):
        raise UsageError(f"the labels of {source!r} must be integers or strings, not {values[:3]}.")
    if all(isinstance(value, int) for value in values):
        if sorted(values) != list(range(len(values))):
            raise UsageError(
                f"the labels of {source!r} must be 0, 1, ... without gaps, but they are "
                f"{sorted(values)[:12]}. Use names (strings) where numbers have gaps."
            )
        return ClassLabel(names=[str(value) for value in sorted(values)])
    return ClassLabel(names=label_names or sorted(values))


def _with_class_label(split: Dataset, feature: ClassLabel, source: str, name: str) -> Dataset:
    values = split.unique("label")
    if any(isinstance(value, str) for value in values):
        unknown = sorted(set(values) - set(feature.names))
        if unknown:
            raise UsageError(
                f"the {name} split of {source!r} has the labels {unknown[:5]}; valid are "
                f"{feature.names[:5]}, ..."
            )
    else:
        wrong = [value for value in values if value is None or not 0 <= value < feature.num_classes]
        if wrong:
            raise UsageError(
                f"the {name} split of {source!r} has the label {wrong[0]}; valid are 0 to "
                f"{feature.num_classes - 1}."
            )
        empty = sorted(set(range(feature.num_classes)) - set(values))
        if empty and name == "train":
            rank_zero_info(
                f"train of {source} has no images of "
                f"{[feature.names[number] for number in empty[:5]]}."
            )
    return split if split.features["label"] == feature else split.cast_column("label", feature)


def _carve_validation(train: Dataset, fraction: float, seed: int) -> dict[str, Dataset]:
    if not 0 < fraction < 1:
        raise UsageError(f"data.validation_fraction must lie between 0 and 1, not {fraction}.")
    parts = train.train_test_split(test_size=fraction, seed=seed, shuffle=True)
    return {"train": parts["train"], "validation": parts["test"]}
