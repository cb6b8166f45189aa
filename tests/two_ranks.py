"""Run by torchrun from test_ranks.py: train on every rank, leave each rank's masks and what it saw.

Several settings share one start of the processes, which takes longer than the training.
"""

import json
import shutil
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
from lightning import Callback, seed_everything
from lightning.pytorch.strategies import ModelParallelStrategy

from tests.conftest import TINY, quiet_trainer
from tests.pruning.budget.test_latency import table_for
from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.pruning import (
    ERK,
    LAMP,
    AccuracyGuarded,
    Branch,
    Column,
    Combined,
    Element,
    Fisher,
    FLOPs,
    FromSensitivity,
    Global,
    Head,
    HeadDim,
    Isomorphic,
    IterativePruning,
    Latency,
    LayerSelection,
    LearningRate,
    Linear,
    Magnitude,
    Mean,
    Movement,
    Neuron,
    NofM,
    OneShot,
    PerLayer,
    Random,
    Ridge,
    RigL,
    Row,
    Search,
    SparseGPT,
    Taylor,
    Tile,
    Uniform,
    Variance,
    Wanda,
    Weights,
    Width,
)
from vitprune.pruning.masks.sharding import whole
from vitprune.runs.checkpoint_io import AtomicCheckpointIO
from vitprune.training.checkpoints import RunCheckpoints
from vitprune.training.exact_resume import ExactResume


def rounds(final_sparsity=0.6, begin=0):
    return Linear(final_sparsity, begin=begin, end=2)


PER_LAYER = PerLayer({"query": 0.3, "*": 0.643})  # 0.6 together


def scanned():
    """Return the allocation that a scan advises which found the queries sensitive."""
    accuracy = {
        layer.name: 0.5 if layer.role == "query" else 0.8
        for layer in LayerSelection().select(build())
    }
    scan = {"dense": 0.9, "granularity": "Element", "groups": {name: [name] for name in accuracy}}
    with NamedTemporaryFile("w", suffix=".json") as file:
        curves = {"scan": {name: {"0.5": value} for name, value in accuracy.items()}}
        file.write(
            json.dumps(scan | curves | {"reached": {name: {"0.5": 0.5} for name in accuracy}})
        )
        file.flush()
        return FromSensitivity(file.name)


class OwnScore(ViTClassifier):
    """Logs a metric that each rank has for itself."""

    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        loss = torch.nn.functional.cross_entropy(self(batch["pixel_values"]), batch["labels"])
        self.log("val/own", -loss, batch_size=len(batch["labels"]))


def build():
    architecture = {"model_type": "vit", **TINY, "initializer_range": 0.1}
    return OwnScore(
        architecture=architecture, labels=[str(d) for d in range(10)], learning_rate=1e-2
    )


def by_latency():
    """Return pruning by a table of invented latencies."""
    budget = Latency()
    budget.measured = table_for(build().net)
    structure = Combined([Head(), Neuron(), Width()])
    return IterativePruning(rounds(0.4), Taylor(), structure, Isomorphic(), budget)


SETTINGS = {
    "magnitude": lambda: IterativePruning(rounds(), Magnitude(), allocation=Global()),
    "columns": lambda: IterativePruning(
        rounds(), Magnitude(p=2), Column(), Global(min_density=0.1)
    ),
    "random": lambda: IterativePruning(rounds(), Random(), allocation=Uniform()),
    "random rows": lambda: IterativePruning(rounds(), Random(), Row(), Global()),
    "taylor": lambda: IterativePruning(rounds(), Taylor(), Combined([HeadDim(), Neuron()])),
    "taylor, jointly": lambda: IterativePruning(rounds(), Taylor(joint=True), Branch(), Global()),
    "fisher": lambda: IterativePruning(
        rounds(), Fisher(), Combined([Head(), Neuron(round_to=8)]), LAMP()
    ),
    "width": lambda: IterativePruning(rounds(0.5), Taylor(), Width(round_to=4)),
    "wanda": lambda: IterativePruning(rounds(0.5), Wanda(), NofM(2, 4)),
    "sparse gpt": lambda: IterativePruning(
        rounds(), SparseGPT(), allocation=Global(normalize=True)
    ),
    "compensated": lambda: IterativePruning(
        rounds(),
        Variance(),
        Combined([HeadDim(), Neuron()]),
        compensation=Ridge(),
        calibration_images=40,
    ),
    "searched": lambda: IterativePruning(
        rounds(0.4),
        Variance(),
        Combined([HeadDim(), Neuron()]),
        Search(trials=3, images=20),
        FLOPs(),
        calibration_images=40,
    ),
    "by latency": by_latency,
    "compensated branches": lambda: IterativePruning(
        rounds(), Variance(), Branch(), compensation=Mean(), calibration_images=40
    ),
    "movement": lambda: IterativePruning(rounds(begin=1), Movement(), Tile(8, 8)),
    "less than a batch a rank": lambda: IterativePruning(
        rounds(), Wanda(), allocation=ERK(), calibration_images=20
    ),
    "regrowth": lambda: IterativePruning(
        rounds(), allocation=scanned(), regrow=RigL(0.4), rewind=LearningRate()
    ),
    "rewound": lambda: IterativePruning(
        rounds(begin=1), Wanda(), Element(), PER_LAYER, rewind=Weights(2)
    ),
    "guarded": lambda: IterativePruning(
        AccuracyGuarded(0.4, patience=1, max_drop=0.0), monitor="val/own"
    ),
    # the first round alone depends on nothing but the pretrained weights and the sample
    **{
        f"first round, {type(criterion).__name__}": lambda criterion=criterion: IterativePruning(
            OneShot(0.5), criterion
        )
        for criterion in (Magnitude(), Taylor(), Fisher(), Wanda(), SparseGPT(), Variance())
    },
}


VALIDATION = (
    33  # 16 for one rank, a whole batch; 17 for the other, who must not run a second one alone
)
CROSSED = ["magnitude", "movement", "rewound", "width"]  # resumed with the other strategy, too


class Rounds(Callback):
    """Keep the masks of every epoch, and disturb the random numbers of the second rank."""

    def __init__(self):
        self.masks = []

    def on_train_epoch_start(self, trainer, pl_module):
        torch.rand(1 + 10 * trainer.global_rank)
        folder = Path(trainer.default_root_dir)
        if (
            trainer.current_epoch == 1
            and trainer.is_global_zero
            and (folder / "checkpoints" / "last.ckpt").exists()
        ):
            shutil.copy(folder / "checkpoints" / "last.ckpt", folder / "checkpoints" / "first.ckpt")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 0:
            pruning = next(c for c in trainer.callbacks if isinstance(c, IterativePruning))
            self.masks.append({mask.name: mask.keep.clone() for mask in pruning.masks})


def strategy_of(name):
    if name != "fsdp":
        return name
    return ModelParallelStrategy(
        data_parallel_size=2, tensor_parallel_size=1, save_distributed_checkpoint=False
    )


def main(folder, setting, strategy="auto", ckpt=None, epochs=3):
    seed_everything(42, verbose=False)
    model = build()
    data = ImageData(
        "digits",
        "digits",
        batch_size=16,
        num_workers=0,
        max_images={"train": 67, "validation": VALIDATION},
    )
    pruning, seen = SETTINGS[setting](), Rounds()
    if setting.startswith("first round"):
        epochs = 1
    trainer = quiet_trainer(
        folder,
        callbacks=[pruning, ExactResume(), RunCheckpoints(), seen],
        enable_checkpointing=True,
        plugins=[AtomicCheckpointIO()],
        max_epochs=epochs,
        devices=1 if strategy == "auto" else 2,
        strategy=strategy_of(strategy),
        use_distributed_sampler=False,
    )
    trainer.fit(model, data, ckpt_path=ckpt, weights_only=True)
    weights = {name: whole(value).clone() for name, value in model.state_dict().items()}
    result = {
        "masks": seen.masks,
        "weights": weights,
        "rounds": [vars(r) for r in pruning.state.rounds],
        "dense": pruning.state.dense,
    }
    Path(folder).mkdir(exist_ok=True)
    torch.save(result, Path(folder) / f"rank{trainer.global_rank}.pt")


if __name__ == "__main__":
    root = Path(sys.argv[1])
    for strategy, other in (("ddp", "fsdp"), ("fsdp", "ddp")):
        for setting in SETTINGS:
            main(root / strategy / setting, setting, strategy)
        for setting in CROSSED:
            main(
                root / f"{strategy}, then {other}" / setting,
                setting,
                other,
                root / strategy / setting / "checkpoints" / "first.ckpt",
            )
        last = root / strategy / "magnitude" / "checkpoints" / "last.ckpt"
        main(root / f"{strategy}, gone on with", "magnitude", strategy, last, epochs=4)
    torch.distributed.destroy_process_group()
