"""Calibration on the training data of a Trainer."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.data import extract_batch_size
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.data import DataLoader

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate, sample
from vitprune.pruning.criteria.criterion import Criterion
from vitprune.training.probe import run_step, silenced, sum_over_ranks, to_device


def calibrate_on(
    trainer: Trainer,
    module: LightningModule,
    criterion: Criterion,
    layers: Sequence[Layer],
    images: int,
    seed: int,
) -> dict[str, Tensor]:
    """Return calibration statistics from the training data of a Trainer, by layer name.

    The loss is that of the module's `training_step`. The calibration images depend on the seed
    alone. Each rank runs its share of the batches; the sums are those of a single process. The
    precision is that of the training, except that 16-mixed runs in float32, where small gradients
    do not underflow.

    Args:
        trainer: Its data module may have `calibration_dataloader()`, with the training images
            without augmentation; otherwise the training data are used as they are.
        module: It is in evaluation mode during calibration and restored afterwards.
        criterion: See `calibrate`.
        layers: See `calibrate`.
        images: Number of calibration images.
        seed: Seed that selects them.

    Raises:
        UsageError: If the module optimizes manually, or the data cannot be indexed.

    """
    if not module.automatic_optimization:
        raise UsageError(
            "calibration needs a training_step that returns the loss, which manual optimization "
            "does not. Use a criterion without calibration, Magnitude for example."
        )
    with silenced(module), isolate_rng():  # a new iterator draws from the global generators
        losses = _losses(trainer, module, training_sample(trainer, images, seed))
        return calibrate(criterion, layers, losses, lambda total: sum_over_ranks(trainer, total))


def _precision(trainer: Trainer) -> AbstractContextManager[None]:
    """Return the precision of the training, unless its gradients need a loss scaler."""
    half = getattr(trainer.precision_plugin, "precision", None) == "16-mixed"
    return nullcontext() if half else trainer.precision_plugin.train_step_context()


def training_sample(trainer: Trainer, images: int, seed: int) -> Iterator[tuple[Any, bool]]:
    """Yield batches of calibration images, and whether each counts, for this rank."""
    own = getattr(getattr(trainer, "datamodule", None), "calibration_dataloader", None)
    loader = own() if own else trainer.train_dataloader
    if not isinstance(loader, DataLoader) or not hasattr(loader.dataset, "__len__"):
        raise UsageError(
            "calibration needs training data that can be indexed. Add a method "
            "calibration_dataloader() to the data module that returns a DataLoader over such a "
            "data set."
        )
    return sample(loader, images, seed, trainer.global_rank, trainer.world_size)


def _losses(
    trainer: Trainer, module: LightningModule, batches: Iterable[tuple[Any, bool]]
) -> Iterator[CalibrationBatch]:
    for index, (batch, counts) in enumerate(batches):
        batch = to_device(trainer, module, batch)

        def loss_of(batch: Any = batch, index: int = index) -> Tensor:
            with _precision(trainer):
                output = run_step(module.training_step, batch, index)
            return output["loss"] if isinstance(output, dict) else output

        yield CalibrationBatch(loss_of, extract_batch_size(batch), counts)
