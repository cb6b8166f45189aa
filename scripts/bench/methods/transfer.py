"""Criteria on another task than the pretraining, with masks that change often."""

import contextlib
from functools import cache
from pathlib import Path

import yaml
from datasets import Dataset
from lightning import seed_everything
from torch import Tensor

from scripts.bench.methods.comparison import Comparison, Result, Setting
from scripts.bench.methods.training import CRITERIA, LEARNING_RATE, train
from vitprune.data import Augmentation, ImageData
from vitprune.model import ViTClassifier
from vitprune.pruning import Cubic, IterativePruning

CONFIGURATION = Path(__file__).parents[3] / "configs" / "pretrain_digits.yaml"
PRETRAINING_EPOCHS = 40
STEPS = 9  # of an epoch with half of the digits
EVERY_EPOCH = "masks change every epoch"
EVERY_STEP = "masks change every step"


def some_digits(digits: range) -> ImageData:
    """Return the images of some digits, with labels of all ten classes."""
    data = ImageData(
        "digits", "digits", augmentation=Augmentation(crop_scale=(0.6, 1.0), horizontal_flip=False)
    )
    for name in list(data.splits):
        images: Dataset = data.splits[name]
        data.splits[name] = images.filter(lambda label: label in digits, input_columns="label")
    return data


def random_model() -> ViTClassifier:
    """Return the architecture of the bundled model, with random weights."""
    architecture = yaml.safe_load(CONFIGURATION.read_text())["model"]["architecture"]
    labels = [str(i) for i in range(10)]
    return ViTClassifier(architecture=architecture, labels=labels, learning_rate=LEARNING_RATE)


@cache
def pretrained_weights() -> dict[str, Tensor]:
    """Return the weights of a model that was trained on the digits 0 to 4."""
    seed_everything(42, verbose=False)
    model = random_model()
    accuracy = train(model, some_digits(range(5)), PRETRAINING_EPOCHS)
    print(f"Pretraining on 0 to 4: accuracy {accuracy:.3f}", flush=True)
    return model.net.state_dict()


def run(setting: Setting) -> list[Result]:
    """Prune the model of 0 to 4 while it learns 5 to 9."""
    weights = pretrained_weights()
    seed_everything(setting.seed, verbose=False)
    begin = setting.epochs // 8
    end = setting.epochs // 2
    schedule = (
        Cubic(setting.sparsity, end * STEPS, begin * STEPS, every=1, unit="step")
        if setting.column == EVERY_STEP
        else Cubic(setting.sparsity, end, begin)
    )
    model = random_model()
    model.net.load_state_dict(weights)
    pruning = IterativePruning(schedule, CRITERIA[setting.criterion](), monitor=None)
    with contextlib.redirect_stdout(None):  # a line for each round
        accuracy = train(model, some_digits(range(5, 10)), setting.epochs, [pruning])
    return [Result(setting, round(accuracy, 6))]


TRANSFER = Comparison(
    criteria=("Random", "Magnitude", "Movement"),
    sparsities=(0.95,),
    columns=(EVERY_EPOCH, EVERY_STEP),
    trained=(EVERY_EPOCH, EVERY_STEP),
    epochs=30,
    run=run,
)
