"""What one round did, for the checkpoint, the report and people."""

from dataclasses import dataclass


@dataclass
class Round:
    """What one round did.

    Attributes:
        round: Its number, from 1.
        epoch: The epoch in which it pruned.
        step: The optimizer steps taken before it.
        target: The sparsity that the schedule asked for.
        sparsity: The sparsity that was reached, over the prunable weights.
        pruned: The monitored metric just after pruning; None if there was no validation then.
        finetuned: The monitored metric at the last validation of the round; None before the first.

    """

    round: int
    epoch: int
    step: int
    target: float
    sparsity: float
    pruned: float | None = None
    finetuned: float | None = None

    def line(self, rounds: int | None, monitor: str | None) -> str:
        """Return one line for people; `rounds` is the number of all rounds, where that is known."""
        number = f"{self.round}/{rounds}" if rounds else f"{self.round}"
        line = f"round {number}  epoch {self.epoch}  target {self.target:.2%}  reached {self.sparsity:.2%}"
        scores = {"after pruning": self.pruned, "after fine-tuning": self.finetuned}
        known = ", ".join(
            f"{score:.4f} {when}" for when, score in scores.items() if score is not None
        )
        return f"{line}  {monitor} {known}" if known else line
