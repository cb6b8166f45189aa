"""What comes of a schedule that follows the metric: training goes on from here, or from the last good state."""

from lightning import LightningModule, Trainer
from torch import Tensor

from vitprune.pruning.masks.sharding import restore, snapshot
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.training.probe import announce


class GoodState:
    """The weights and masks that such a schedule last found good.

    Args:
        schedule: Judges every validation.

    Attributes:
        tensors: The state of the module then, whole and on the CPU.

    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.tensors: dict[str, Tensor] = {}

    def keep(self, module: LightningModule) -> None:
        """Take the module as it is for good."""
        self.tensors = snapshot(module.state_dict())

    def judge(self, trainer: Trainer, module: LightningModule, metric: float, dense: float) -> None:
        """Let the schedule decide by the metric, now and of the dense model; it may end the training."""
        if self.schedule.observe(metric, dense):
            self.keep(module)
        trainer.should_stop = trainer.should_stop or self.schedule.ended

    def go_back(self, trainer: Trainer, module: LightningModule) -> None:
        """Put weights and masks back; optimizers start afresh."""
        restore(module.state_dict(), self.tensors)
        for optimizer in trainer.optimizers:
            optimizer.state.clear()

    def settle(self, trainer: Trainer, module: LightningModule, good_now: bool) -> None:
        """End the training with it unless the module is good now, and say so if the schedule would have gone on."""
        if not good_now:
            self.go_back(trainer, module)
        if not self.schedule.ended:
            announce(
                "training ended before its schedule did, which may get further with more epochs "
                "(trainer.max_epochs)"
            )
