"""Stop a run whose loss is not finite."""

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from vitprune.errors import UsageError

KEPT = (
    "The last good checkpoint is kept. Try a lower model.learning_rate or "
    "trainer.gradient_clip_val 1.0, or check the data."
)


class StopOnNaN(Callback):
    """Stop at the first loss that is NaN or infinite, before it reaches the weights."""

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Check the loss."""
        bad = not loss.isfinite().all()
        if trainer.world_size > 1:  # all ranks stop, or the others would wait
            bad = trainer.strategy.reduce_boolean_decision(bad, all=False)
        if bad:
            raise UsageError(
                f"the loss is {float(loss.detach())} in epoch {trainer.current_epoch}, batch "
                f"{trainer.fit_loop.batch_idx}, after optimizer step {trainer.global_step} (rank "
                f"{trainer.global_rank} of {trainer.world_size}). {KEPT}"
            )
