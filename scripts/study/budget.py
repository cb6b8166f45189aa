"""What is the same for every row of the study: the model, the images, how many of them are seen, and who is asked."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from lightning import Callback, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader

from vitprune.data import Augmentation, ImageData
from vitprune.model import ViTClassifier
from vitprune.model.distillation import Distillation

VALIDATION_SEED = 42  # which half of the validation images chooses, and which one is scored


def native_precision() -> str:
    """Return what this machine trains fastest in; a CPU that has to emulate bfloat16 takes ten times as long in it."""
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu.get_capabilities().get("avx512_bf16", False)
    return "bf16-mixed" if native else "32-true"


@dataclass(frozen=True)
class Budget:
    """A dense model, and how much fine-tuning a method may have.

    Args:
        model: Hub name or folder of a model that knows the classes of the images by name.
        source: Hub name or folder of the images.
        images: Training images, the same for every method.
        epochs: How often each is seen.
        batch_size: Images in an optimizer step.
        subset: Configuration of the data set on the hub.
        precision: Of the trainer; by default bfloat16 where the machine multiplies it natively,
            else float32.

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
        """Optimizer steps in all."""
        return self.epochs * (self.images // self.batch_size)

    @property
    def images_seen(self) -> int:
        """Images that pass through the model in training mode in all."""
        return self.steps * self.batch_size

    @property
    def device(self) -> torch.device:
        """Where all of it runs: on one GPU if there is one."""
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")

    def autocast(self) -> torch.autocast:
        """A context that computes in the precision of the trainer."""
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.precision == "bf16-mixed"
        )

    @cached_property
    def labels(self) -> list[str]:
        """Names of the classes."""
        return self.data().class_names

    def data(self, **changes: object) -> ImageData:
        """The images as evaluation sees them, flipped at random; `changes` are arguments of `ImageData`."""
        options = {
            "augmentation": Augmentation(crop_scale=None),
            "max_images": {"train": self.images},
            "num_workers": 0,
            **changes,
        }
        return ImageData(
            self.source, self.model, subset=self.subset, batch_size=self.batch_size, **options
        )


@dataclass
class Run:
    """One training of one method."""

    budget: Budget
    sparsity: float
    learning_rate: float
    seed: int
    watching: Sequence[Callback] = ()
    images_seen: int = 0

    def classifier(
        self, distillation: Callable[[], Distillation] | None = None, **changes: object
    ) -> ViTClassifier:
        """The dense model, in a module that trains it; `changes` are arguments of `ViTClassifier`."""
        seed_everything(self.seed, verbose=False)
        model = ViTClassifier(
            self.budget.model,
            labels=self.budget.labels,
            learning_rate=self.learning_rate,
            distillation=distillation() if distillation else None,
            **changes,
        )
        if self.budget.device.type == "cpu":
            model.net.set_attn_implementation("eager")  # a fifth faster on a CPU
        model.net.register_forward_pre_hook(self._count, with_kwargs=True)
        return model

    def _count(self, net: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if net.training:
            self.images_seen += len(kwargs["pixel_values"])

    def fit(self, model: ViTClassifier, data: ImageData, callbacks: list[Callback]) -> None:
        """Train for the budget."""
        Trainer(
            max_epochs=self.budget.epochs,
            accelerator=self.budget.device.type,
            devices=1,
            precision=self.budget.precision,
            gradient_clip_val=1.0,
            callbacks=[*callbacks, *self.watching],
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        ).fit(model, data)


@dataclass(frozen=True)
class Judge:
    """The validation images in two halves: one chooses learning rates, the other is scored once they are chosen."""

    budget: Budget

    @cached_property
    def _halves(self) -> dict[str, tuple[ImageData, DataLoader]]:
        loaders = {}
        for name, part in (("choose", 0), ("score", 1)):
            data = self.budget.data()
            images = data.splits["validation"].shuffle(seed=VALIDATION_SEED)
            data.splits["validation"] = images.shard(2, part, contiguous=True)
            loaders[name] = (data, data.whole_validation())
        return loaders

    @torch.inference_mode()
    def accuracy(self, net: nn.Module, half: str) -> float:
        """Return the share of the images of a half, `choose` or `score`, that a model gets right.

        It chooses in the precision of the training, and scores in float32, which takes twice as
        long and is done once.
        """
        data, loader = self._halves[half]
        device = self.budget.device
        net = net.eval().to(device)
        right = seen = 0
        for batch in loader:
            images = data.prepare(batch, device)
            with self.budget.autocast() if half == "choose" else nullcontext():
                logits = net(pixel_values=images["pixel_values"]).logits
            right += int((logits.argmax(dim=1) == images["labels"]).sum())
            seen += len(images["labels"])
        return right / seen
