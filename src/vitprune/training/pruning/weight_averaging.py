"""Moving averages of the weights, which must have the current masks."""

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging

from vitprune.errors import UsageError
from vitprune.pruning import masks
from vitprune.training.lightning_internals import averaged_module, averages_buffers, is_a


def check_weight_averaging(trainer: Trainer, pruning: Callback, *, restores_weights: bool) -> None:
    """Raise `UsageError` if a weight average cannot follow the masks or restored weights.

    Args:
        trainer: The trainer with the callbacks.
        pruning: The pruning callback among them.
        restores_weights: Whether it restores earlier weights, which an average does not follow.

    """
    for averaging in _averages(trainer):
        name = type(averaging).__name__
        if is_a(trainer.strategy, "ModelParallelStrategy"):
            raise UsageError(f"{name} cannot average sharded parameters. Remove it, or use ddp.")
        if restores_weights:
            raise UsageError(
                f"{name} does not follow restored weights (AccuracyGuarded, Weights). Remove one "
                "of them."
            )
        if averages_buffers(averaging):
            raise UsageError(f"{name} would average the masks. Set its use_buffers to False.")
        if trainer.callbacks.index(averaging) < trainer.callbacks.index(pruning):
            raise UsageError(f"{name} must stand after IterativePruning in the list of callbacks.")


def share_masks(trainer: Trainer, module: LightningModule) -> None:
    """Copy the masks of a module to its averages, which are validated before their next update."""
    for averaging in _averages(trainer):
        masks.copy_masks(module, averaged_module(averaging))


def _averages(trainer: Trainer) -> list[WeightAveraging]:
    return [callback for callback in trainer.callbacks if is_a(callback, "WeightAveraging")]
