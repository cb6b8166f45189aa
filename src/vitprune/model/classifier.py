"""The LightningModule: a Vision Transformer of `transformers` as an image classifier."""

from typing import Any

import torch
import torch.nn.functional as F
from lightning import LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import block_names
from vitprune.model.channels import restore_channels
from vitprune.model.distillation import Distillation
from vitprune.model.evaluation_mode import begin_evaluation
from vitprune.model.loading import build_net
from vitprune.model.optimization import Optimization, WarmupCosine
from vitprune.model.reference import build_reference
from vitprune.model.resizing import for_images_of
from vitprune.model.sameness import check_same_model
from vitprune.model.token_merging import merge_tokens
from vitprune.model.unused import freeze_unused
from vitprune.runs.checkpoint import (
    DATA,
    HYPERPARAMETERS,
    OPTIMIZATION,
    OPTIMIZERS,
    PRUNING,
    WEIGHTS,
)
from vitprune.runs.plain_values import plain


class ViTClassifier(LightningModule):
    """Image classifier, fine-tuned by AdamW with linear warm-up and cosine decay.

    Args:
        pretrained: Hub name or folder of an image classifier of `transformers` or timm, or of a
            backbone, which gets a new head; or `digits` (embedded).
        architecture: Instead of `pretrained`, a model with random weights: `model_type` and fields
            of its `transformers` configuration.
        image_size: Side of the images, in pixels; by default the model's own. Position embeddings
            are interpolated if the model cannot process this size.
        labels: Class names of the data, in order. A pretrained model whose classes include all of
            them keeps their rows of its head; otherwise a head of another size is re-initialised.
        learning_rate: Learning rate of AdamW at its peak. Sparser models need higher ones: for
            DeiT-Tiny the best were between 1e-4 and 3e-3 (docs/study.md).
        weight_decay: Decoupled weight decay of linear and convolutional weights; norms, biases,
            tokens, position embeddings, scales and all other parameters are not decayed.
        layer_decay: Factor of the learning rate from each block to the one below, in (0, 1].
        warmup_fraction: Share of all steps used for warm-up, in [0, 1).
        label_smoothing: Label smoothing of the cross-entropy, in [0, 1).
        gradient_checkpointing: Whether to recompute activations in backward, to save memory.
        compile: Whether to compile the transformer in place with `torch.compile`.
        distillation: Distillation from a teacher model; null for none.
        channels_last: Memory format of the patch embedding; faster on some GPUs.
        token_merging: Tokens that each block of a ViT or DeiT merges into similar ones, in training
            and evaluation; 0 for none. Of the exports, the formats pt2 and onnx merge as well.

    """

    def __init__(  # noqa: PLR0913  # each is a key of `model:`
        self,
        pretrained: str | None = None,
        architecture: dict[str, Any] | None = None,
        image_size: int | None = None,
        labels: list[str] | None = None,
        *,
        learning_rate: float = 3e-4,
        weight_decay: float = 0.05,
        layer_decay: float = 1.0,
        warmup_fraction: float = 0.05,
        label_smoothing: float = 0.0,
        gradient_checkpointing: bool = False,
        compile: bool = False,
        distillation: Distillation | None = None,
        channels_last: bool = False,
        token_merging: int = 0,
    ) -> None:
        super().__init__()
        rates = plain([learning_rate, weight_decay, layer_decay, warmup_fraction])
        self.optimization = Optimization(*rates)
        if not 0 <= label_smoothing < 1:
            raise UsageError(f"model.label_smoothing must lie in [0, 1), not {label_smoothing}.")
        self.save_hyperparameters(ignore=["distillation"])
        self.hparams.update(plain(dict(self.hparams)))
        self.pretrained = pretrained
        self.label_smoothing = label_smoothing
        self.distillation = distillation
        self.net = for_images_of(build_net(pretrained, architecture, labels), image_size).train()
        freeze_unused(self.net)
        if gradient_checkpointing:
            old_name = self.net.gradient_checkpointing_enable  # before transformers 5.20
            getattr(self.net, "activation_checkpointing_enable", old_name)()
        if channels_last:
            self.net.to(memory_format=torch.channels_last)
        self.token_merging = token_merging
        if token_merging:
            merge_tokens(self.net, token_merging)
        if compile:
            self.net.compile()
        classes = self.net.config.num_labels
        top5 = min(5, classes)
        self.train_accuracy = MulticlassAccuracy(classes, average="micro")
        self.val_loss = MeanMetric(nan_strategy="disable")
        self.val_accuracy = MulticlassAccuracy(classes, average="micro")
        self.val_top5 = MulticlassAccuracy(classes, average="micro", top_k=top5)
        self.test_loss = MeanMetric(nan_strategy="disable")
        self.test_accuracy = MulticlassAccuracy(classes, average="micro")
        self.test_top5 = MulticlassAccuracy(classes, average="micro", top_k=top5)

    def setup(self, stage: str) -> None:
        """Load the teacher model."""
        if stage == "fit" and self.distillation:
            name = self.distillation.teacher or self.pretrained
            if name is None:
                raise UsageError(
                    "model.distillation.teacher must be set when training from model.architecture."
                )
            self.distillation.begin(
                build_reference(name, self.net, "model.distillation.teacher"),
                self.net,
                self.trainer,
            )

    def configure_model(self) -> None:
        """Shard the parameters block by block under `ModelParallelStrategy` (FSDP2)."""
        if self.device_mesh is None or isinstance(self.net, FSDPModule):
            return
        mesh = self.device_mesh["data_parallel"]
        for part in (*map(self.net.get_submodule, block_names(self.net)), self.net):
            fully_shard(part, mesh=mesh)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Return logits, (B, classes), for normalised images, (B, 3, H, W)."""
        return self.net(pixel_values=pixel_values).logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the cross-entropy including distillation.

        Labels are class numbers, (B,), or probabilities, (B, classes). In evaluation mode, used for
        calibration, distillation is off: before the first round the model equals its teacher, and
        the gradients of that loss are rounding errors.
        """
        pixels, labels = batch["pixel_values"], batch["labels"]
        teacher = self.distillation if self.training else None
        hidden = {"output_hidden_states": True} if teacher and teacher.wants_hidden_states else {}
        outputs = self.net(pixel_values=pixels, **hidden)
        logits = outputs.logits
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        if teacher:
            loss = teacher.loss(pixels, outputs, loss)
        self.train_accuracy(logits, labels if labels.ndim == 1 else labels.argmax(dim=1))
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/accuracy", self.train_accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log loss, top-1 and top-5 under `val/`."""
        self._evaluate(batch, "val", self.val_loss, self.val_accuracy, self.val_top5)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log loss, top-1 and top-5 under `test/`."""
        self._evaluate(batch, "test", self.test_loss, self.test_accuracy, self.test_top5)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return probabilities, (B, classes), and the numbers of the images, (B,)."""
        return {
            "probabilities": self(batch["pixel_values"]).float().softmax(dim=1),
            "images": batch["labels"],
        }

    def on_validation_model_eval(self) -> None:
        """Put the module into evaluation mode, with the attention biases of its weights."""
        begin_evaluation(self)
        super().on_validation_model_eval()

    def on_test_model_eval(self) -> None:
        """Put the module into evaluation mode, with the attention biases of its weights."""
        begin_evaluation(self)
        super().on_test_model_eval()

    def on_predict_model_eval(self) -> None:
        """Put the module into evaluation mode, with the attention biases of its weights."""
        begin_evaluation(self)
        super().on_predict_model_eval()

    def _evaluate(
        self,
        batch: dict[str, Tensor],
        stage: str,
        loss: nn.Module,
        top1: nn.Module,
        top5: nn.Module,
    ) -> None:
        logits, labels = self(batch["pixel_values"]), batch["labels"]
        # per image: the mean of self.log is wrong on several ranks with an odd number of images,
        # and MeanMetric(nan_strategy="disable") ignores weights
        loss(F.cross_entropy(logits, labels, reduction="none"))
        top1(logits, labels)
        top5(logits, labels)
        self.log(f"{stage}/loss", loss)
        self.log(f"{stage}/accuracy", top1, prog_bar=True)
        self.log(f"{stage}/top5", top5)

    def configure_optimizers(self) -> dict[str, Any]:
        """Return optimizer and learning-rate schedule; see `Optimization`."""
        return self.optimization.configure(self.net, self.trainer)

    def on_train_start(self) -> None:
        """Use the configured learning rates and weight decays instead of the checkpoint's."""
        schedule = self.lr_schedulers()
        if isinstance(schedule, WarmupCosine):  # a subclass may return another one
            schedule.set_peaks(self.optimization.groups(self.net))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the names of the optimizer and the scheduler that the user chose.

        The position in the data has the same key for every class of data modules.
        """
        checkpoint[OPTIMIZATION] = self.optimization.names
        if (key := type(self.trainer.datamodule).__qualname__) in checkpoint:
            checkpoint[DATA] = checkpoint.pop(key)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another model or, to train, with another optimizer or groups.

        Norms normalise over the channels that its masks keep. A sharded model has been loaded at
        this point.
        """
        if self._trainer and self.trainer.state.fn == "fit":
            self._check_optimization(checkpoint)
        if self._trainer and DATA in checkpoint:  # Lightning looks for the name of the class
            checkpoint[type(self.trainer.datamodule).__qualname__] = checkpoint[DATA]
        if WEIGHTS in checkpoint:
            check_same_model(self.state_dict(), checkpoint[WEIGHTS])
        for state in checkpoint.get(PRUNING, []):
            restore_channels(self, (state["masks"] or {}).get("keep", {}))

    def _check_optimization(self, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint.get(OPTIMIZATION, {})
        for key, name in self.optimization.names.items():
            if saved.get(key) != name:
                raise UsageError(
                    f"{key} is {name or 'the default'}, but the checkpoint was trained with "
                    f"{saved.get(key) or 'the default'}. Resume with that, or start a new run."
                )
        if is_overridden("configure_optimizers", self, ViTClassifier):
            return
        theirs = checkpoint[HYPERPARAMETERS]
        groups = [group for state in checkpoint[OPTIMIZERS] for group in state["param_groups"]]
        if len(groups) != len(self.optimization.groups(self.net)):
            raise UsageError(
                "the optimizer groups differ from the checkpoint, which was trained with "
                f"model.weight_decay {theirs.get('weight_decay')} and model.layer_decay "
                f"{theirs.get('layer_decay')}. Resume with these, or start a new run."
            )
