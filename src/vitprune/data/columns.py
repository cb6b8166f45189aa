"""The image and the label column of a table, whatever the source calls them."""

from dataclasses import dataclass

from datasets import ClassLabel, Dataset, Image, LargeList, List, Value

from vitprune.errors import UsageError

LABEL_COLUMNS = ("label", "labels", "class", "target", "fine_label", "cls")


@dataclass(frozen=True)
class Columns:
    """Names of columns and classes.

    Args:
        image: Column of the images; inferred if there is only one of that type.
        label: Column of the labels; inferred if one is a `ClassLabel` or has a usual name.
        class_names: Names of the classes in the order of their numbers, if the source has none.

    """

    image: str | None = None
    label: str | None = None
    class_names: list[str] | None = None


def normalise_columns(split: Dataset, source: str, columns: Columns) -> Dataset:
    """Keep the image and the label column, as `image` (undecoded) and `label`.

    Raises:
        UsageError: If a column is missing, ambiguous, or holds no images.

    """
    image = columns.image or _find_image_column(split, source)
    label = columns.label or _find_label_column(split, source)
    for name, column in (("image", image), ("label", label)):
        if column not in split.column_names:
            raise UsageError(
                f"data.columns.{name} {column!r} is not a column of {source!r}. Valid are "
                f"{split.column_names}."
            )
    split = split.select_columns([image, label])
    if not _holds_images(split.features[image]):
        raise UsageError(
            f"column {image!r} of {source!r} holds {split.features[image]}, not images. Set "
            "data.columns.image to a column of images."
        )
    _refuse_several_labels(split.features[label], label, source)
    # before the names change: a stream would decode the images to rename their column
    split = split.cast_column(image, Image(decode=False))
    renamed = {column: name for name, column in (("image", image), ("label", label))}
    changed = {old: new for old, new in renamed.items() if old != new}
    return split.rename_columns(changed) if changed else split


def _refuse_several_labels(feature: object, label: str, source: str) -> None:
    """Refuse a label column that cannot be one label per image."""
    if isinstance(feature, ClassLabel | Value):
        return
    if isinstance(feature, list | List | LargeList):
        problem = "holds a list per image: these are multi-label data, which are not supported"
    else:
        problem = f"holds {feature}, not labels"
    raise UsageError(
        f"column {label!r} of {source!r} {problem}. Valid is a column with one integer or one "
        "string per image; name another with data.columns.label."
    )


def _holds_images(feature: object) -> bool:
    """Return whether a column holds images, also in files that `datasets` did not write.

    Those keep an image as a struct of bytes and path, or as bytes.
    """
    encoded = (isinstance(feature, dict) and "bytes" in feature) or feature == Value("binary")
    return isinstance(feature, Image) or encoded


def _find_image_column(split: Dataset, source: str) -> str:
    found = [column for column, feature in split.features.items() if _holds_images(feature)]
    return _only(found, "image", split, source)


def _find_label_column(split: Dataset, source: str) -> str:
    if split.column_names == ["image"] and split.info.builder_name == "imagefolder":
        raise UsageError(
            f"the image folder {source!r} has fewer than two class folders. Put the images of each "
            "class into a folder with its name, all at the same depth, for example "
            "train/cat/1.jpg and train/dog/2.jpg."
        )
    typed = [name for name, feature in split.features.items() if isinstance(feature, ClassLabel)]
    named = [name for name in LABEL_COLUMNS if name in split.features]
    if not typed and not named and (hot := _indicators(split)):
        raise UsageError(
            f"{source!r} has no label column, but {len(hot)} columns of 0 and 1, {hot[:3]}, ...: "
            "these are multi-hot labels, which are not supported. Valid is a column with one "
            "integer or one string per image; name it with data.columns.label."
        )
    return _only(typed or named, "label", split, source)


def _indicators(split: Dataset) -> list[str]:
    """Return the columns that stand for one class each, with 1 for an image of this class.

    All numbers of a column must be 0 or 1. In a stream only boolean columns are recognised.
    """
    numbers = [
        name
        for name, feature in split.features.items()
        if isinstance(feature, Value) and feature.dtype.startswith(("bool", "int", "uint"))
    ]
    flags = [name for name in numbers if split.features[name].dtype == "bool"]
    if isinstance(split, Dataset):
        flags = [name for name in numbers if set(split.unique(name)) <= {0, 1}]
    return flags if len(flags) > 1 and flags == numbers else []


def _only(found: list[str], kind: str, split: Dataset, source: str) -> str:
    if len(found) != 1:
        problem = f"no {kind} column" if not found else f"several {kind} columns, {found}"
        raise UsageError(
            f"data.source {source!r} has {problem}. Its columns are {split.column_names}; name one "
            f"with data.columns.{kind}."
        )
    return found[0]
