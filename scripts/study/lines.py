"""The lines of the result tables: trainings and their evaluations, by key."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """What identifies a training."""

    row: str
    sparsity: float
    learning_rate: float
    seed: int

    @property
    def file_name(self) -> str:
        """Name of the files of this training, without a suffix."""
        parts = (self.row, self.sparsity, self.learning_rate, self.seed)
        return "_".join(str(part).replace(" ", "-").replace(",", "") for part in parts)


@dataclass(frozen=True)
class Training:
    """A training that is complete: a line of `trained.csv`.

    Args:
        key: What identifies it.
        images_seen: Images that passed through the model in training mode.
        seconds: Processor time of the training, of all threads; on a GPU, wall time.
        reached: Sparsity of the prunable layers at the end.
        parameters: Nonzero parameters of the whole model.
        chosen: Accuracy in [0, 1] on the half that chooses the learning rate.
        code: Commit of the code, empty where it is unknown.

    """

    key: Key
    images_seen: int
    seconds: int
    reached: float
    parameters: int
    chosen: float
    code: str


@dataclass(frozen=True)
class Score:
    """The evaluation of a training at the chosen learning rate: a line of `scored.csv`.

    Args:
        key: What identifies the training.
        scored: Accuracy in [0, 1] on the half that is reported.

    """

    key: Key
    scored: float
