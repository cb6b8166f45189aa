"""A Hugging Face Vision Transformer that learns to classify images."""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torchmetrics.classification import MulticlassAccuracy

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import block_names
from vitprune.model.distillation import Distillation
from vitprune.model.loading import build_net, build_reference, for_images_of
from vitprune.model.optimization import WarmupCosine, parameter_groups
from vitprune.model.sameness import check_same_model


class ViTClassifier(LightningModule):
    """Fine-tune an image classifier with AdamW, warm-up and a cosine.

    Args:
        pretrained: Hub name or folder of an `AutoModelForImageClassification` ViT, or `digits`
            (embedded).
        architecture: Instead of `pretrained`, a configuration to build with random weights:
            `model_type` and the fields of its `transformers` configuration.
        image_size: Side of the images, in pixels, where it is not the model's own: its position
            embeddings are interpolated.
        labels: Names of the data's classes, in order. A pretrained model that knows all of them by
            name keeps their rows of its classifier; else a classifier of another size is rebuilt.
        learning_rate: Peak rate of AdamW. Pruned models want a higher one than dense ones: between
            1e-4 and 3e-3 was best for DeiT-Tiny, higher where it was sparser (docs/study.md).
        weight_decay: Decoupled decay of weight matrices; norms, biases and embeddings of tokens are
            not decayed.
        layer_decay: Factor of the learning rate from each block to the one below, in (0, 1].
        warmup_fraction: Share of all steps in which the rate rises, in [0, 1).
        label_smoothing: In [0, 1).
        gradient_checkpointing: Trade a second forward pass for memory.
        compile: Compile the transformer in place with `torch.compile`.
        distillation: A teacher to learn from beside the labels; by default none.
        channels_last: Keep the patch embedding, and so what it computes, in the memory order that
            convolutions on GPUs prefer.

    """

    def __init__(
        self,
        pretrained: str | None = None,
        architecture: dict[str, Any] | None = None,
        image_size: int | None = None,
        labels: list[str] | None = None,
        learning_rate: float = 3e-4,
        weight_decay: float = 0.05,
        layer_decay: float = 1.0,
        warmup_fraction: float = 0.05,
        label_smoothing: float = 0.0,
        gradient_checkpointing: bool = False,
        compile: bool = False,
        distillation: Distillation | None = None,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        if learning_rate <= 0:
            raise UsageError(f"model.learning_rate must be positive, not {learning_rate}.")
        for name, value in (
            ("warmup_fraction", warmup_fraction),
            ("label_smoothing", label_smoothing),
        ):
            if not 0 <= value < 1:
                raise UsageError(f"model.{name} must lie in [0, 1), not {value}.")
        if not 0 < layer_decay <= 1:
            raise UsageError(f"model.layer_decay must lie in (0, 1], not {layer_decay}.")
        self.save_hyperparameters(ignore=["distillation"])
        self.distillation = distillation
        self.net = for_images_of(build_net(pretrained, architecture, labels), image_size).train()
        if gradient_checkpointing:
            self.net.activation_checkpointing_enable()
        if channels_last:
            self.net.to(memory_format=torch.channels_last)
        if compile:
            self.net.compile()
        classes = self.net.config.num_labels
        top5 = min(5, classes)
        self.train_accuracy = MulticlassAccuracy(classes, average="micro")
        self.val_accuracy = MulticlassAccuracy(classes, average="micro")
        self.val_top5 = MulticlassAccuracy(classes, average="micro", top_k=top5)
        self.test_accuracy = MulticlassAccuracy(classes, average="micro")
        self.test_top5 = MulticlassAccuracy(classes, average="micro", top_k=top5)

    def setup(self, stage: str) -> None:
        """Load the teacher."""
        if stage == "fit" and self.distillation:
            name = self.distillation.teacher or self.hparams["pretrained"]
            if name is None:
                raise UsageError(
                    "model.distillation.teacher must be set to train from model.architecture."
                )
            self.distillation.begin(
                build_reference(name, self.net, "model.distillation.teacher"),
                self.net,
                self.trainer,
            )

    def configure_model(self) -> None:
        """Shard the parameters over ranks, block by block, if the strategy is `ModelParallelStrategy` (FSDP2)."""
        if self.device_mesh is None or isinstance(self.net, FSDPModule):
            return
        mesh = self.device_mesh["data_parallel"]
        for part in (*map(self.net.get_submodule, block_names(self.net)), self.net):
            fully_shard(part, mesh=mesh)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Return logits, (B, classes), for normalised images, (B, 3, H, W)."""
        return self.net(pixel_values=pixel_values).logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the cross-entropy with the teacher's part in it; labels are numbers, (B,), or
        probabilities, (B, classes).

        In evaluation mode, in which criteria learn, it is without the teacher: before the first
        round the model is its teacher, and the gradients of what it could learn from itself are
        nothing but rounding errors.
        """
        pixels, labels = batch["pixel_values"], batch["labels"]
        teacher = self.distillation if self.training else None
        hidden = {"output_hidden_states": True} if teacher and teacher.wants_hidden_states else {}
        outputs = self.net(pixel_values=pixels, **hidden)
        logits = outputs.logits
        loss = F.cross_entropy(logits, labels, label_smoothing=self.hparams["label_smoothing"])
        if teacher:
            loss = teacher.loss(pixels, outputs, loss)
        self.train_accuracy(logits, labels if labels.ndim == 1 else labels.argmax(dim=1))
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/accuracy", self.train_accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log loss, top-1 and top-5 under `val/`."""
        self._evaluate(batch, "val", self.val_accuracy, self.val_top5)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log loss, top-1 and top-5 under `test/`."""
        self._evaluate(batch, "test", self.test_accuracy, self.test_top5)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return probabilities, (B, classes), and the numbers of the images that they belong to, (B,)."""
        return {
            "probabilities": self(batch["pixel_values"]).float().softmax(dim=1),
            "images": batch["labels"],
        }

    def _evaluate(
        self, batch: dict[str, Tensor], stage: str, top1: nn.Module, top5: nn.Module
    ) -> None:
        logits, labels = self(batch["pixel_values"]), batch["labels"]
        top1(logits, labels)
        top5(logits, labels)
        self.log(
            f"{stage}/loss", F.cross_entropy(logits, labels), batch_size=len(labels), sync_dist=True
        )
        self.log(f"{stage}/accuracy", top1, prog_bar=True)
        self.log(f"{stage}/top5", top5)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW and a learning rate that follows the optimizer's steps."""
        total = self.trainer.estimated_stepping_batches
        if total in (-1, math.inf):
            raise UsageError(
                "the learning rate follows a cosine to the end of the training: set "
                "trainer.max_epochs or max_steps."
            )
        optimizer = torch.optim.AdamW(self._groups(self.hparams), lr=self.hparams["learning_rate"])
        schedule = WarmupCosine(optimizer, int(self.hparams["warmup_fraction"] * total), int(total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _groups(self, hparams: Mapping[str, Any]) -> list[dict]:
        return parameter_groups(
            self.net, hparams["learning_rate"], hparams["weight_decay"], hparams["layer_decay"]
        )

    def on_train_start(self) -> None:
        """Let the rates and the weight decay of now win over those that a checkpoint has brought."""
        schedule = self.lr_schedulers()
        if isinstance(schedule, WarmupCosine):  # and not one of a subclass
            schedule.set_peaks(self._groups(self.hparams))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another model, naming the first difference; a sharded model is
        loaded already.

        And one whose optimizer has other groups of parameters, if it is to be trained on.
        """
        if self._trainer and self.trainer.state.fn == "fit":
            theirs = checkpoint["hyper_parameters"]
            if len(self._groups(theirs)) != len(self._groups(self.hparams)):
                raise UsageError(
                    "the checkpoint's optimizer has other groups: it was trained with "
                    f"model.weight_decay {theirs['weight_decay']} and model.layer_decay "
                    f"{theirs['layer_decay']}. Go on with these, or begin anew."
                )
        if "state_dict" in checkpoint:
            check_same_model(self.state_dict(), checkpoint["state_dict"])
