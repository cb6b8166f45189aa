"""The data module: splits, loaders, the position in the data, and what happens to a batch on its device."""

import os
from collections.abc import Callable
from dataclasses import asdict, astuple
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature
from lightning import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from vitprune.data.augmentation import Augmentation, TrainingTransform, flip_where
from vitprune.data.loading import (
    EpochSampler,
    ImageSamples,
    LabelledImages,
    Position,
    ResumableLoader,
    collate,
    leave_process_group,
)
from vitprune.data.sources import load_source
from vitprune.data.streaming import ImageStream, StreamedSplit, StreamLoader, first_rows, load_streams
from vitprune.data.transforms import (
    EvaluationTransform,
    KeyedRandomness,
    load_processor,
    normalise,
    output_size,
)
from vitprune.errors import UsageError
from vitprune.seeding import seed_for

CALIBRATION_ROWS = 1024  # of a stream, in memory
MAX_WORKERS = 8  # more than this per process gains nothing for 224 px images


class ImageData(LightningDataModule):
    """Labelled images for training and scoring a ViT.

    Args:
        source: Hub name, image folder, folder of parquet files, or `digits` (embedded). None is enough to predict.
        processor: Hub name or folder of the model whose image processor (size, crop, mean, std, interpolation) is used;
            on the command line, the model's own unless set.
        batch_size: Images in a batch, on each process.
        num_workers: Processes that decode; by default one a core up to 8, and none for `digits`.
        image_column: Column of the images, where there are several.
        label_column: Column of the labels, where there are several.
        label_names: Names of the classes, in the order of their numbers, where the source has none.
        image_size: Side of the square that the model sees, in pixels, in place of the processor's.
        mean: Mean per channel, of values in [0, 1], in place of the processor's.
        std: Standard deviation per channel, in place of the processor's.
        validation_fraction: Share of train that is set aside where the source has no validation split, in (0, 1).
        split_seed: Fixes that share, and the choice of `max_images`, whatever the seed of the run.
        max_images: Largest number of images per split, for example `{train: 2000, validation: 600}`, chosen at random.
        crop_scale: Smallest and largest share of the area that a random training crop keeps, in (0, 1]; null trains on what
            evaluation sees.
        horizontal_flip: Flip every second training image.
        randaugment: RandAugment operations on a training image, 0 for none (Cubuk et al. 2019).
        random_erasing: Probability of erasing a rectangle of a training image (Zhong et al. 2017).
        mixup: Alpha of Mixup, 0 for none (Zhang et al. 2017).
        cutmix: Alpha of CutMix, 0 for none (Yun et al. 2019). With both, each batch draws one of them.
        on_bad_image: `error` stops at an image that cannot be read, `skip` leaves it out and reports how many.
        predict_images: Folder of the images that `predict` labels.
        streaming: Read the source while training goes on, without a download of the whole: sharded parquet files or
            webdataset tars. Where nothing tells the number of images of a split, `max_images` does.
        shuffle_buffer: Images that a worker shuffles among themselves while streaming, undecoded in memory.

    """

    def __init__(
        self,
        source: str | None = None,
        processor: str | None = None,
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
        if batch_size < 1:
            raise UsageError(f"data.batch_size must be at least 1, not {batch_size}.")
        if shuffle_buffer < 1:
            raise UsageError(f"data.shuffle_buffer must be at least 1, not {shuffle_buffer}.")
        if on_bad_image not in ("error", "skip"):
            raise UsageError(f"data.on_bad_image must be 'error' or 'skip', not {on_bad_image!r}.")
        self.source, self.processor_name, self.batch_size = source, processor, batch_size
        self.num_workers = num_workers
        self.image_column, self.label_column, self.given_label_names = image_column, label_column, label_names
        self.image_size, self.mean, self.std = image_size, mean, std
        self.validation_fraction, self.split_seed, self.max_images = validation_fraction, split_seed, max_images or {}
        self.augmentation = Augmentation(crop_scale, horizontal_flip, randaugment, random_erasing, mixup, cutmix)
        self.on_bad_image, self.predict_images = on_bad_image, predict_images
        self.streaming, self.shuffle_buffer = streaming, shuffle_buffer
        self.train_stream: ImageStream | None = None
        self.stream_states: list[dict[str, Any]] = []
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 42))
        self.position = Position()
        self.bad_images: set[str] = set()

    # ---- what there is

    @cached_property
    def splits(self) -> DatasetDict | dict[str, StreamedSplit]:
        """Splits `train`, `validation` and perhaps `test`, with the columns `image` and `label`."""
        if self.source is None:
            raise UsageError("data.source is not set: give a hub name, an image folder, parquet files or 'digits'.")
        unknown = set(self.max_images) - {"train", "validation", "test"}
        if unknown:
            raise UsageError(f"data.max_images names {sorted(unknown)}; valid are train, validation and test.")
        if self.streaming:
            return load_streams(self.source, self.image_column, self.label_column, self.given_label_names, self.max_images)
        splits = load_source(self.source, self.image_column, self.label_column, self.validation_fraction, self.split_seed)
        for name, most in self.max_images.items():
            if name in splits and len(splits[name]) > most:
                splits[name] = splits[name].shuffle(seed=self.split_seed).select(range(most))
        return splits

    @cached_property
    def label_names(self) -> list[str] | None:
        """Names of the classes in the order of their numbers; None without a source."""
        if self.source is None:
            return self.given_label_names
        found = next(iter(self.splits.values())).features["label"].names
        if self.given_label_names and len(self.given_label_names) != len(found):
            raise UsageError(f"data.label_names has {len(self.given_label_names)} names, the data {len(found)} classes.")
        return self.given_label_names or found

    @cached_property
    def image_processor(self) -> Any:
        """The image processor that evaluation follows to the letter, and that an export saves."""
        if self.processor_name is None:
            raise UsageError("data.processor is not set: give the hub name or folder of a model.")
        return load_processor(self.processor_name, self.image_size, self.mean, self.std)

    # ---- loaders

    def setup(self, stage: str) -> None:
        """Read what can be wrong about the data before anything is trained; start at the beginning."""
        self.position, self.stream_states = Position(), []
        if stage == "predict":
            return
        needed = {"fit": ("train", "validation"), "validate": ("validation",), "test": ("test",)}[stage]
        for split in needed:
            self._split(split)

    def train_dataloader(self) -> DataLoader:
        """Return shuffled, augmented batches from the saved position on; an incomplete last batch is left out."""
        transform = TrainingTransform(self.image_processor, self.augmentation)
        loader = self._loader("train", self._split("train"), transform, shuffle=True)
        if len(loader) == 0:
            images = len(self._split("train"))
            raise UsageError(f"the train split has {images} images, less than a batch of {self.batch_size} a process.")
        return loader

    def val_dataloader(self) -> DataLoader:
        """Return the validation images in their order, as the model's own processor makes them."""
        return self._evaluation_loader("validation", self._split("validation"))

    def test_dataloader(self) -> DataLoader:
        """Return the test images; nothing else reads them."""
        return self._evaluation_loader("test", self._split("test"))

    def predict_dataloader(self) -> DataLoader:
        """Return the images in the folder `predict_images`; their label is their number in `predict_files`."""
        return self._evaluation_loader("predict", self._predict_split)

    @cached_property
    def predict_files(self) -> list[Path]:
        """The image files in the folder `predict_images` and below, sorted."""
        folder = Path(self.predict_images or "").expanduser()
        if not self.predict_images or not folder.is_dir():
            raise UsageError(f"data.predict_images must be a folder of images, not {self.predict_images!r}.")
        known = Image.registered_extensions()
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in known)
        if not files:
            raise UsageError(f"data.predict_images {self.predict_images!r} holds no image files.")
        return files

    @property
    def _predict_split(self) -> Dataset:
        features = Features({"image": ImageFeature(decode=False), "label": Value("int64")})
        paths = [str(path) for path in self.predict_files]
        return Dataset.from_dict({"image": paths, "label": list(range(len(paths)))}, features=features)

    def _split(self, name: str) -> Dataset:
        if name not in self.splits:
            raise UsageError(f"data.source {self.source!r} has no {name} split; it has {sorted(self.splits)}.")
        if len(self.splits[name]) == 0:
            raise UsageError(f"the {name} split of {self.source!r} is empty.")
        return self.splits[name]

    def _evaluation_loader(self, name: str, images: Dataset) -> DataLoader:
        return self._loader(name, images, EvaluationTransform(self.image_processor), shuffle=False)

    def whole_validation(self) -> DataLoader:
        """Return the validation images on this process alone, however many there are."""
        transform = EvaluationTransform(self.image_processor)
        return self._loader("validation", self._split("validation"), transform, shuffle=False, shared=False)

    def calibration_dataloader(self) -> DataLoader:
        """Return the training images (the first ones of a stream) as evaluation sees them; a criterion picks its sample."""
        train = self._split("train")
        if isinstance(train, StreamedSplit):
            train = first_rows(train, CALIBRATION_ROWS)
        return self._loader("train", train, EvaluationTransform(self.image_processor), shuffle=False, shared=False)

    def prepare(self, batch: dict[str, Any], device: torch.device) -> dict[str, Tensor]:
        """Take a batch from a loader to a device, as a `Trainer` would."""
        batch = self.on_before_batch_transfer(batch, 0)
        return self.on_after_batch_transfer({name: value.to(device) for name, value in batch.items()}, 0)

    def _loader(self, name: str, images: Dataset, transform: Any, shuffle: bool, shared: bool = True) -> DataLoader:
        trainer = self.trainer if shared else None
        samples = ImageSamples(transform, self.seed, name)
        if self.streaming and isinstance(images, StreamedSplit):
            return self._stream_loader(images, samples, shuffle, shared)
        labelled = LabelledImages(images, samples)
        sampler = EpochSampler(
            labelled,
            seed=self.seed if shuffle else None,
            batch_size=self.batch_size,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            start=self.position if shuffle else Position(),
        )
        workers = self._worker_count()
        return ResumableLoader(
            labelled,
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=shuffle,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=collate,
            worker_init_fn=leave_process_group,
            generator=torch.Generator().manual_seed(0),  # or each new iterator would draw from the global generator
        )

    def _stream_loader(self, split: StreamedSplit, samples: ImageSamples, shuffle: bool, shared: bool) -> DataLoader:
        trainer = self.trainer if shared else None
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        stream = ImageStream(split, samples, self.batch_size, rank, world_size, self.shuffle_buffer if shuffle else None)
        workers = min(self._worker_count(), stream.rows.num_shards if shuffle else 1)  # an order needs one reader
        if shuffle:
            self.train_stream = stream
            if self.stream_states:
                stream.load_state_dict(self.stream_states[rank], workers)
        return StreamLoader(
            stream,
            batch_size=None,
            num_workers=workers,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=leave_process_group,
            generator=torch.Generator().manual_seed(0),
        )

    def _worker_count(self) -> int:
        if self.num_workers is not None:
            return self.num_workers
        if self.source == "digits":
            return 0
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return min(MAX_WORKERS, cores or 1)

    # ---- a batch, on its way to the model

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Tensor]:
        """Stop at an image that could not be read, or count it and go on."""
        if "stream" in batch and self.train_stream:
            self.train_stream.advance(*batch.pop("stream"))
        bad = batch.pop("bad_images", [])
        if bad and self.on_bad_image == "error":
            raise UsageError(f"{bad[0]}. Set data.on_bad_image to 'skip' to leave such images out.")
        if "pixel_values" not in batch and bad:
            raise UsageError(f"no image of a whole batch can be read; the first: {bad[0]}.")
        self.bad_images |= set(bad)
        return batch

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """Flip, normalise and (while training) mix on the device. `pixel_values` becomes float32 (B, 3, H, W)."""
        images, labels = batch["pixel_values"], batch["labels"]
        if "flip" in batch:
            images = flip_where(images, batch["flip"])
        images = normalise(images, self.image_processor)
        if self._mix and self._model_trains():
            key = seed_for(self.seed, "mix", *astuple(self._now()))
            with KeyedRandomness(key):
                images, labels = self._mix(images, labels)
        return {"pixel_values": images, "labels": labels}

    def _model_trains(self) -> bool:
        """Tell a training batch from one of the validation in between, or of an export afterwards."""
        trainer = self.trainer
        return trainer is not None and trainer.training and trainer.lightning_module.training

    @cached_property
    def _mix(self) -> Callable | None:
        return self.augmentation.mixing(len(self.label_names or []))

    def teardown(self, stage: str) -> None:
        """Report what was left out."""
        if self.bad_images:
            rank_zero_warn(f"{len(self.bad_images)} unreadable images were skipped, among them: {min(self.bad_images)}.")
            self.bad_images = set()

    # ---- the position in the data, for an exact resume

    def _now(self) -> Position:
        """Return the epoch, and how many of its batches have been used; a finished epoch is the next one's start."""
        assert self.trainer is not None
        loop = self.trainer.fit_loop
        epoch, batches = loop.epoch_progress.current.ready - 1, loop.epoch_loop.batch_progress.current.processed
        return Position(epoch + 1, 0) if batches >= self.trainer.num_training_batches else Position(epoch, batches)

    def state_dict(self) -> dict[str, Any]:
        """Return the position; of a stream, also where every rank's workers are in it."""
        state: dict[str, Any] = asdict(self._now())
        if self.train_stream:
            streams = [self.train_stream.state_dict()]
            if self.trainer.world_size > 1:
                streams = streams * self.trainer.world_size
                torch.distributed.all_gather_object(streams, self.train_stream.state_dict())
            state["streams"] = streams
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from that position."""
        self.position = Position(state_dict["epoch"], state_dict["batches"])
        self.stream_states = state_dict.get("streams", [])
        ranks = self.trainer.world_size if self.trainer else 1
        if self.stream_states and len(self.stream_states) != ranks:
            raise UsageError(f"the checkpoint's stream was read by {len(self.stream_states)} processes, and here are {ranks}.")

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of what the model sees, in pixels."""
        return output_size(self.image_processor)
