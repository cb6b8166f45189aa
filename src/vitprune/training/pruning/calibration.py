"""Calibration on the training data of a Trainer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.utilities.data import extract_batch_size
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor
from torch.utils.data import DataLoader

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.model.evaluation_mode import begin_evaluation
from vitprune.pruning.criteria.calibration import CalibrationBatch, Observer, calibrate, sample
from vitprune.training.lightning_internals import before_batch_transfer, unlogged
from vitprune.training.probe import undisturbed
from vitprune.training.restoring import tensors_restored


def calibrate_on(
    trainer: Trainer,
    module: LightningModule,
    criterion: Observer,
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
    with calibration_batches(trainer, module, images, seed) as batches:
        return calibrate(criterion, layers, batches, lambda total: sum_over_ranks(trainer, total))


@contextmanager
def calibration_batches(
    trainer: Trainer, module: LightningModule, images: int, seed: int
) -> Iterator[Iterator[CalibrationBatch]]:
    """Put a module into evaluation mode and yield its calibration batches; see `calibrate_on`."""
    check_training_step(module)
    frozen = [each for each in module.parameters() if not each.requires_grad]
    with (
        undisturbed(trainer, module),
        unlogged(module),
        tensors_restored(frozen),  # `training_step` may update an averaged teacher
    ):
        begin_evaluation(module)
        yield _losses(trainer, module, training_batches(trainer, module, images, seed))


def check_training_step(module: LightningModule) -> None:
    """Raise `UsageError` if a module optimizes manually, so that nothing returns its loss."""
    if not module.automatic_optimization:
        raise UsageError(
            "calibration needs a training_step that returns the loss, which manual optimization "
            "does not. Use a criterion without calibration, Magnitude for example."
        )


def _precision(trainer: Trainer) -> AbstractContextManager[None]:
    """Return the precision of the training, unless its gradients need a loss scaler."""
    half = getattr(trainer.precision_plugin, "precision", None) == "16-mixed"
    return nullcontext() if half else trainer.precision_plugin.train_step_context()


def training_sample(
    trainer: Trainer, module: LightningModule, images: int, seed: int, skipped: int = 0
) -> Iterator[tuple[Any, bool]]:
    """Yield batches of calibration images, and whether each counts, for this rank."""
    loader = calibration_loader(trainer, module)
    return sample(loader, images, seed, trainer.global_rank, trainer.world_size, skipped)


def calibration_loader(trainer: Trainer, module: LightningModule) -> DataLoader:
    """Return the loader of the calibration images.

    Raises:
        UsageError: If its data set cannot be indexed.

    """
    owners = (getattr(trainer, "datamodule", None), module)
    own = [found for owner in owners if (found := getattr(owner, "calibration_dataloader", None))]
    loader = own[0]() if own else trainer.train_dataloader
    if not isinstance(loader, DataLoader) or not hasattr(loader.dataset, "__len__"):
        raise UsageError(
            "calibration needs training data that can be indexed. Add a method "
            "calibration_dataloader() to the module or the data module that returns a DataLoader "
            "over such a data set."
        )
    return loader


def training_batches(
    trainer: Trainer, module: LightningModule, images: int, seed: int, skipped: int = 0
) -> Iterator[tuple[Any, bool]]:
    """Yield batches of calibration images on the device, and whether each counts; see `sample`."""
    iterating = is_param_in_hook_signature(module.training_step, "dataloader_iter", explicit=True)
    for batch, counts in training_sample(trainer, module, images, seed, skipped):
        if not iterating:  # which moves its batches itself
            batch = _to_device(trainer, module, batch)
        yield batch, counts


def _losses(
    trainer: Trainer, module: LightningModule, batches: Iterable[tuple[Any, bool]]
) -> Iterator[CalibrationBatch]:
    for index, (batch, counts) in enumerate(batches):

        def loss_of(batch: Any = batch, index: int = index) -> Tensor | None:
            return loss_on(trainer, module, batch, index)

        yield CalibrationBatch(loss_of, extract_batch_size(batch), counts)


def loss_on(trainer: Trainer, module: LightningModule, batch: Any, index: int = 0) -> Tensor | None:
    """Return the loss of a module's `training_step` on a batch; None if it skips the batch."""
    with _precision(trainer):
        return _loss(_run_step(module.training_step, batch, index))


def _to_device(trainer: Trainer, module: LightningModule, batch: Any) -> Any:
    """Move a batch from a loader to the device, as a Trainer does."""
    batch = trainer.precision_plugin.convert_input(batch)
    batch = before_batch_transfer(module, batch)
    return trainer.strategy.batch_to_device(batch, dataloader_idx=0)


def _run_step(step: Callable[..., Any], batch: Any, index: int) -> Any:
    """Run a module's step with the arguments that it takes, as Lightning does."""
    if is_param_in_hook_signature(step, "dataloader_iter", explicit=True):
        try:
            return step(iter([(batch, index, 0)]))
        except StopIteration:
            raise UsageError(
                "calibration needs a training_step that takes one batch from dataloader_iter; this "
                "one takes more. Use a criterion without calibration, Magnitude for example."
            ) from None
    if is_param_in_hook_signature(step, "batch_idx", min_args=2):
        return step(batch, index)
    return step(batch)


def _loss(output: Any) -> Tensor | None:
    """Return the loss in the output of a `training_step`; None if it skips the batch."""
    loss = output.get("loss") if isinstance(output, Mapping) else output
    if output is None or isinstance(loss, Tensor):
        return loss
    found = f"keys {sorted(output)}" if isinstance(output, Mapping) else type(output).__name__
    raise UsageError(
        "training_step must return the loss, a dict with the loss under the key 'loss', or None to "
        f"skip the batch; it returned {found}."
    )


def sum_over_ranks(trainer: Trainer, value: Tensor) -> Tensor:
    """Return the sum of a tensor over all ranks."""
    if trainer.world_size == 1:
        return value
    reduced = trainer.strategy.reduce(value.to(trainer.strategy.root_device), reduce_op="sum")
    assert isinstance(reduced, Tensor)
    return reduced.to(value.device)
