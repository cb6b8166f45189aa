"""The proof, on a training batch, that the weights of each group are coupled in the model."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor

from vitprune.model.anatomy.layers import Layer
from vitprune.model.evaluation_mode import begin_evaluation
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.granularity.proof import check_coupling
from vitprune.training.lightning_internals import unlogged
from vitprune.training.probe import undisturbed
from vitprune.training.pruning.calibration import loss_on
from vitprune.training.restoring import tensors_restored


def prove_structure(
    trainer: Trainer,
    module: LightningModule,
    granularity: Granularity,
    layers: Sequence[Layer],
    batch: Any,
) -> None:
    """Check that heads, their dimensions and neurons are coupled as their records say.

    Skipped if groups lie within single layers, if weights are sharded, or if no loss of the batch
    can be computed: the module optimizes manually or draws its batches itself.

    Cost: two runs of `training_step` for each class of attentions and MLPs.

    Args:
        trainer: Trainer, for its precision.
        module: Module, in evaluation mode during the check; its mode and weights are restored.
        granularity: How the layers are grouped.
        layers: Layers to prune.
        batch: Batch on the device.

    Raises:
        UsageError: See `check_coupling`.

    """
    groupings = [each for each in granularity.groupings(layers) if len(each.layers) > 1]
    sharded = any(isinstance(layer.weight, DTensor) for layer in layers)
    if not groupings or sharded or not module.automatic_optimization or batch is None:
        return

    def loss() -> Tensor:
        found = loss_on(trainer, module, batch)
        return torch.zeros(()) if found is None else found

    with (
        undisturbed(trainer, module),
        unlogged(module),
        tensors_restored([each for each in module.parameters() if not each.requires_grad]),
        torch.compiler.set_stance("force_eager"),
    ):
        begin_evaluation(module)
        check_coupling(module, groupings, loss)
