"""The embedded data set: scikit-learn's handwritten digits."""

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SPLIT_SEED = 0  # never changes: the embedded model was pretrained on exactly this train split


def digits() -> DatasetDict:
    """Return 1797 images of 8x8 grey values: 1197 train, 300 validation, 300 test, stratified."""
    scanned = load_digits()
    images = (scanned.images * (255 / 16)).round().astype(np.uint8)  # (N, 8, 8)
    rest, test = train_test_split(
        np.arange(len(images)), test_size=300, random_state=SPLIT_SEED, stratify=scanned.target
    )
    train, validation = train_test_split(
        rest, test_size=300, random_state=SPLIT_SEED, stratify=scanned.target[rest]
    )
    names = [str(digit) for digit in range(10)]
    features = Features({"image": Image(), "label": ClassLabel(names=names)})

    def split(rows: np.ndarray) -> Dataset:
        columns = {"image": list(images[rows]), "label": scanned.target[rows].tolist()}
        return Dataset.from_dict(columns, features=features)

    return DatasetDict(train=split(train), validation=split(validation), test=split(test))
