"""Models and data sets by their names on a hub, which is a process on this machine."""

import os
import subprocess
import sys

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image
from transformers import ViTImageProcessor

from tests.conftest import tiny_net
from tests.hub import revision, serving
from vitprune.data.opening import CONVERSION

LOAD = """
from vitprune.data import Columns
from vitprune.data.sources import load_source
from vitprune.data.streaming import load_streams
from vitprune.errors import UsageError
source = "someone/pictures"
for subset in ("small", None, "smal", "huge"):
    try:
        for splits in (
            load_source(source, subset=subset),
            load_streams(source, Columns(), {}, subset),
        ):
            print([(name, len(split)) for name, split in splits.items()])
    except UsageError as error:
        print(error)
"""
NAMES = [f"kind {number}" for number in range(10)]


def write_parquet(folder, images):
    folder.mkdir(parents=True)
    features = Features({"image": Image(), "label": ClassLabel(names=NAMES)})
    pixels = np.random.default_rng(0).integers(0, 256, (images, 16, 16, 3), dtype=np.uint8)
    rows = Dataset.from_dict(
        {"image": list(pixels), "label": [i % 10 for i in range(images)]}, features=features
    )
    rows.to_parquet(folder / "0000.parquet")


def run(environment, *command):
    environment = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def script(tmp_path):
    """A data set that is a script; its conversion has two configurations, and one in part."""
    (revision(tmp_path, "datasets", "someone/pictures") / "pictures.py").write_text(
        "raise RuntimeError('this was run')"
    )
    converted = revision(tmp_path, "datasets", "someone/pictures", CONVERSION)
    for configuration, train, images in (
        ("large", "train", 30),
        ("small", "train", 20),
        ("huge", "partial-train", 20),
    ):
        write_parquet(converted / configuration / train, images)
        write_parquet(converted / configuration / "validation", 10)
    return tmp_path


@pytest.mark.slow
def test_a_data_set_that_is_a_script_is_read_from_the_conversion_of_the_hub(script):
    with serving(script) as environment:
        in_memory, streamed, without, wrong, partial = run(
            environment, "-c", LOAD
        ).stdout.splitlines()
    assert in_memory == streamed == "[('train', 20), ('validation', 10)]"
    valid = (
        "data.subset must be one of the configurations of 'someone/pictures', "
        "['huge', 'large', 'small']"
    )
    assert (without, wrong) == (f"{valid}, not None.", f"{valid}, not 'smal'.")
    assert "the hub has converted only the first part of 'huge'" in partial


@pytest.mark.slow
def test_a_run_by_names_on_the_hub(script, tmp_path):
    pretrained = revision(script, "models", "someone/vit")
    net = tiny_net()
    net.config.id2label = dict(enumerate(NAMES))
    net.save_pretrained(pretrained)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(pretrained)
    command = [
        "-m",
        "vitprune",
        "fit",
        "--config",
        "iterative.yaml",
        "--trainer.max_epochs",
        "1",
        "--trainer.default_root_dir",
    ]
    command += [
        str(tmp_path),
        "--data.batch_size",
        "10",
        "--pruning.schedule.end",
        "0",
        "--data.subset",
        "small",
    ]
    with serving(script) as environment:
        result = run(
            environment,
            *command,
            "--model.pretrained",
            "someone/vit",
            "--data.source",
            "someone/pictures",
        )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "lightning_logs" / "version_0" / "export" / "model.safetensors").exists()
