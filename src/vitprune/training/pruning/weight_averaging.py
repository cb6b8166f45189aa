"""A moving average of the weights beside the masks: it averages weights, and has the masks of now."""

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import ModelParallelStrategy

from vitprune.errors import UsageError
from vitprune.pruning import masks


def check_weight_averaging(trainer: Trainer, pruning: Callback, goes_back: bool) -> None:
    """Refuse an average that would blend masks, or that cannot have any.

    Args:
        trainer: Has the callbacks.
        pruning: One of them.
        goes_back: Whether it puts back earlier weights, which an average knows nothing of.

    """
    for averaging in _averages(trainer):
        if isinstance(trainer.strategy, ModelParallelStrategy):
            raise UsageError(
                f"{type(averaging).__name__} cannot average a model whose parameters are sharded."
            )
        if goes_back:
            raise UsageError(
                f"{type(averaging).__name__} does not follow weights that go back "
                "(AccuracyGuarded, Weights)."
            )
        if averaging._use_buffers:
            raise UsageError(
                f"{type(averaging).__name__} needs use_buffers=False with pruning, or it averages "
                "masks as well."
            )
        if trainer.callbacks.index(averaging) < trainer.callbacks.index(pruning):
            raise UsageError(
                f"{type(averaging).__name__} must stand after IterativePruning in the list of "
                "callbacks."
            )


def hand_on_masks(trainer: Trainer, module: LightningModule) -> None:
    """Give the masks of a module to its average, which would have them only with its next update, and validates before that."""
    for averaging in _averages(trainer):
        assert averaging._average_model is not None
        masks.copy_masks(module, averaging._average_model.module)


def _averages(trainer: Trainer) -> list[WeightAveraging]:
    return [callback for callback in trainer.callbacks if isinstance(callback, WeightAveraging)]
