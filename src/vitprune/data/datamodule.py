"""The data module: its settings, its loaders, and the hooks that Lightning calls."""

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import astuple
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader
from transformers.image_processing_backends import TorchvisionBackend

from vitprune.data.augmentation import Augmentation
from vitprune.data.bad_images import BadImages, Reaction
from vitprune.data.batches import finish
from vitprune.data.columns import Columns
from vitprune.data.evaluation_transform import EvaluationTransform
from vitprune.data.loaders import make_loader, usual_workers
from vitprune.data.position import DataPosition, Position
from vitprune.data.processor import Normalization, load_processor, output_size
from vitprune.data.row_samples import ImageSamples
from vitprune.data.share import Share
from vitprune.data.split import Split
from vitprune.data.splits import Splits
from vitprune.data.streaming import StreamedSplit, Streaming
from vitprune.data.training_stream import TrainingStream
from vitprune.data.training_transform import TrainingTransform
from vitprune.data.unlabelled import find_images, numbered
from vitprune.errors import UsageError
from vitprune.seeding import seed_for

NEEDED_SPLITS = {
    "fit": ("train", "validation"),
    "validate": ("validation",),
    "test": ("test",),
    "predict": (),
}


class ImageData(LightningDataModule):
    """Labelled images for training and evaluating a ViT.

    Args:
        source: Hub name, image folder (class folders, which may be grouped by split), folder of
            parquet files, or `digits` (embedded). Not needed for predict.
        processor: Hub name or folder of the model whose image processor (size, crop, mean, std,
            interpolation) is used; on the command line, by default the model's own.
        subset: Configuration of a hub data set that has several; ignored by local folders without
            configurations.
        batch_size: Images in a batch, on each process.
        num_workers: Processes that decode images; by default one per core up to 8, and none for
            `digits`.
        image_size: Height and width of the model's input, in pixels; by default the processor's.
        max_images: Largest number of images per split, for example `{train: 2000, validation:
            600}`, a random choice. While streaming, the first images of validation and test, and
            the images per epoch of train; the next epoch continues after them. Required while
            streaming if the source does not state the size of a split.
        predict_images: Images to predict: a folder with its subfolders, an image file, a pattern
            such as `photos/*.jpg`, or a list of these.
        on_bad_image: Reaction to an unreadable image: `error` stops, `skip` leaves it out and
            reports the number.
        augmentation: Random changes to training images.
        columns: Names of the columns and classes; by default inferred.
        normalization: Mean and std per channel; by default the processor's.
        split: Division of train if the source has no validation split.
        streaming: Read sharded parquet files or webdataset tars while training, without a download
            of the whole; null reads everything first, `{}` streams with the defaults. Its key
            `shuffle_buffer` is the number of images that a worker shuffles among themselves (1000).

    Raises:
        UsageError: If a value is out of its range.

    """

    def __init__(  # noqa: PLR0913  # each is a key of `data:`
        self,
        source: str | None = None,
        processor: str | None = None,
        *,
        subset: str | None = None,
        batch_size: int = 64,
        num_workers: int | None = None,
        image_size: int | None = None,
        max_images: dict[str, int] | None = None,
        predict_images: str | list[str] | None = None,
        on_bad_image: Reaction = "error",
        augmentation: Augmentation = Augmentation(),
        columns: Columns = Columns(),
        normalization: Normalization = Normalization(),
        split: Split = Split(),
        streaming: Streaming | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise UsageError(f"data.batch_size must be at least 1, not {batch_size}.")
        if num_workers is None:
            num_workers = 0 if source == "digits" else usual_workers()
        if num_workers < 0:
            raise UsageError(f"data.num_workers must be at least 0, not {num_workers}.")
        self.labelled = Splits(
            source, subset, columns, split, max_images or {}, streaming is not None
        )
        self.processor_name = processor
        self.image_size = image_size
        self.normalization = normalization
        self.augmentation = augmentation
        self.streaming = streaming or Streaming()
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.bad_images = BadImages(on_bad_image)
        self.predict_images = predict_images
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 42))
        self.position = DataPosition(batch_size)

    # ---- splits and image processor

    @property
    def splits(self) -> DatasetDict | dict[str, StreamedSplit]:
        """Splits `train`, `validation` and optionally `test`, with columns `image` and `label`."""
        return self.labelled.by_name

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes in the order of their numbers; None without a source."""
        return self.labelled.class_names

    @cached_property
    def predict_files(self) -> list[Path]:
        """The image files of `predict_images`; those of each folder or pattern are sorted."""
        return find_images(self.predict_images)

    @cached_property
    def image_processor(self) -> TorchvisionBackend:
        """The image processor that evaluation follows exactly, and that an export saves."""
        if self.processor_name is None:
            raise UsageError("data.processor is not set. Use the hub name or folder of a model.")
        return load_processor(self.processor_name, self.image_size, self.normalization)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the model's input, in pixels."""
        return output_size(self.image_processor)

    # ---- loaders

    def setup(self, stage: str) -> None:
        """Read the splits that a stage needs, so that errors come first; start at the beginning."""
        self.position.reset()
        for name in NEEDED_SPLITS[stage]:
            _ = self.labelled[name]

    def train_dataloader(self) -> DataLoader:
        """Return shuffled, augmented batches from the saved position on, without a partial one."""
        images = self.labelled["train"]
        transform = TrainingTransform(self.image_processor, self.augmentation)
        loader = make_loader(
            images,
            ImageSamples(transform, self.seed, "train"),
            batch_size=self.batch_size,
            workers=self.num_workers,
            share=Share.of(self.trainer),
            shuffle=True,
            start=self.position.start,
            buffer=self.streaming.shuffle_buffer,
        )
        if len(loader) == 0:
            raise UsageError(
                f"the train split has {len(images)} images, less than a batch of {self.batch_size} "
                "per process. Decrease data.batch_size."
            )
        if isinstance(loader.dataset, TrainingStream):
            self.position.follow(loader.dataset, loader.num_workers)
        return loader

    def val_dataloader(self) -> DataLoader:
        """Return the validation images in order, as the model's own processor makes them."""
        return self._evaluation_loader("validation", self.labelled["validation"], self.trainer)

    def test_dataloader(self) -> DataLoader:
        """Return the test images; nothing else reads them."""
        return self._evaluation_loader("test", self.labelled["test"], self.trainer)

    def predict_dataloader(self) -> DataLoader:
        """Return the images of `predict_images`; their label is their index in `predict_files`."""
        return self._evaluation_loader("predict", numbered(self.predict_files), self.trainer)

    def whole_validation(self) -> DataLoader:
        """Return all validation images on this process, whatever the number of processes."""
        return self._evaluation_loader("validation", self.labelled["validation"])

    def validation_batches(
        self, device: torch.device, limit: int | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """Yield the batches of `whole_validation` on a device, normalised.

        Args:
            device: Where the model is.
            limit: Number of batches; None for all.

        """
        for batch in itertools.islice(self.whole_validation(), limit):
            yield self.prepare(batch, device)

    def calibration_dataloader(self) -> DataLoader:
        """Return the training images (of a stream, the first) as evaluation sees them."""
        train = self.labelled["train"]
        if isinstance(train, StreamedSplit):
            train = train.first_rows()
        return self._evaluation_loader("train", train)

    def _evaluation_loader(
        self, name: str, images: Dataset | StreamedSplit, trainer: Any = None
    ) -> DataLoader:
        """Return the share of a trainer's process, all images without a trainer."""
        return make_loader(
            images,
            ImageSamples(EvaluationTransform(self.image_processor), self.seed, name),
            batch_size=self.batch_size,
            workers=self.num_workers,
            share=Share.of(trainer),
            shuffle=False,
            start=Position(),
            buffer=self.streaming.shuffle_buffer,
        )

    # ---- a batch, on its way to the model

    def prepare(self, batch: dict[str, Any], device: torch.device) -> dict[str, Tensor]:
        """Move a batch of a loader to a device, as a `Trainer` would."""
        batch = self.on_before_batch_transfer(batch, 0)
        return self.on_after_batch_transfer(
            {name: value.to(device) for name, value in batch.items()}, 0
        )

    def on_before_batch_transfer(
        self, batch: dict[str, Any], dataloader_idx: int
    ) -> dict[str, Tensor]:
        """Note the position in a stream, and stop at or skip unreadable images."""
        if "stream" in batch and self.position.stream:
            self.position.stream.advance(*batch.pop("stream"))
        return self.bad_images.take_from(batch)

    def on_after_batch_transfer(
        self, batch: dict[str, Tensor], dataloader_idx: int
    ) -> dict[str, Tensor]:
        """Flip, normalise and, while training, mix on the device; see `batches.finish`."""
        if self._mix and self._model_trains():
            seed = seed_for(self.seed, "mix", *astuple(Position.of(self.trainer)))
            return finish(batch, self.image_processor, self._mix, seed)
        return finish(batch, self.image_processor)

    def _model_trains(self) -> bool:
        """Return whether a batch is one of training, not of validation or a later export."""
        trainer = self.trainer
        return trainer is not None and trainer.training and trainer.lightning_module.training

    @cached_property
    def _mix(self) -> Callable | None:
        return self.augmentation.mixing(len(self.class_names or []))

    # ---- the position, in checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return the position of training in the data."""
        return self.position.state_dict(self.trainer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume at the position of a checkpoint; see `DataPosition.load_state_dict`."""
        self.position.load_state_dict(state_dict, self.trainer)

    def teardown(self, stage: str) -> None:
        """Warn about skipped images."""
        self.bad_images.report()
