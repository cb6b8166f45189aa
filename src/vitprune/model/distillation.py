"""Let a model learn from another one while it trains: its teacher."""

from typing import Any, final

import torch
import torch.nn.functional as F
from lightning import Trainer
from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.model.anatomy.blocks import vision_config


@final
class Distillation:
    """Add the teacher's opinion to the loss: (1 - weight) * loss + weight * T^2 KL(teacher ||
    student), at temperature T.

    Source: Hinton et al. 2015; with hidden states, Jiao et al. 2020. The teacher is frozen, in
    evaluation mode, in the trainer's precision and in no checkpoint. It sees the images as the
    model's own processor normalises them. Costs one forward pass of the teacher a batch, and its
    parameters in the memory of every rank.

    Args:
        teacher: Hub name, folder or `digits`; by default `model.pretrained`, the dense model that
            training sets out from.
        weight: Share of the teacher in the loss, in (0, 1].
        temperature: T > 0; a high one also teaches how the wrong classes compare.
        hidden_weight: Weight of the squared differences of the hidden states after each block,
            relative to the teacher's squares; 0 for none. Needs a teacher of the same width, depth
            and patch size.

    """

    def __init__(
        self,
        teacher: str | None = None,
        weight: float = 0.5,
        temperature: float = 2.0,
        hidden_weight: float = 10.0,
    ) -> None:
        if not 0 < weight <= 1:
            raise UsageError(f"model.distillation.weight must lie in (0, 1], not {weight}.")
        if temperature <= 0 or hidden_weight < 0:
            raise UsageError(
                "model.distillation needs a positive temperature and no negative hidden_weight."
            )
        self.teacher, self.weight, self.temperature, self.hidden_weight = (
            teacher,
            weight,
            temperature,
            hidden_weight,
        )
        self._net: PreTrainedModel | None = None

    @property
    def wants_hidden_states(self) -> bool:
        """Whether it compares hidden states too."""
        return self.hidden_weight > 0

    def begin(self, net: PreTrainedModel, student: PreTrainedModel, trainer: Trainer) -> None:
        """Take a loaded teacher, and bring it to where the student is going to be.

        Raises:
            UsageError: If it does not fit the student.

        """
        ours, theirs = student.config, net.config
        _check_same("num_labels", theirs.num_labels, ours.num_labels)
        for field in (
            ("hidden_size", "num_hidden_layers", "patch_size") if self.wants_hidden_states else ()
        ):
            of_teacher, of_student = (
                getattr(vision_config(config), field, None) for config in (theirs, ours)
            )
            _check_same(field, of_teacher, of_student, " With hidden_weight 0 it may.")
        net = trainer.precision_plugin.convert_module(net.eval().requires_grad_(False))
        self._net = net.to(trainer.strategy.root_device)

    def loss(self, pixel_values: Tensor, outputs: Any, loss: Tensor) -> Tensor:
        """Return the loss with the teacher's part in it.

        Args:
            pixel_values: The batch that the student saw, (B, 3, H, W).
            outputs: What the student made of it: `logits`, (B, classes), and perhaps
                `hidden_states`.
            loss: Its loss without a teacher.

        """
        assert self._net is not None
        with torch.no_grad():
            taught = self._net(
                pixel_values=pixel_values, output_hidden_states=self.wants_hidden_states
            )
        student, teacher = (
            F.log_softmax(x.logits.float() / self.temperature, dim=1) for x in (outputs, taught)
        )
        opinion = (
            F.kl_div(student, teacher, reduction="batchmean", log_target=True) * self.temperature**2
        )
        total = (1 - self.weight) * loss + self.weight * opinion
        if self.wants_hidden_states:
            pairs = zip(outputs.hidden_states[1:], taught.hidden_states[1:], strict=True)
            errors = [F.mse_loss(ours, theirs) / theirs.square().mean() for ours, theirs in pairs]
            total = total + self.hidden_weight * torch.stack(errors).mean()
        return total


def _check_same(field: str, of_teacher: Any, of_student: Any, hint: str = "") -> None:
    if of_teacher != of_student:
        raise UsageError(
            f"the teacher of model.distillation has {field} {of_teacher}, the model "
            f"{of_student}.{hint}"
        )
