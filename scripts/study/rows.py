"""The methods that are compared, by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from budget import Budget, Run
from peers import CALIBRATION_IMAGES, Article, LightningModelPruning, TorchPruning
from row import Row
from torch import nn

from vitprune.data import Augmentation
from vitprune.model.distillation import Distillation
from vitprune.pruning import (
    ERK,
    LAMP,
    Combined,
    Cubic,
    Element,
    Geometric,
    Global,
    Head,
    IterativePruning,
    LearningRate,
    Linear,
    Magnitude,
    Neuron,
    NofM,
    OneShot,
    Schedule,
    SparseGPT,
    Taylor,
    Uniform,
    Wanda,
    masks,
)


@dataclass(frozen=True)
class Dense(Row):
    """The control: fine-tuned and not pruned."""

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        model = run.classifier()
        run.fit(model, run.budget.data(), [])
        return model.net


def at_once(sparsity: float, steps: int) -> Schedule:
    """Prune before the first step."""
    return OneShot(sparsity)


def rounds(
    kind: Callable[..., Schedule], count: int, until: float = 1.0
) -> Callable[[float, int], Schedule]:
    """Prune `count` times at equal distances, the last round a distance before `until` of the steps."""

    def schedule(sparsity: float, steps: int) -> Schedule:
        every = int(steps * until) // count
        if every == 0:
            raise SystemExit(
                f"{count} rounds within {until:.0%} of the training need more than its {steps} "
                "steps."
            )
        return kind(sparsity, end_step=every * (count - 1), every_n_steps=every)

    return schedule


@dataclass(frozen=True)
class Ours(Row):
    """This project: every field is an axis, what a model learns from, or arguments of data or model."""

    schedule: Callable[[float, int], Schedule] = at_once
    criterion: Callable[[], Any] = Magnitude
    granularity: Callable[[], Any] = Element
    allocation: Callable[[], Any] = Uniform
    rewind: Callable[[], Any] | None = None
    distillation: Callable[[], Distillation] | None = None
    calibration_images: int = CALIBRATION_IMAGES
    data: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)

    def check(self, budget: Budget) -> None:
        """See the base class."""
        self.schedule(0.5, budget.steps)

    def train(self, run: Run) -> nn.Module:
        """See the class."""
        model = run.classifier(self.distillation, **self.model)
        pruning = IterativePruning(
            self.schedule(run.sparsity, run.budget.steps),
            self.criterion(),
            self.granularity(),
            self.allocation(),
            rewind=self.rewind() if self.rewind else None,
            calibration_images=self.calibration_images,
            monitor=None,
        )
        run.fit(model, run.budget.data(**self.data), [pruning])
        masks.remove(model.net)
        return model.net


slow_start = {"warmup_fraction": 0.25}
logits = partial(Distillation, hidden_weight=0.0)
hidden_states = partial(Distillation, hidden_weight=10.0)
heads_and_neurons = partial(Combined, [Head(), Neuron()])

# results are kept by name: what changes gets another one
ROWS: dict[str, Row] = {
    "dense control": Dense(),
    "the article, at once": Article(rounds=1),
    "the article, 4 rounds": Article(rounds=4),
    "ModelPruning, after an epoch": LightningModelPruning(rounds=1),
    "ModelPruning, distilled": LightningModelPruning(rounds=1, distillation=hidden_states),
    "ModelPruning, 2 rounds": LightningModelPruning(rounds=2),
    "ModelPruning, 2 rounds, rewound": LightningModelPruning(rounds=2, rewound=True),
    "Torch-Pruning, L2": TorchPruning(taylor=False),
    "Torch-Pruning, Taylor": TorchPruning(taylor=True),
    "Torch-Pruning, Taylor, distilled": TorchPruning(taylor=True, distillation=hidden_states),
    "at once": Ours(),
    # when
    "linear, 4 rounds": Ours(schedule=rounds(Linear, 4)),
    "linear, 8 rounds": Ours(schedule=rounds(Linear, 8)),
    "cubic, 4 rounds": Ours(schedule=rounds(Cubic, 4)),
    "cubic, 8 rounds": Ours(schedule=rounds(Cubic, 8)),
    "linear, 8 rounds by half": Ours(schedule=rounds(Linear, 8, until=0.5)),
    "cubic, 8 rounds by half": Ours(schedule=rounds(Cubic, 8, until=0.5)),
    "cubic, 50 rounds by half": Ours(schedule=rounds(Cubic, 50, until=0.5)),
    "geometric, 8 rounds by half": Ours(schedule=rounds(Geometric, 8, until=0.5)),
    "cubic, 4 rounds, rewound": Ours(schedule=rounds(Cubic, 4), rewind=LearningRate),
    "at once, slow start": Ours(model=slow_start),
    "cubic, 4 rounds, slow start": Ours(schedule=rounds(Cubic, 4), model=slow_start),
    # which, and where
    "Taylor": Ours(criterion=Taylor),
    "Wanda": Ours(criterion=Wanda),
    "SparseGPT": Ours(criterion=SparseGPT),
    "Global": Ours(allocation=Global),
    "ERK": Ours(allocation=ERK),
    "LAMP": Ours(allocation=LAMP),
    # from what it learns
    "distilled": Ours(distillation=logits),
    "distilled, hidden states": Ours(distillation=hidden_states),
    "random crops": Ours(data={"augmentation": Augmentation(crop_scale=(0.5, 1.0))}),
    # together
    "SparseGPT, distilled": Ours(criterion=SparseGPT, distillation=hidden_states),
    "SparseGPT, distilled, cubic, 8 rounds by half": Ours(
        criterion=SparseGPT, distillation=hidden_states, schedule=rounds(Cubic, 8, until=0.5)
    ),
    "SparseGPT, distilled, cubic, 8 rounds by half, slow start": Ours(
        criterion=SparseGPT,
        distillation=hidden_states,
        schedule=rounds(Cubic, 8, until=0.5),
        model=slow_start,
    ),
    "SparseGPT, distilled, cubic, 8 rounds by half, 64 images": Ours(
        criterion=SparseGPT,
        distillation=hidden_states,
        schedule=rounds(Cubic, 8, until=0.5),
        calibration_images=64,
    ),
    "SparseGPT, distilled, cubic, 8 rounds by half, slow start, 64 images": Ours(
        criterion=SparseGPT,
        distillation=hidden_states,
        schedule=rounds(Cubic, 8, until=0.5),
        calibration_images=64,
        model=slow_start,
    ),
    "SparseGPT, distilled, cubic, 4 rounds": Ours(
        criterion=SparseGPT, distillation=hidden_states, schedule=rounds(Cubic, 4)
    ),
    "distilled, hidden states, cubic, 4 rounds": Ours(
        distillation=hidden_states, schedule=rounds(Cubic, 4)
    ),
    # patterns and structure
    "2:4": Ours(granularity=partial(NofM, 2, 4)),
    "2:4, SparseGPT, distilled": Ours(
        criterion=SparseGPT, granularity=partial(NofM, 2, 4), distillation=hidden_states
    ),
    "heads and neurons": Ours(granularity=heads_and_neurons, allocation=Global),
    "heads and neurons, Taylor": Ours(
        granularity=heads_and_neurons, allocation=Global, criterion=Taylor
    ),
    "heads and neurons, Taylor, distilled": Ours(
        granularity=heads_and_neurons,
        allocation=Global,
        criterion=Taylor,
        distillation=hidden_states,
    ),
}
