"""Masks of single weights in every family: which weights they prune, and which exactly."""

import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from tests.families.expectations import expected, families
from tests.families.families import CLASSES, logits
from tests.families.runs import net_of_run
from vitprune import prune
from vitprune.pruning import LayerSelection, Method, NofM


@families("roles")
def test_the_stem_the_classifier_and_what_is_no_matrix_are_not_pruned(family, tmp_path):
    with expected("roles", family):
        net = net_of_run(family, tmp_path)
        chosen = {layer.weight for layer in LayerSelection().select(net)}
        weights = {
            name: module.weight
            for name, module in net.named_modules()
            if isinstance(module, nn.Linear | nn.Conv2d)
        }
        spared = {name: weight for name, weight in weights.items() if weight not in chosen}
        classifiers = [w for w in spared.values() if w.ndim == 2 and len(w) == CLASSES]
        assert len(classifiers) == sum(len(weight) == CLASSES for weight in weights.values())
        assert any(weight.shape[1] == 3 for weight in spared.values() if weight.ndim == 4)
        assert not any(weight.ndim == 4 and weight.shape[1] == 1 for weight in chosen)  # depthwise
        assert len(chosen) >= len(weights) / 2 or family.structure == "masks only"


@families("element")
def test_single_weights(family, tmp_path):
    with expected("element", family):
        net, dense = (net_of_run(family, tmp_path) for _ in range(2))
        sparsity = prune(net, Method(), 0.5)
        layers = LayerSelection().select(dense)
        for layer in layers:
            torch_prune.l1_unstructured(layer.module, layer.attribute, 0.5)
            torch_prune.remove(layer.module, layer.attribute)
        assert set(sparsity.layers) == {layer.name for layer in layers}
        for name, value in dense.state_dict().items():
            assert torch.equal(value, net.state_dict()[name]), name
        assert logits(net, family.images()).isfinite().all()


@families("two_of_four")
def test_two_of_four_consecutive_inputs(family, tmp_path):
    with expected("two_of_four", family):
        net, dense = (net_of_run(family, tmp_path) for _ in range(2))
        prune(net, Method(granularity=NofM(2, 4)), 0.5)
        before = {layer.name: layer for layer in LayerSelection().select(dense)}
        for layer in LayerSelection().select(net):
            old = before[layer.name].weight.detach()
            fours = old.flatten(1).unflatten(1, (-1, 4))
            keep = torch.zeros_like(fours).scatter(2, fours.abs().topk(2, dim=2).indices, 1)
            assert torch.equal(layer.weight.flatten(1), (fours * keep).flatten(1)), layer.name
