"""An image folder, an image processor and a folder of shards."""

import pytest
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageFeature
from transformers import ViTImageProcessor

from tests.data.files import picture
from tests.data.shards import ROWS, SHARDS, png


@pytest.fixture
def image_folder(tmp_path):
    """Two classes, nine pictures each, of all kinds."""
    root = tmp_path / "pictures"
    for label in ("cat", "dog"):
        (root / "train" / label).mkdir(parents=True)
        for i in range(9):
            mode = ["RGB", "L", "RGBA", "CMYK", "P", "RGB", "1", "LA", "RGB"][i]
            name = f"{i}.{'jpg' if mode in ('RGB', 'CMYK', 'L') else 'png'}"
            picture((20 + i, 24), seed=i, mode=mode).save(root / "train" / label / name)
    return root


@pytest.fixture
def processor(tmp_path):
    folder = tmp_path / "processor"
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=["even", "odd"])})
    for split, count in (("train", SHARDS), ("validation", 2)):
        for shard in range(count):
            numbers = range(shard * ROWS, (shard + 1) * ROWS)
            rows = {
                "image": [{"bytes": png(n), "path": None} for n in numbers],
                "label": [n % 2 for n in numbers],
            }
            Dataset.from_dict(rows, features=features).to_parquet(
                folder / f"{split}-{shard:05}-of-{count:05}.parquet"
            )
    return str(folder)
