"""What one round did, for the checkpoint, the report and the log."""

from dataclasses import dataclass, field

from vitprune.runs.rounds import in_units


@dataclass
class Round:
    """What one round did.

    Attributes:
        round: Its number, from 1.
        epoch: The epoch in which it pruned.
        step: The optimizer steps before it.
        target: The target: the fraction of the budget to remove, in [0, 1).
        sparsity: The sparsity reached, over the prunable weights.
        removed: The fraction of the budget that is removed. It is the sparsity, unless the budget
            counts something else.
        left: What the model costs after its pruned structure is removed, by unit; empty if the
            budget counts weights.
        pruned: The monitored metric just after pruning; None without a validation at that time.
        finetuned: The monitored metric at the last validation of the round; None before the first.

    """

    round: int
    epoch: int
    step: int
    target: float
    sparsity: float
    removed: float
    left: dict[str, float] = field(default_factory=dict)
    pruned: float | None = None
    finetuned: float | None = None

    def line(self, rounds: int | None, monitor: str | None) -> str:
        """Return the log line of the round; the target only where it differs.

        Args:
            rounds: The number of all rounds; None if it is not known.
            monitor: Name of the metric.

        """
        number = f"{self.round}/{rounds}" if rounds else f"{self.round}"
        reached = f"{self.removed:.2%}"
        target = f"{self.target:.2%}"
        what = "removed" if self.left else "sparsity"
        line = f"round {number} epoch {self.epoch} {what} {reached}"
        if reached != target:
            line += f" (target {target})"
        if self.left:
            line += " " + ", ".join(f"{in_units(cost)} {unit}" for unit, cost in self.left.items())
        metrics = {"after pruning": self.pruned, "after fine-tuning": self.finetuned}
        known = [f"{value:.4f} {when}" for when, value in metrics.items() if value is not None]
        return f"{line} {monitor} {', '.join(known)}" if known else line
