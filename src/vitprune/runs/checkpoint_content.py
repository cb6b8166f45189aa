"""The keys of a training checkpoint that this package and Lightning read, as types.

The classes only validate: the content is used as it was saved.
"""

import random
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from torch import Tensor


class _Content(BaseModel):
    """Part of a checkpoint; keys that are not named are ignored."""

    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)


def _check_torch(state: Tensor) -> Tensor:
    try:
        torch.Generator().set_state(state)
    except (RuntimeError, TypeError) as error:
        raise ValueError("it is not the state of a random generator of torch") from error
    return state


def _check_python(state: Any) -> Any:
    try:
        random.Random().setstate(state)  # nothing is drawn
    except (ValueError, TypeError) as error:
        raise ValueError("it is not the state of Python's random generator") from error
    return state


def _check_bits(bits: Tensor) -> Tensor:
    if bits.dtype != torch.uint8 or bits.ndim != 1:
        raise ValueError(f"it is not a mask in bits, but {bits.dtype} of shape {tuple(bits.shape)}")
    return bits


def _check_search(search: dict[str, Any]) -> dict[str, Any]:
    needed = {"highest", "targets", "good_sparsity", "step", "failures", "is_good", "retreating"}
    missing = {*needed, "good", "good_masks"} - search.keys()
    if search and missing:
        raise ValueError(f"it has no {min(missing)!r}")
    return search


class _Generators(_Content):
    torch: Annotated[Tensor, AfterValidator(_check_torch)]
    cuda: list[Tensor]
    numpy: tuple[str, Tensor, int, int, float]
    python: Annotated[Any, AfterValidator(_check_python)]


class _Position(_Content):
    epoch: int = Field(ge=0)
    batches: int = Field(ge=0)
    images_at_a_time: int = 1
    streams: list[dict[str, Any]] = []


class _BestMetric(_Content):
    best_score: float | None
    best_sparsity: float


START = _Position(epoch=0, batches=0)
NO_BEST = _BestMetric(best_score=None, best_sparsity=0.0)


class _Callbacks(_Content):
    checkpoints: _BestMetric = Field(NO_BEST, alias="RunCheckpoints")


class _Hyperparameters(_Content):
    pretrained: str | None = None


class Content(_Content):
    """The keys that every checkpoint of Lightning has, and the types of optional ones."""

    version: str = Field(alias="pytorch-lightning_version", pattern=r"^\d+\.\d+")
    state_dict: dict[str, Tensor]
    global_step: int = Field(ge=0)
    epoch: int = Field(0, ge=0)
    loops: dict[str, Any]
    hyper_parameters: _Hyperparameters = _Hyperparameters()
    callbacks: _Callbacks | None = None
    position: _Position = Field(START, alias="ImageData")
    images_seen: int = 0
    metrics: list[dict[str, dict[str, Any]]] = []
    optimization: dict[str, str | None] = {}
    commands: list[str] = []
    pruning: list[dict[str, Any]] = []
    generators: list[_Generators] = []


class _Round(_Content):
    model_config = ConfigDict(extra="forbid")

    round: int
    epoch: int
    step: int
    target: float
    sparsity: float
    removed: float
    left: dict[str, float]
    pruned: float | None
    finetuned: float | None


class _Masks(_Content):
    keep: dict[str, Annotated[Tensor, AfterValidator(_check_bits)]]
    dense: dict[str, Tensor]


class _Settings(_Content):
    monitor: str | None
    schedule: dict[str, Any]
    criterion: dict[str, Any]
    granularity: dict[str, Any]
    allocation: dict[str, Any]
    layers: dict[str, Any]


class PruningContent(_Content):
    """The state of one pruning callback."""

    rounds: list[_Round]
    dense: dict[str, float]
    dense_zeros: int | None
    dense_sparsity: float
    finished: bool
    statistics: dict[str, Tensor]
    early_weights: dict[str, Any]
    search: Annotated[dict[str, Any], AfterValidator(_check_search)]
    masks: _Masks | None
    settings: _Settings


class Pruned(_Content):
    """The states of the pruning callbacks, and the weights that their masks belong to."""

    state_dict: dict[str, Tensor]
    pruning: list[PruningContent] = []

    @model_validator(mode="after")
    def check_masks(self) -> "Pruned":
        """Check that each mask has as many bits as its weight has elements."""
        for state in self.pruning:
            if state.rounds and state.masks is None:
                raise ValueError("the pruning state has rounds, but no masks")
            for name, bits in state.masks.keep.items() if state.masks else ():
                size = self.state_dict[name].numel() if name in self.state_dict else None
                if size is not None and len(bits) != (size + 7) // 8:
                    raise ValueError(f"the mask of {name} has {len(bits)} bytes for {size} weights")
        return self


class _Counts(_Content):
    ready: int = Field(ge=0)
    completed: int = Field(ge=0)


class _Progress(_Content):
    total: _Counts
    current: _Counts


class _Steps(_Content):
    step: _Progress
    zero_grad: _Progress


class _OptimizerProgress(_Content):
    optimizer: _Steps


class _FitLoop(_Content):
    epochs: _Progress = Field(alias="epoch_progress")
    batches: _Progress = Field(alias="epoch_loop.batch_progress")
    schedulers: _Progress = Field(alias="epoch_loop.scheduler_progress")
    steps: _OptimizerProgress = Field(alias="epoch_loop.automatic_optimization.optim_progress")
    epoch_state: dict[str, Any] = Field(alias="epoch_loop.state_dict")


class _Loops(_Content):
    fit_loop: _FitLoop


class _Group(_Content):
    params: list[Any]


class _OptimizerState(_Content):
    state: dict[Any, dict[str, Any]]
    param_groups: list[_Group]


class Resumable(_Content):
    """The further keys that a resume needs."""

    loops: _Loops
    callbacks: dict[str, Any]
    optimizer_states: list[_OptimizerState] = Field(min_length=1)
    lr_schedulers: list[dict[str, Any]]
    hyper_parameters: dict[str, Any]
