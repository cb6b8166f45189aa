"""The data module: its arguments, its loaders, and what Lightning asks of it."""

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import astuple
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict
from torch import Tensor
from torch.utils.data import DataLoader
from transformers.image_processing_backends import TorchvisionBackend

from vitprune.data.augmentation import Augmentation, TrainingTransform
from vitprune.data.batches import BadImages, finish
from vitprune.data.image_streams import TrainingStream
from vitprune.data.loaders import make_loader, usual_workers
from vitprune.data.loading import ImageSamples, Position
from vitprune.data.resumable import ResumableData
from vitprune.data.splits import Splits
from vitprune.data.streaming import StreamedSplit, first_rows
from vitprune.data.transforms import EvaluationTransform, load_processor, output_size
from vitprune.data.unlabelled import find_images, numbered
from vitprune.errors import UsageError
from vitprune.seeding import seed_for


class ImageData(ResumableData):
    """Labelled images for training and scoring a ViT.

    Args:
        source: Hub name, image folder, folder of parquet files, or `digits` (embedded). None is
            enough to predict.
        processor: Hub name or folder of the model whose image processor (size, crop, mean, std,
            interpolation) is used; on the command line, the model's own unless set.
        subset: Configuration of a hub data set that has several; a local folder without any ignores
            it.
        batch_size: Images in a batch, on each process.
        num_workers: Processes that decode; by default one a core up to 8, and none for `digits`.
        image_column: Column of the images, where there are several.
        label_column: Column of the labels, where there are several.
        label_names: Names of the classes, in the order of their numbers, where the source has none.
        image_size: Side of the square that the model sees, in pixels, in place of the processor's.
        mean: Mean per channel, of values in [0, 1], in place of the processor's.
        std: Standard deviation per channel, in place of the processor's.
        validation_fraction: Share of train that is set aside where the source has no validation
            split, in (0, 1).
        split_seed: Fixes that share, and the choice of `max_images`, whatever the seed of the run.
        max_images: Largest number of images per split, for example `{train: 2000, validation:
            600}`, chosen at random. While streaming nothing is chosen: an epoch ends after so many,
            and the next one goes on behind them; validation and test are the first so many.
        crop_scale: Smallest and largest share of the area that a random training crop keeps, in (0,
            1]; null trains on what evaluation sees.
        horizontal_flip: Flip every second training image.
        randaugment: RandAugment operations on a training image, 0 for none (Cubuk et al. 2019).
        random_erasing: Probability of erasing a rectangle of a training image (Zhong et al. 2017).
        mixup: Alpha of Mixup, 0 for none (Zhang et al. 2017).
        cutmix: Alpha of CutMix, 0 for none (Yun et al. 2019). With both, each batch draws one of
            them.
        on_bad_image: `error` stops at an image that cannot be read, `skip` leaves it out and
            reports how many.
        predict_images: Folder of the images that `predict` labels.
        streaming: Read the source while training goes on, without a download of the whole: sharded
            parquet files or webdataset tars. Where nothing tells the number of images of a split,
            `max_images` does.
        shuffle_buffer: Images that a worker shuffles among themselves while streaming, undecoded in
            memory.

    """

    def __init__(
        self,
        source: str | None = None,
        processor: str | None = None,
        *,
        subset: str | None = None,
        batch_size: int = 64,
        num_workers: int | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        label_names: list[str] | None = None,
        image_size: int | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        validation_fraction: float = 0.1,
        split_seed: int = 42,
        max_images: dict[str, int] | None = None,
        crop_scale: tuple[float, float] | None = (0.5, 1.0),
        horizontal_flip: bool = True,
        randaugment: int = 0,
        random_erasing: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        on_bad_image: str = "error",
        predict_images: str | None = None,
        streaming: bool = False,
        shuffle_buffer: int = 1000,
    ) -> None:
        super().__init__()
        smallest = (
            ("batch_size", batch_size, 1),
            ("shuffle_buffer", shuffle_buffer, 1),
            ("num_workers", num_workers, 0),
        )
        for name, value, least in smallest:
            if value is not None and value < least:
                raise UsageError(f"data.{name} must be at least {least}, not {value}.")
        limits = (validation_fraction, split_seed, max_images or {})
        self.labelled = Splits(
            source, subset, image_column, label_column, label_names, *limits, streaming
        )
        self.processor_name, self.image_size, self.mean, self.std = processor, image_size, mean, std
        self.augmentation = Augmentation(
            crop_scale, horizontal_flip, randaugment, random_erasing, mixup, cutmix
        )
        self.batch_size, self.shuffle_buffer = batch_size, shuffle_buffer
        self.num_workers = (
            num_workers if num_workers is not None else 0 if source == "digits" else usual_workers()
        )
        self.bad_images, self.predict_images = BadImages(on_bad_image), predict_images
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 42))

    # ---- what there is

    @property
    def splits(self) -> DatasetDict | dict[str, StreamedSplit]:
        """Splits `train`, `validation` and perhaps `test`, with the columns `image` and `label`."""
        return self.labelled.by_name

    @property
    def label_names(self) -> list[str] | None:
        """Names of the classes in the order of their numbers; None without a source."""
        return self.labelled.classes

    @cached_property
    def predict_files(self) -> list[Path]:
        """The image files in the folder `predict_images` and below, sorted."""
        return find_images(self.predict_images)

    @cached_property
    def image_processor(self) -> TorchvisionBackend:
        """The image processor that evaluation follows to the letter, and that an export saves."""
        if self.processor_name is None:
            raise UsageError("data.processor is not set: give the hub name or folder of a model.")
        return load_processor(self.processor_name, self.image_size, self.mean, self.std)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of what the model sees, in pixels."""
        return output_size(self.image_processor)

    # ---- loaders

    def setup(self, stage: str) -> None:
        """Read what can be wrong about the data before anything is trained; start at the beginning."""
        self.start_afresh()
        needed = {
            "fit": ("train", "validation"),
            "validate": ("validation",),
            "test": ("test",),
            "predict": (),
        }[stage]
        for name in needed:
            _ = self.labelled[name]

    def train_dataloader(self) -> DataLoader:
        """Return shuffled, augmented batches from the saved position on; an incomplete last batch is left out."""
        images = self.labelled["train"]
        loader = self._loader("train", images, training=True)
        if len(loader) == 0:
            raise UsageError(
                f"the train split has {len(images)} images, less than a batch of {self.batch_size} "
                "a process."
            )
        if isinstance(loader.dataset, TrainingStream):
            self.follow(loader.dataset, loader.num_workers)
        return loader

    def val_dataloader(self) -> DataLoader:
        """Return the validation images in their order, as the model's own processor makes them."""
        return self._loader("validation", self.labelled["validation"])

    def test_dataloader(self) -> DataLoader:
        """Return the test images; nothing else reads them."""
        return self._loader("test", self.labelled["test"])

    def predict_dataloader(self) -> DataLoader:
        """Return the images in the folder `predict_images`; their label is their number in `predict_files`."""
        return self._loader("predict", numbered(self.predict_files))

    def whole_validation(self) -> DataLoader:
        """Return the validation images on this process alone, however many there are."""
        return self._loader("validation", self.labelled["validation"], shared=False)

    def validation_batches(
        self, device: torch.device, limit: int | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """Yield the same on a device, ready for a model, in so many batches; None for all."""
        for batch in itertools.islice(self.whole_validation(), limit):
            yield self.prepare(batch, device)

    def calibration_dataloader(self) -> DataLoader:
        """Return the training images (the first ones of a stream) as evaluation sees them; a criterion picks its sample."""
        train = self.labelled["train"]
        if isinstance(train, StreamedSplit):
            train = first_rows(train)
        return self._loader("train", train, shared=False)

    def _loader(
        self, name: str, images: Dataset, training: bool = False, shared: bool = True
    ) -> DataLoader:
        processor = self.image_processor
        transform = (
            TrainingTransform(processor, self.augmentation)
            if training
            else EvaluationTransform(processor)
        )
        trainer = self.trainer if shared else None
        return make_loader(
            images,
            ImageSamples(transform, self.seed, name),
            batch_size=self.batch_size,
            workers=self.num_workers,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            shuffle=training,
            start=self.position if training else Position(),
            buffer=self.shuffle_buffer,
        )

    # ---- a batch, on its way to the model

    def prepare(self, batch: dict[str, Any], device: torch.device) -> dict[str, Tensor]:
        """Take a batch from a loader to a device, as a `Trainer` would."""
        batch = self.on_before_batch_transfer(batch, 0)
        return self.on_after_batch_transfer(
            {name: value.to(device) for name, value in batch.items()}, 0
        )

    def on_before_batch_transfer(
        self, batch: dict[str, Any], dataloader_idx: int
    ) -> dict[str, Tensor]:
        """Stop at an image that could not be read, or count it and go on."""
        if "stream" in batch and self.stream:
            self.stream.advance(*batch.pop("stream"))
        return self.bad_images.take_from(batch)

    def on_after_batch_transfer(
        self, batch: dict[str, Tensor], dataloader_idx: int
    ) -> dict[str, Tensor]:
        """Flip, normalise and (while training) mix on the device. `pixel_values` becomes float32 (B, 3, H, W)."""
        if self._mix and self._model_trains():
            return finish(
                batch,
                self.image_processor,
                self._mix,
                seed_for(self.seed, "mix", *astuple(self.now)),
            )
        return finish(batch, self.image_processor)

    def _model_trains(self) -> bool:
        """Tell a training batch from one of the validation in between, or of an export afterwards."""
        trainer = self.trainer
        return trainer is not None and trainer.training and trainer.lightning_module.training

    @cached_property
    def _mix(self) -> Callable | None:
        return self.augmentation.mixing(len(self.label_names or []))

    def teardown(self, stage: str) -> None:
        """Report what was left out."""
        self.bad_images.report()
