"""Streams for training: shuffled, without end, and resumable."""

import itertools

import pytest
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageFeature
from lightning import seed_everything

from tests.checkpoints import read_raw
from tests.conftest import TINY
from tests.data.shards import ROWS, SHARDS, epoch, flat, png, streamed
from tests.interrupted import assert_same, train
from vitprune.data import Augmentation, Columns
from vitprune.data.evaluation_transform import EvaluationTransform
from vitprune.data.row_samples import ImageSamples
from vitprune.data.share import Share
from vitprune.data.streaming import load_streams
from vitprune.data.training_stream import TrainingStream
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.pruning import Cubic, IterativePruning


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_image_is_served_once_an_epoch_in_another_order(shards, workers):
    data = streamed(shards, num_workers=workers)
    data.setup("fit")
    loader = data.train_dataloader()
    first, second = epoch(data, loader), epoch(data, loader)
    assert len(loader) == len(first) == len(second) == SHARDS * ROWS // 6
    for numbers in (first, second):
        assert sorted(flat(numbers)) == list(range(SHARDS * ROWS))
    assert first != second
    assert flat(first) != sorted(flat(first))


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_without_repeating(shards, ranks):
    """Shard by shard where their number allows it, else image by image."""
    data = streamed(shards)
    split = load_streams(shards, Columns(), {})["train"]
    samples = ImageSamples(EvaluationTransform(data.image_processor), 42, "train")
    shares = []
    for rank in range(ranks):
        stream = TrainingStream(split, samples, 4, Share(rank, ranks), buffer=8)
        batches = [batch for batch, _ in zip(stream, range(len(stream)), strict=False)]
        assert len(batches) == SHARDS * ROWS // ranks // 4
        shares.append([int(image[0, 0, 0]) for batch in batches for image in batch["pixel_values"]])
    assert sorted(flat(shares)) == list(range(SHARDS * ROWS))


def run(folder, source, after_batches=-1, ckpt=None, workers=0):
    seed_everything(0, verbose=False)
    model = ViTClassifier(
        architecture={"model_type": "vit", **TINY}, labels=["even", "odd"], learning_rate=1e-2
    )
    data = streamed(
        source, num_workers=workers, augmentation=Augmentation(random_erasing=0.5, mixup=0.2)
    )
    pruning = IterativePruning(Cubic(0.8, end=1))
    return train(folder, model, data, pruning, after_batches, ckpt, every_n_steps=1, max_epochs=3)


@pytest.mark.parametrize(
    ("after", "workers"),
    [
        (5, 0),
        pytest.param(17, 0, marks=pytest.mark.slow),
        pytest.param(19, 2, marks=pytest.mark.slow),
        pytest.param(33, 2, marks=pytest.mark.slow),
    ],
)
def test_a_resumed_stream_goes_on_with_the_next_image(tmp_path, shards, after, workers):
    undisturbed = run(tmp_path / "a", shards, workers=workers)
    assert run(tmp_path / "b", shards, after, workers=workers) is None
    resumed = run(
        tmp_path / "b",
        shards,
        ckpt=str(tmp_path / "b" / "checkpoints" / "last.ckpt"),
        workers=workers,
    )
    assert_same(undisturbed, resumed)
    # the positions that `datasets` returns look ahead and need not be equal
    ours, theirs = (
        next_images(shards, tmp_path / name / "checkpoints" / "best.ckpt", workers) for name in "ab"
    )
    assert ours == theirs


def next_images(source, checkpoint, workers):
    """Return the first pixel of the images that a checkpoint continues with."""
    data = streamed(source, num_workers=workers)
    data.setup("fit")
    data.load_state_dict(read_raw(checkpoint)["ImageData"])
    batches = itertools.islice(data.train_dataloader(), 6)
    return [int(image[0, 0, 0]) for batch in batches for image in batch["pixel_values"]]


def test_a_resume_with_other_workers_is_refused(tmp_path, shards):
    assert run(tmp_path, shards, 5, workers=2) is None
    with pytest.raises(
        UsageError, match=r"read by 2 workers, but this run has 0. Resume with data.num_workers 2"
    ):
        run(tmp_path, shards, ckpt=str(tmp_path / "checkpoints" / "last.ckpt"))


def test_shards_without_rows_are_not_waited_for(tmp_path):
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=["even", "odd"])})
    for name, count in (("train-0", 24), ("train-1", 0), ("validation-0", 4)):
        rows = {
            "image": [{"bytes": png(n), "path": None} for n in range(count)],
            "label": [n % 2 for n in range(count)],
        }
        Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"{name}.parquet")
    data = streamed(str(tmp_path), num_workers=2)
    data.setup("fit")
    with pytest.raises(UsageError, match="shards that a data worker reads are all empty"):
        epoch(data, data.train_dataloader())
