"""Criteria with the same number of fine-tuning steps: one-shot and iterative."""

from dataclasses import replace

from lightning import seed_everything

from scripts.bench.methods.comparison import Comparison, Result, Setting
from scripts.bench.methods.training import CRITERIA, LEARNING_RATE, train
from vitprune.data import ImageData
from vitprune.model import ViTClassifier
from vitprune.pruning import Cubic, IterativePruning, OneShot

ONE_SHOT = "one-shot"
FINE_TUNED = "one-shot, fine-tuned"
ITERATIVE = "iterative"


def run(setting: Setting) -> list[Result]:
    """Prune the bundled model and fine-tune it.

    A one-shot training also yields the accuracy before its fine-tuning.
    """
    seed_everything(setting.seed, verbose=False)
    first = 1 if setting.criterion == "Movement" else 0  # it scores a training
    schedule = (
        Cubic(setting.sparsity, setting.epochs // 2, first)
        if setting.column == ITERATIVE
        else OneShot(setting.sparsity, first)
    )
    pruning = IterativePruning(schedule, CRITERIA[setting.criterion]())
    model = ViTClassifier("digits", learning_rate=LEARNING_RATE)
    train(model, ImageData("digits", "digits"), setting.epochs, [pruning])
    last = pruning.state.rounds[-1]
    accuracies = {setting.column: last.finetuned}
    if setting.column == FINE_TUNED and first == 0:
        accuracies[ONE_SHOT] = last.pruned
    return [
        Result(replace(setting, column=column), round(accuracy, 6))
        for column, accuracy in accuracies.items()
        if accuracy is not None
    ]


EQUAL_STEPS = Comparison(
    criteria=tuple(CRITERIA),
    sparsities=(0.8, 0.95),
    columns=(ONE_SHOT, FINE_TUNED, ITERATIVE),
    trained=(FINE_TUNED, ITERATIVE),
    epochs=8,
    run=run,
)
