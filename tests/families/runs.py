"""Models as a training run has them."""

from pathlib import Path

from transformers import PreTrainedModel

from tests.families.families import NAMES, Family
from vitprune.model import ViTClassifier


def net_of_run(family: Family, folder: Path) -> PreTrainedModel:
    """Save a model and return it as a run loads it, with parameters frozen that are not used."""
    return ViTClassifier(str(family.save(folder)), labels=NAMES).net.eval()
