"""When: the callback that prunes round by round and keeps the masks active while a model trains."""

import os
from typing import Any, final

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from vitprune.model.anatomy.layers import Layer
from vitprune.model.channels import restore_channels
from vitprune.model.sameness import check_plain
from vitprune.pruning.allocation.allocation import Allocation
from vitprune.pruning.budget.budget import Budget
from vitprune.pruning.budget.costs import Costs
from vitprune.pruning.compensation import Compensation
from vitprune.pruning.coverage import describe_coverage
from vitprune.pruning.criteria.calibration import accumulate_step
from vitprune.pruning.criteria.criterion import Criterion
from vitprune.pruning.granularity.granularity import Granularity
from vitprune.pruning.layer_selection import LayerSelection
from vitprune.pruning.masks import Masks
from vitprune.pruning.masks.masks import State
from vitprune.pruning.masks.sharding import place, reshard
from vitprune.pruning.method import Method
from vitprune.pruning.regrow import RigL
from vitprune.pruning.schedules.schedule import Schedule
from vitprune.pruning.sparsity import measure
from vitprune.runs.checkpoint import PRUNING
from vitprune.training.probe import announce
from vitprune.training.pruning.accuracy_guarded import AccuracyGuarded
from vitprune.training.pruning.calibration import calibration_loader
from vitprune.training.pruning.checks import (
    check_disjoint,
    check_layers,
    check_steps,
    check_training,
    pruned_parameters,
)
from vitprune.training.pruning.costs import costs_on, within_budget
from vitprune.training.pruning.dense import evaluate_dense
from vitprune.training.pruning.one_round import prune_round, record_metric
from vitprune.training.pruning.rate_search import check_held_out
from vitprune.training.pruning.rewind.rewind import Rewind
from vitprune.training.pruning.round_log import end_round, label, log_scalars, prefix
from vitprune.training.pruning.search import start
from vitprune.training.pruning.selection import select_layers
from vitprune.training.pruning.settings import PruningSettings, check_settings
from vitprune.training.pruning.state import PruningState, saved_states
from vitprune.training.pruning.structure import prove_structure
from vitprune.training.pruning.unfinished import warn_if_unfinished
from vitprune.training.pruning.weight_averages import zero_averages
from vitprune.training.trained import trained_parameters


@final
class IterativePruning(Callback):
    """Prune at the start of epochs (or steps) and fine-tune with the masks active in between.

    Works with any LightningModule: `Trainer(callbacks=[IterativePruning(Cubic(0.8, end=8))])`.
    The weights stay ordinary parameters, whose pruned entries are zero. Hooks keep them at zero:
    their gradients are zero before gradient clipping or an optimizer reads them (except with
    `Movement`), and they are set to zero after every optimizer step. `masks.remove()` removes the
    hooks after training and changes no value. Weights that are zero when a run begins are pruned,
    so a sparse export can be fine-tuned and pruned further (`Movement` and `RigL` can regrow
    weights). A round runs as soon as it is due and not done, so a resume never skips or
    repeats one. Layers are selected when training begins, among those that an optimizer trains.
    Several of these callbacks may prune different layers of one module.

    Args:
        schedule: Sparsity schedule, or `AccuracyGuarded`.
        criterion: Importance scores of the weights; `Magnitude()` by default.
        granularity: Pruning granularity: the group of weights that is pruned as one; `Element()`
            by default.
        allocation: How the sparsity is divided among the layers; `Uniform()` by default, or
            `Global()` for `Branch` and `Width`, also in `Combined`.
        budget: What the sparsities of the schedule are fractions of; the weights of the pruned
            layers by default.
        layers: Layers to prune, among those that an optimizer trains; by default those of the
            granularity, else all attentions and MLPs. In a model without any: all linear and
            convolutional layers but the stem, the classifier and depthwise convolutions.
        rewind: Weight or learning-rate rewinding after each round; none by default.
        regrow: Rule by which pruned weights regrow, such as `RigL()`; by default they stay pruned
            (except with the criterion `Movement`).
        compensation: How the remaining weights compensate for pruned heads, neurons and branches;
            not at all by default.
        calibration_images: Number of training images for calibration statistics, for criteria that
            need them and for compensation.
        monitor: Validation metric recorded for the dense model and for each round; null records
            none.
        validate_after_pruning: Whether each round is also validated just after pruning, at the
            cost of one pass over the validation data. Set it to false for many rounds.
        seed: Seed of random scores and of the calibration images; by default that of
            `seed_everything`, or 42.

    Attributes:
        settings: The arguments, with criterion, granularity, allocation, budget and compensation
            as one method.
        state: The progress of pruning, as a checkpoint stores it.
        layers: The layers that are pruned; empty before training.
        masks: The masks of these layers; without layers before training.
        costs: What the model costs, by unit, if the budget does not count single weights; empty
            before training.

    """

    def __init__(  # noqa: PLR0913  # each is a key of `pruning:`
        self,
        schedule: Schedule | AccuracyGuarded,
        criterion: Criterion | None = None,
        granularity: Granularity | None = None,
        allocation: Allocation | None = None,
        budget: Budget | None = None,
        layers: LayerSelection | None = None,
        rewind: Rewind | None = None,
        regrow: RigL | None = None,
        compensation: Compensation | None = None,
        calibration_images: int = 256,
        monitor: str | None = "val/accuracy",
        *,
        validate_after_pruning: bool = True,
        seed: int | None = None,
    ) -> None:
        self.settings = PruningSettings(
            schedule=schedule,
            method=Method(criterion, granularity, allocation, budget, compensation),
            layers=layers or LayerSelection(),
            rewind=rewind,
            regrow=regrow,
            calibration_images=calibration_images,
            monitor=monitor,
            validate_after_pruning=validate_after_pruning,
            seed=int(os.environ.get("PL_GLOBAL_SEED", 42)) if seed is None else seed,
        )
        self.layers: list[Layer] = []
        self.masks = Masks([])
        self.costs: dict[str, Costs] = {}
        self.state = PruningState(start(schedule))
        self._saved_masks: State | None = None
        self._module: LightningModule | None = None
        self._old_masks_hook: RemovableHandle | None = None
        self._has_warned = False
        self._has_ended = False

    # ---- before training

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Reset the state if the module is another one than in the last `fit`."""
        if stage == "fit":
            self._has_ended = False
            if pl_module is not self._module:
                self._module = pl_module
                self._forget()
            self.state.number = pruning_callbacks(trainer).index(self) + 1
            if self._old_masks_hook:  # of a fit that failed early
                self._old_masks_hook.remove()
            self._old_masks_hook = pl_module.register_load_state_dict_pre_hook(_refuse_old_masks)

    def _forget(self) -> None:
        self.masks.remove()
        self.masks = Masks([])
        self.state = PruningState(start(self.settings.schedule), self.state.number)
        self._saved_masks = None
        self._has_warned = False

    def check(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Select the layers without changing the model.

        Raises:
            UsageError: If these layers cannot be pruned with these settings, in this training.

        """
        resumed = self._saved_masks["keep"] if self._saved_masks else None
        self.layers = select_layers(trainer, pl_module, self.settings, resumed)
        check_layers(self.settings, self.layers, pl_module)
        check_training(self.settings, self.layers, trainer, pl_module)
        callbacks = pruning_callbacks(trainer)
        ours = pruned_parameters(self.settings.method, self.layers)
        for other in callbacks[: self.state.number - 1]:
            check_disjoint(ours, pruned_parameters(other.settings.method, other.layers))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the settings before anything runs; do not train on after the end of a search."""
        self.check(trainer, pl_module)
        if self.state.search and self.state.search.ended:
            announce("The pruning schedule of this checkpoint is complete; no training is left.")
            trainer.should_stop = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Create or restore the masks, and evaluate the dense model before the first round."""
        if self._old_masks_hook:
            self._old_masks_hook.remove()
        check_steps(self.settings.schedule, trainer)
        if self.settings.calibrates:
            calibration_loader(trainer, pl_module)
        check_held_out(trainer, pl_module, self.settings)
        reshard(pl_module)
        self.check(trainer, pl_module)  # modules may have been frozen since
        self._hold(trainer)
        if self.settings.rewind and not trainer.fast_dev_run:
            self.settings.rewind.prepare(trainer, self.settings.schedule)
        self._count_costs(trainer, pl_module)
        if self.state.dense_zeros is None:
            coverage = describe_coverage(pl_module, self.layers, trained_parameters(trainer))
            announce(f"{prefix(self.state.number)}{coverage}")
            evaluate_dense(trainer, pl_module, self.masks, self.settings, self.state, self._budget)

    def _count_costs(self, trainer: Trainer, module: LightningModule) -> None:
        """Count what the model costs, and give the schedule the end that the budget asks for."""
        settings = self.settings
        self.costs = costs_on(trainer, module, settings.method, self.layers, settings.seed)
        if isinstance(settings.schedule, Schedule):
            self.state.plan = within_budget(
                settings.schedule, settings.method, self.layers, self._budget
            )

    @property
    def _budget(self) -> Costs | None:
        return self.costs.get(self.settings.method.budget.unit)

    def _hold(self, trainer: Trainer) -> None:
        """Create the masks, restore them from a checkpoint, or continue with those of the last fit.

        Hooks then keep pruned entries at zero.
        """
        masked = [id(layer.weight) for layer in self.masks.layers]
        if self._saved_masks or masked != [id(layer.weight) for layer in self.layers]:
            self.masks.remove()
            self.masks = self.settings.method.masks(self.layers)
        if self._saved_masks:
            self.masks.load_state_dict(self._saved_masks)
            self._saved_masks = None
            if self.masks.channels is not None:  # as the norms of averages follow
                zero_averages(trainer, trainer.lightning_module, self.masks)
            weights = {layer.name: layer.weight for layer in self.layers}
            for name, statistic in self.state.statistics.items():
                self.state.statistics[name] = place(statistic, weights[name])
        self.masks.enforce(*trainer.optimizers)

    # ---- while training

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Prune if a round is due that is not done; decided by state, so no resume can miss it."""
        if self._saved_masks:  # a checkpoint was loaded within training, as by the LR finder
            self._hold(trainer)
        if batch_idx == 0:
            self._restore_zeros()
        else:
            self.masks.apply()
        if self.settings.rewind:
            self.settings.rewind.keep(trainer, pl_module, self.state.early_weights)
        in_epochs = self.settings.schedule.unit == "epoch"
        position = trainer.current_epoch if in_epochs else trainer.global_step
        due = self.state.plan.rounds_due(position)
        if due > len(self.state.rounds):
            if not self.state.rounds:
                granularity = self.settings.method.granularity
                prove_structure(trainer, pl_module, granularity, self.layers, batch)
            prune_round(trainer, pl_module, self.masks, self.settings, self.state, due, self.costs)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Undo what changed gradients of pruned weights after they were accumulated.

        With a straight-through criterion, put dense values into the weights instead, and observe
        them and their gradients, which are not clipped yet.
        """
        self.masks.before_step(optimizer)
        if self.masks.straight_through:
            trained = {id(mask.parameter) for mask in self.masks.trained_by(optimizer)}
            layers = [layer for layer in self.layers if id(layer.weight) in trained]
            accumulate_step(self.settings.method.criterion, layers, self.state.statistics)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the sparsity in the progress bar."""
        if self.masks.straight_through:  # still dense if a gradient scaler has skipped the step
            for optimizer in trainer.optimizers:
                self.masks.after_step(optimizer)
        if not trainer.barebones:  # which warns of whatever is logged
            name = f"sparsity{label(self.state.number)}"
            pl_module.log(name, self.state.sparsity, prog_bar=True, logger=False, batch_size=1)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Set pruned entries to zero that other hooks have changed before a validation."""
        if trainer.state.fn == "fit" and batch_idx == 0:
            self._restore_zeros()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the metric of the fine-tuned round."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        record_metric(trainer, pl_module, self.masks, self.settings, self.state)
        reached = measure(pl_module, self.layers)
        scalars = {"sparsity/target": self.state.target, **reached.scalars()}
        log_scalars(trainer, self.state.number, scalars)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the last round and its weights; a search ends with its last good state."""
        if self.state.search:
            rounds = len(self.state.rounds)
            self.state.search.settle(trainer, pl_module, self.masks, rounds)
        self._restore_zeros()
        if self.masks.straight_through:
            self.masks.enforce_gradients()  # nothing regrows any more
        self._end(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the last round if a resumed run had no training left, and so no end of training."""
        if not self._has_ended:
            self._end(trainer)

    def _end(self, trainer: Trainer) -> None:
        self._has_ended = True
        end_round(trainer, self.layers, self.state, self.settings)
        warn_if_unfinished(trainer, self.state)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Put the zeros back if the step of an optimizer failed, before a checkpoint is saved."""
        if self.masks.straight_through:
            self.masks.apply()

    def _restore_zeros(self) -> None:
        """Set pruned entries to zero that other code has changed; warn the first time."""
        names = self.masks.restore()
        if names and not self._has_warned:
            self._has_warned = True
            more = f" and {len(names) - 1} more parameters" if names[1:] else ""
            rank_zero_warn(
                f"pruned entries of {names[0]}{more} were changed outside of an optimizer step and "
                "are set to zero again. Further changes are undone without a warning."
            )

    # ---- checkpoints

    def _state(self) -> dict[str, Any]:
        """Return state, masks and settings, in types that `torch.load(weights_only=True)` reads."""
        masks = self.masks.state_dict() if self.masks.layers else self._saved_masks
        return {
            **self.state.state_dict(),
            "masks": masks,
            "settings": self.settings.describe(),
        }

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Append the state to the list of those of all pruning callbacks.

        Lightning stores what `state_dict` returns for only one callback of a class.
        """
        checkpoint.setdefault(PRUNING, []).append(self._state())

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the state; without one in the checkpoint, start with the first round.

        Raises:
            UsageError: If the checkpoint was saved with other settings, with more pruning callbacks
                or by an earlier version.

        """
        if trainer.state.fn != "fit":
            for state in checkpoint.get(PRUNING, []):
                restore_channels(pl_module, (state["masks"] or {}).get("keep", {}))
            return
        self._forget()
        callbacks = pruning_callbacks(trainer)
        states = saved_states(checkpoint, len(callbacks))
        number = callbacks.index(self)
        if number < len(states):  # else it is new
            check_settings(states[number], self.settings)
            self.state.load_state_dict(states[number])
            self._saved_masks = states[number]["masks"]


def pruning_callbacks(trainer: Trainer) -> list[IterativePruning]:
    """Return the pruning callbacks of a trainer, in their order."""
    return [callback for callback in trainer.callbacks if isinstance(callback, IterativePruning)]


def _refuse_old_masks(module: nn.Module, state: dict[str, Any], *_: Any) -> None:
    check_plain(state)
