"""What all scans share."""

import torch
from lightning import Trainer

from vitprune.evaluation.scan import load_weights
from vitprune.model import ViTClassifier
from vitprune.pruning import IterativePruning, OneShot
from vitprune.pruning.masks.packing import pack
from vitprune.runs.checkpoint import PRUNING


def test_pruned_weights_of_a_checkpoint_are_zero_whatever_was_written_to_them(tmp_path):
    model = ViTClassifier("digits")
    name = "net.vit.layers.0.mlp.fc1.weight"
    weight = model.state_dict()[name]
    masks = {"keep": {name: pack(torch.zeros_like(weight, dtype=torch.bool))}, "dense": {}}
    content = {"state_dict": model.state_dict(), "loops": {}, "global_step": 1}
    content["pytorch-lightning_version"] = "2.6.6"
    IterativePruning(OneShot(0.5)).on_save_checkpoint(Trainer(), model, content)
    content[PRUNING][0]["masks"] = masks
    torch.save(content, tmp_path / "a.ckpt")
    assert weight.any()
    load_weights(model, str(tmp_path / "a.ckpt"))
    assert not model.get_parameter(name).any()
