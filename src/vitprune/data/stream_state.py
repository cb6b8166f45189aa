"""Where the workers of a stream continue: small, and sent along with every batch."""

from dataclasses import asdict, dataclass, field
from typing import Any

from vitprune.errors import UsageError


@dataclass(frozen=True)
class WorkerState:
    """Where one worker continues.

    Attributes:
        rows: State of the rows at the beginning of the block, as `datasets` returns it; None at
            the beginning of the shards.
        block: Number of the block.
        served: Images of the block that are used.

    """

    rows: dict[str, Any] | None = None
    block: int = 0
    served: int = 0


@dataclass
class StreamState:
    """Where all workers of one rank continue.

    Attributes:
        used: Batches used so far.
        workers: Number of workers that read them.
        states: State of each worker that has served a batch, by its number.

    """

    used: int = 0
    workers: int = 1
    states: dict[int, WorkerState] = field(default_factory=dict)

    def advance(self, worker: int, workers: int, state: WorkerState) -> None:
        """Note that a batch of a worker is used now, and where that worker continues after it."""
        self.used += 1
        self.workers = workers
        self.states[worker] = state

    def state_dict(self) -> dict[str, Any]:
        """Return the state in plain types."""
        return asdict(self)

    @classmethod
    def from_state_dict(cls, state: dict[str, Any], workers: int) -> "StreamState":
        """Return the state of a checkpoint.

        Args:
            state: See `state_dict`.
            workers: Number of workers of this run; 0 reads in the main process.

        Raises:
            UsageError: If another number of workers shared the shards.

        """
        if state["used"] and state["workers"] != max(1, workers):
            raise UsageError(
                f"the checkpoint's stream was read by {state['workers']} workers, but this run has "
                f"{workers}. Resume with data.num_workers {state['workers']}."
            )
        states = {worker: WorkerState(**one) for worker, one in state["states"].items()}
        return cls(state["used"], state["workers"], states)
