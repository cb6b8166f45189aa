"""Labels of all splits as numbers of the same classes."""

from datasets import ClassLabel, Dataset
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.errors import UsageError


def share_labels(
    splits: dict[str, Dataset], source: str, class_names: list[str] | None
) -> dict[str, Dataset]:
    """Give every split the same `ClassLabel`, and drop a test split without labels.

    Raises:
        UsageError: If a label is out of range or of another type, or there is only one class.

    """
    reference = splits.get("train") or next(iter(splits.values()))
    feature = reference.features["label"]
    if not isinstance(feature, ClassLabel):
        feature = _class_label(reference, source, class_names)
    if feature.num_classes < 2:
        raise UsageError(
            f"{source!r} has one class only, {feature.names}. Classification needs at least two."
        )
    shared = {}
    for name, split in splits.items():
        if name == "test" and set(split.unique("label")) <= {-1, None}:
            rank_zero_info(f"Ignoring the test split of {source}: it has no labels.")
            continue
        shared[name] = _with_class_label(split, feature, source, name)
    return shared


def _class_label(split: Dataset, source: str, class_names: list[str] | None) -> ClassLabel:
    values = split.unique("label")
    for empty in (None, ""):
        if empty in values:
            row = split["label"].index(empty)
            raise UsageError(
                f"row {row} of {source!r} has no label. Label the image, or remove the row."
            )
    if any(not isinstance(value, int | str) for value in values):
        raise UsageError(f"the labels of {source!r} must be integers or strings, not {values[:3]}.")
    if listed := [value for value in values if isinstance(value, str) and _is_list(value)]:
        raise UsageError(
            f"the labels of {source!r} are lists ({listed[0]!r}): these are multi-label data, "
            "which are not supported. Valid is one integer or one string per image."
        )
    if all(isinstance(value, int) for value in values):
        if sorted(values) != list(range(len(values))):
            raise UsageError(
                f"the labels of {source!r} must be 0, 1, ... without gaps, but they are "
                f"{sorted(values)[:12]}. Use names (strings) where numbers have gaps."
            )
        return ClassLabel(names=[str(value) for value in sorted(values)])
    return ClassLabel(names=class_names or sorted(values))


def _is_list(value: str) -> bool:
    return value.startswith("[") and value.endswith("]")


def _with_class_label(split: Dataset, feature: ClassLabel, source: str, name: str) -> Dataset:
    values = split.unique("label")
    if any(isinstance(value, str) for value in values):
        _check_names(values, feature, f"the {name} split of {source!r}")
    else:
        _check_numbers(values, feature, f"the {name} split of {source!r}")
        empty = sorted(set(range(feature.num_classes)) - set(values))
        if empty and name == "train":
            rank_zero_info(
                f"The train split of {source} has no images of "
                f"{[feature.names[number] for number in empty[:5]]}."
            )
    return split if split.features["label"] == feature else split.cast_column("label", feature)


def _check_names(values: list[str], feature: ClassLabel, where: str) -> None:
    unknown = sorted(set(values) - set(feature.names))
    if unknown:
        raise UsageError(
            f"{where} has the labels {unknown[:5]}; valid are {feature.names[:5]}, ..."
        )


def _check_numbers(values: list[int | None], feature: ClassLabel, where: str) -> None:
    for value in values:
        if value is None or not 0 <= value < feature.num_classes:
            raise UsageError(
                f"{where} has the label {value}; valid are 0 to {feature.num_classes - 1}."
            )
