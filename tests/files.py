"""Files that a subcommand has written."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def assert_not_blank(path):
    image = np.asarray(Image.open(path).convert("L"))
    assert min(image.shape) > 200
    assert image.std() > 5
    assert (image < 128).mean() > 0.001
