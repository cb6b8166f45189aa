"""Knowledge distillation from a teacher model."""

from typing import Any, final

import torch
import torch.nn.functional as F
from lightning import Trainer
from torch import Tensor, nn
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import find_structure
from vitprune.model.channels import KeptChannels
from vitprune.model.hidden_states import HiddenStates
from vitprune.model.trial import trial_shape, why_refused


@final
class Distillation:
    """Distillation loss: (1 - weight) * loss + weight * T^2 KL(teacher || student).

    The teacher is frozen, in evaluation mode, in the precision of the Trainer, and not saved in
    checkpoints. It gets the images as the student's image processor normalises them.

    Source: Hinton et al. 2015; with hidden states, Jiao et al. 2020.
    Cost: one forward pass of the teacher per batch, and its parameters in the memory of every rank.

    Args:
        teacher: Hub name, folder or `digits`; by default `model.pretrained`, the dense model.
        weight: Weight of the distillation loss, in (0, 1].
        temperature: Temperature T > 0 of the softmax; a high one gives wrong classes more weight.
        hidden_weight: Weight of the mean squared error of the hidden states after each block,
            relative to the mean square of the teacher's; 0 disables it. Needs a teacher with
            hidden states of the same number and shapes. Channels that are pruned do not count.
        normalize_hidden: Whether each token is normalised to mean 0 and variance 1 over its
            channels before it is compared, so that all tokens count alike, whatever their scale.

    """

    def __init__(
        self,
        teacher: str | None = None,
        weight: float = 0.5,
        temperature: float = 2.0,
        hidden_weight: float = 10.0,
        *,
        normalize_hidden: bool = True,
    ) -> None:
        if not 0 < weight <= 1:
            raise UsageError(f"model.distillation.weight must lie in (0, 1], not {weight}.")
        if temperature <= 0:
            raise UsageError(f"model.distillation.temperature must be positive, not {temperature}.")
        if hidden_weight < 0:
            raise UsageError(
                f"model.distillation.hidden_weight must not be negative, but is {hidden_weight}."
            )
        self.teacher = teacher
        self.weight = weight
        self.temperature = temperature
        self.hidden_weight = hidden_weight
        self.normalize_hidden = normalize_hidden
        self._net: PreTrainedModel | None = None
        self._ours: HiddenStates | None = None
        self._theirs: HiddenStates | None = None
        self._norm: nn.Module | None = None  # of the student

    @property
    def wants_hidden_states(self) -> bool:
        """Whether hidden states are compared too."""
        return self.hidden_weight > 0

    def begin(self, net: PreTrainedModel, student: PreTrainedModel, trainer: Trainer) -> None:
        """Use a loaded teacher, on the device and in the precision of the student.

        Raises:
            UsageError: If it does not fit the student.

        """
        _check_same("num_labels", net.config.num_labels, student.config.num_labels)
        shape = trial_shape(student.config)
        if (reason := why_refused(net, *shape[1:])) is not None:
            raise UsageError(
                f"the teacher of model.distillation cannot process images of {shape[1]}x{shape[2]} "
                f"pixels ({reason}). Use another model.distillation.teacher."
            )
        if self.wants_hidden_states:
            stream = find_structure(student).stream
            self._norm = None if stream.obstacle else stream.first_norm.module
            self._ours = HiddenStates.of(student, shape)
            self._theirs = HiddenStates.of(net, shape)
            hint = " Set model.distillation.hidden_weight to 0 to allow this."
            ours, theirs = self._ours.shapes, self._theirs.shapes
            _check_same("number of hidden states", len(theirs), len(ours), hint)
            for pair in zip(theirs, ours, strict=True):
                _check_same("hidden states of shape", *pair, hint)
        net = trainer.precision_plugin.convert_module(
            net.eval().requires_grad_(requires_grad=False)
        )
        self._net = net.to(trainer.strategy.root_device)

    def loss(self, pixel_values: Tensor, outputs: Any, loss: Tensor) -> Tensor:
        """Return the loss including distillation.

        Args:
            pixel_values: Batch of images, (B, 3, H, W).
            outputs: Output of the student: `logits`, (B, classes), and possibly `hidden_states`.
            loss: Loss of the student without distillation.

        """
        assert self._net is not None
        with torch.no_grad():
            target = self._net(
                pixel_values=pixel_values, output_hidden_states=self.wants_hidden_states
            )
        student, teacher = (
            F.log_softmax(x.logits.float() / self.temperature, dim=1) for x in (outputs, target)
        )
        distilled = (
            F.kl_div(student, teacher, reduction="batchmean", log_target=True) * self.temperature**2
        )
        total = (1 - self.weight) * loss + self.weight * distilled
        if self._ours and self._theirs:
            pairs = zip(self._ours.select(outputs), self._theirs.select(target), strict=True)
            errors = [self._error(ours, theirs) for ours, theirs in pairs]
            total = total + self.hidden_weight * torch.stack(errors).mean()
        return total

    def _error(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Return the relative mean squared error of the student's kept channels."""
        if theirs.ndim == 4:  # feature maps, (B, channels, height, width)
            ours, theirs = ours.movedim(1, -1), theirs.movedim(1, -1)
        if channels := self._norm and KeptChannels.of(self._norm):
            keep = channels.keep.to(theirs.device)
            ours, theirs = ours[..., keep], theirs[..., keep]
        if self.normalize_hidden:
            ours, theirs = (F.layer_norm(x.float(), x.shape[-1:]) for x in (ours, theirs))
        return F.mse_loss(ours, theirs) / theirs.square().mean()


def _check_same(field: str, of_teacher: Any, of_student: Any, hint: str = "") -> None:
    if of_teacher != of_student:
        raise UsageError(
            f"the teacher of model.distillation has {field} {of_teacher}, but the model has "
            f"{of_student}.{hint}"
        )
