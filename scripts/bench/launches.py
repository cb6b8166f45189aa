"""Kernel launches and synchronisations of training steps and mask updates, counted on a CPU.

    python -m scripts.bench.launches

The model has the layers of ViT-B, with fewer channels. A launch is an operator that computes or
copies something; a synchronisation is a call that needs a value on the host, for which a GPU would
be waited for. Both are counted without a GPU, so that they can be reduced without one.
"""

import argparse
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from lightning import Trainer
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel, ViTConfig, ViTForImageClassification

from vitprune.model import ViTClassifier
from vitprune.pruning import (
    Criterion,
    Global,
    IterativePruning,
    LayerSelection,
    Magnitude,
    Masks,
    Method,
    OneShot,
    Random,
    SparseGPT,
    Taylor,
    Wanda,
)
from vitprune.pruning.criteria.calibration import CalibrationBatch, calibrate
from vitprune.pruning.update import update_masks
from vitprune.training.guards import StopOnNaN

ARCHITECTURE = {
    "image_size": 32,
    "patch_size": 16,
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "intermediate_size": 1536,
}
CLASSES = 10
SPARSITY = 0.8
SYNCHRONISING = {
    "item", "tolist", "cpu", "numpy", "nonzero", "equal", "unique", "_unique2", "masked_select",
    "__bool__", "__int__", "__float__", "__index__", "is_nonzero", "allclose",
}  # fmt: skip
METHODS: dict[str, Callable[[], Method]] = {
    "Magnitude": lambda: Method(Magnitude()),
    "Magnitude, Global": lambda: Method(Magnitude(), allocation=Global()),
    "Random": lambda: Method(Random()),
    "Wanda": lambda: Method(Wanda()),
    "Taylor": lambda: Method(Taylor()),
    "SparseGPT": lambda: Method(SparseGPT()),
}


@dataclass(frozen=True)
class Counts:
    """What a function has called.

    Attributes:
        launches: Operators that compute or copy, by name.
        synchronisations: Calls that need a value on the host, by name.

    """

    launches: Counter[str]
    synchronisations: Counter[str]

    def line(self, name: str) -> str:
        """Return a line of the table."""
        most = ", ".join(f"{call} {count}" for call, count in self.synchronisations.most_common(5))
        total = self.synchronisations.total()
        return f"{name:28} {self.launches.total():9} {total:17}   {most}"

    def per(self, number: int, before: "Counts") -> "Counts":
        """Return what is counted beyond `before`, divided by a number."""
        return Counts(
            *(
                Counter({name: (count - old[name]) // number for name, count in new.items()})
                for new, old in (
                    (self.launches, before.launches),
                    (self.synchronisations, before.synchronisations),
                )
            )
        )


class _Launches(TorchDispatchMode):
    """Counts the operators that are no views."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        if not func.is_view:
            self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


class _Synchronisations(TorchFunctionMode):
    """Counts the calls that need a value on the host."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        by_mask = name == "__getitem__" and _is_mask(args[1])
        by_mask |= name == "__setitem__" and _is_mask(args[1]) and isinstance(args[2], Tensor)
        if by_mask or name in SYNCHRONISING:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def _is_mask(index: object) -> bool:
    return isinstance(index, Tensor) and index.dtype == torch.bool


def count(function: Callable[[], object]) -> Counts:
    """Run a function and count what it calls."""
    with _Synchronisations() as synchronisations, _Launches() as launches:
        function()
    return Counts(launches.counts, synchronisations.counts)


def build() -> PreTrainedModel:
    """Return the model."""
    torch.manual_seed(0)
    return ViTForImageClassification(ViTConfig(num_labels=CLASSES, **ARCHITECTURE))


def batch(images: int = 4) -> tuple[Tensor, Tensor]:
    """Return random images and labels."""
    side = ARCHITECTURE["image_size"]
    return torch.randn(images, 3, side, side), torch.randint(0, CLASSES, (images,))


def step_of(net: PreTrainedModel, masks: Masks) -> Callable[[], None]:
    """Return a training step, after one that was made."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, foreach=True)
    masks.enforce(optimizer)
    images, labels = batch()

    def step() -> None:
        masks.apply()
        F.cross_entropy(net(pixel_values=images).logits, labels).backward()
        masks.before_step(optimizer)
        optimizer.step()
        optimizer.zero_grad()

    step()
    return step


def masks_of(net: PreTrainedModel) -> Masks:
    """Return the masks of a model, pruned."""
    masks = Masks(LayerSelection().select(net))
    update_masks(masks, Method(), SPARSITY)
    return masks


def statistics_of(net: PreTrainedModel, criterion: Criterion) -> Mapping[str, Tensor]:
    """Return the statistics of a criterion, on one batch."""
    if not criterion.calibrated:
        return {}
    images, labels = batch()

    def loss() -> Tensor:
        return F.cross_entropy(net(pixel_values=images).logits, labels)

    layers = LayerSelection().select(net)
    return calibrate(criterion, layers, [CalibrationBatch(loss, len(labels))])


def fit(steps: int) -> None:
    """Train by a Trainer, with the callbacks that look at every step."""
    images, labels = batch()
    batches = [{"pixel_values": images, "labels": labels}] * steps
    model = ViTClassifier(
        architecture={"model_type": "vit", **ARCHITECTURE},
        labels=[str(number) for number in range(CLASSES)],
    )
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[IterativePruning(OneShot(SPARSITY), monitor=None), StopOnNaN()],
    )
    trainer.fit(model, DataLoader(cast(Dataset, batches), batch_size=None))


def main() -> None:
    """Run the command."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    warnings.simplefilter("ignore")
    print(f"{'':28} {'launches':>9} {'synchronisations':>17}")
    net = build()
    dense = step_of(build(), Masks([]))
    masked = step_of(net, masks_of(net))
    print(count(dense).line("step, dense"))
    print(count(masked).line("step, masked"))
    few, many = (count(partial(fit, steps)) for steps in (2, 4))
    print(many.per(2, few).line("step of fit, masked"))
    for name, build_method in METHODS.items():
        net = build().eval()
        method = build_method()
        statistics = statistics_of(net, method.criterion)
        masks = Masks(LayerSelection().select(net))
        update_masks(masks, Method(), SPARSITY / 2)  # with weights that are pruned already
        counts = count(partial(update_masks, masks, method, SPARSITY, statistics=statistics))
        print(counts.line(f"update, {name}"))


if __name__ == "__main__":
    main()
