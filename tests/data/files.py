"""Images and files that tests of the data share."""

import numpy as np
from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

from vitprune.data import ImageData


def picture(size=(20, 24), seed=0, mode="RGB"):
    values = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def parquet(folder, labels, feature=None, **columns):
    folder.mkdir(exist_ok=True)
    image = {"bytes": b"", "path": None}
    features = Features({"image": ImageFeature(), "label": feature or Value("int64")})
    features |= {name: Value("int64") for name in columns}
    rows = {"image": [image] * len(labels), "label": labels, **columns}
    Dataset.from_dict(rows, features=Features(features)).to_parquet(folder / "train-0-of-1.parquet")
    return str(folder)


def module(source, processor, **options):
    return ImageData(str(source), processor, **{"batch_size": 4, "num_workers": 0, **options})
