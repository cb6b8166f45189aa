"""What is the same for every row: the dense model, the images and how many of them are seen."""

from dataclasses import dataclass, field
from functools import cached_property

import torch

from vitprune.data import Augmentation, ImageData

CALIBRATION_IMAGES = 256  # of a data-driven criterion in each round, where a row names no other


def native_precision() -> str:
    """Return the fastest precision that this machine trains in.

    A CPU that emulates bfloat16 is ten times as slow in it.
    """
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu.get_capabilities().get("avx512_bf16", False)
    return "bf16-mixed" if native else "32-true"


@dataclass(frozen=True)
class Budget:
    """A dense model, and how much fine-tuning a method may use.

    Args:
        model: Hub name or folder of a model that knows the classes of the images by name.
        source: Hub name or folder of the images.
        images: Training images, the same for every method.
        epochs: Passes over these images.
        batch_size: Images in an optimizer step.
        subset: Configuration of the data set on the hub.
        precision: Precision of the Trainer; by default bfloat16 where the machine supports it
            natively, else float32.

    """

    model: str
    source: str
    images: int = 2000
    epochs: int = 4
    batch_size: int = 16
    subset: str | None = None
    precision: str = field(default_factory=native_precision)

    @property
    def steps(self) -> int:
        """Optimizer steps of a training."""
        return self.epochs * (self.images // self.batch_size)

    @property
    def images_seen(self) -> int:
        """Images that pass through the model in training mode, each counted every time."""
        return self.steps * self.batch_size

    @property
    def device(self) -> torch.device:
        """The first GPU if there is one, else the CPU."""
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")

    def autocast(self) -> torch.autocast:
        """Return a context that computes in the precision of the Trainer."""
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.precision == "bf16-mixed"
        )

    @cached_property
    def labels(self) -> list[str]:
        """Names of the classes."""
        return self.data().class_names or []

    def data(self, crop_scale: tuple[float, float] | None = None) -> ImageData:
        """Return the images as evaluation sees them, flipped at random in training.

        Args:
            crop_scale: Range of the area of random crops in training; None for no crops.

        """
        return ImageData(
            self.source,
            self.model,
            subset=self.subset,
            batch_size=self.batch_size,
            augmentation=Augmentation(crop_scale=crop_scale),
            max_images={"train": self.images},
            num_workers=0,
        )
