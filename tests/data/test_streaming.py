"""Shards that are read while training goes on."""

import io
import tarfile

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageFeature
from lightning import seed_everything
from PIL import Image

from tests.conftest import TINY
from tests.interrupted import assert_same, train
from vitprune.data import Augmentation, Columns, ImageData, Streaming
from vitprune.data.evaluation_transform import EvaluationTransform
from vitprune.data.row_samples import ImageSamples
from vitprune.data.share import Share
from vitprune.data.streaming import load_streams
from vitprune.data.training_stream import TrainingStream
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.pruning import Cubic, IterativePruning

SHARDS, ROWS = 4, 24


def png(number):
    """Return a picture of one colour, which is its number."""
    stream = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), number, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
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


def module(source, **options):
    return ImageData(
        source,
        "digits",
        **{"batch_size": 6, "num_workers": 0, "streaming": Streaming(10), **options},
    )


def epoch(data, loader):
    """Return the numbers of the images of an epoch, batch by batch, used as a Trainer would."""
    batches = []
    for batch in loader:
        batch = data.on_before_batch_transfer(batch, 0)
        numbers = batch["pixel_values"][:, 0].flatten(1).float().median(dim=1).values.int().tolist()
        assert batch["labels"].tolist() == [number % 2 for number in numbers]
        batches.append(numbers)
    return batches


def flat(batches):
    return [number for batch in batches for number in batch]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_image_is_served_once_an_epoch_in_another_order(shards, workers):
    data = module(shards, num_workers=workers)
    data.setup("fit")
    loader = data.train_dataloader()
    first, second = epoch(data, loader), epoch(data, loader)
    assert len(loader) == len(first) == len(second) == SHARDS * ROWS // 6
    for numbers in (first, second):
        assert sorted(flat(numbers)) == list(range(SHARDS * ROWS))
    assert first != second
    assert flat(first) != sorted(flat(first))


@pytest.mark.parametrize("workers", [0, 3])
def test_validation_is_served_whole_and_in_its_order(shards, workers):
    data = module(shards, num_workers=workers, batch_size=7)
    data.setup("fit")
    for loader in (data.val_dataloader(), data.whole_validation()):
        assert flat(epoch(data, loader)) == list(range(2 * ROWS))
        assert len(loader) == 7


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_without_repeating(shards, ranks):
    """Shard by shard where their number allows it, else image by image."""
    data = module(shards)
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
    data = module(
        source, num_workers=workers, augmentation=Augmentation(random_erasing=0.5, mixup=0.2)
    )
    pruning = IterativePruning(Cubic(0.8, end=1))
    return train(folder, model, data, pruning, after_batches, ckpt, every_n_steps=1, max_epochs=3)


@pytest.mark.parametrize(("after", "workers"), [(5, 0), (17, 0), (19, 2), (33, 2)])
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
    data = module(str(tmp_path), num_workers=2)
    data.setup("fit")
    with pytest.raises(UsageError, match="shards that a data worker reads are all empty"):
        epoch(data, data.train_dataloader())


def test_webdataset_tars(tmp_path):
    for split in ("train", "validation"):
        for shard in range(2):
            with tarfile.open(tmp_path / f"{split}-{shard}.tar", "w") as tar:
                for number in range(shard * 12, shard * 12 + 12):
                    for suffix, content in (
                        ("png", png(number)),
                        ("cls", str(number % 2).encode()),
                    ):
                        entry = tarfile.TarInfo(f"{number:04}.{suffix}")
                        entry.size = len(content)
                        tar.addfile(entry, io.BytesIO(content))
    with pytest.raises(UsageError, match="number of images of the train split .* is unknown"):
        module(str(tmp_path)).setup("fit")
    counts = {"train": 24, "validation": 24}
    with pytest.raises(UsageError, match="Set data.columns.class_names"):
        module(str(tmp_path), max_images=counts).setup("fit")
    data = module(
        str(tmp_path),
        max_images=counts,
        columns=Columns(class_names=["even", "odd"]),
        num_workers=2,
    )
    data.setup("fit")
    assert sorted(flat(epoch(data, data.train_dataloader()))) == list(range(24))
    assert flat(epoch(data, data.val_dataloader())) == list(range(24))


def test_criteria_learn_from_the_first_images_of_a_stream(shards):
    data = module(shards)
    data.setup("fit")
    images = data.calibration_dataloader().dataset
    assert len(images) == SHARDS * ROWS
    assert int(images[5]["pixel_values"][0, 0, 0]) == 5


@pytest.mark.parametrize("wrong", [-1, 2, "three"])
def test_labels_that_there_are_no_names_for(tmp_path, wrong):
    labels = {"train": [0, 1, 1, 0], "validation": [0, 1, wrong, 1]}
    for split, found in labels.items():
        found = (
            [("zero", "one")[label] if label in (0, 1) else label for label in found]
            if wrong == "three"
            else found
        )
        rows = Dataset.from_dict({"image": [{"bytes": png(9), "path": None}] * 4, "label": found})
        rows.cast_column("image", ImageFeature()).to_parquet(
            tmp_path / f"{split}-00000-of-00001.parquet"
        )
    data = module(str(tmp_path), batch_size=4, columns=Columns(class_names=["zero", "one"]))
    data.setup("fit")
    with pytest.raises(
        UsageError,
        match=f"row 2 of the validation split has the label {wrong!r}; valid are 0 to 1, and names "
        "such as 'zero'",
    ):
        data.on_before_batch_transfer(next(iter(data.val_dataloader())), 0)


def test_a_stream_needs_a_validation_split(tmp_path, shards):
    (tmp_path / "train-0.parquet").write_bytes(png(0))
    with pytest.raises(
        UsageError, match=r"data.source .* could not be loaded|needs a train and a validation split"
    ):
        module(str(tmp_path)).setup("fit")
