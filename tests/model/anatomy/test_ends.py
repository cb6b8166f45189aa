"""The stem and the classifier are found by asking the model, not by their names."""

import pytest
import torchvision
from torch import nn

from tests.families.families import FAMILIES
from vitprune.model.anatomy.layers import find_layers

CLASSIFIERS = {
    "vit": ["classifier"],
    "levit": ["classifier.linear"],
    "resnet": ["classifier.1"],
    "convnext": ["classifier"],
    "timm_vit": ["timm_model.head"],
    "timm_swin": ["timm_model.head.fc"],
    "timm_siglip": ["timm_model.head"],
}
STEMS = {
    "vit": ["vit.embeddings.patch_embeddings.projection"],
    "levit": [f"levit.patch_embeddings.embedding_layer_{i}.convolution" for i in range(1, 5)],
    "resnet": ["resnet.embedder.embedder.convolution"],
    "pvt": [f"pvt.encoder.patch_embeddings.{i}.projection" for i in range(4)],
    "siglip2": ["vision_model.embeddings.patch_embedding"],  # reads flattened patches
    "timm_vit": ["timm_model.patch_embed.proj"],
}


def names(model, role):
    return [layer.name for layer in find_layers(model) if layer.role == role]


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_classifier(family):
    assert names(FAMILIES[family].build(), "classifier") == CLASSIFIERS[family]


@pytest.mark.parametrize("family", STEMS)
def test_stem(family):
    assert names(FAMILIES[family].build(), "patch_embed") == STEMS[family]


def test_both_heads_of_a_distilled_model_are_classifiers():
    import timm

    net = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=10, depth=1)
    assert names(net, "classifier") == ["head", "head_dist"]


def test_as_many_classes_as_channels():
    net = FAMILIES["clip"].build()
    net.classifier = nn.Linear(32, 32)
    net.num_labels = 32
    assert names(net, "classifier") == ["classifier"]


def test_other_models_with_attentions_are_recognised_by_name():
    net = torchvision.models.VisionTransformer(32, 8, 1, 2, 32, 64)
    assert names(net, "classifier") == ["heads.head"]
    assert names(net, "patch_embed") == ["conv_proj"]


def test_a_head_of_ones_own_on_a_backbone_of_timm():
    import timm

    backbone = timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1)
    net = nn.ModuleDict({"backbone": backbone, "head": nn.Linear(192, 10)})
    assert names(net, "classifier") == ["head"]


def test_layers_of_a_classifier_are_no_mlp():
    import timm

    net = timm.create_model("caformer_s18", num_classes=512)  # as many as it has channels
    assert names(net, "classifier") == ["head.fc.fc1", "head.fc.fc2"]
    assert not [layer for layer in find_layers(net) if layer.branch and "head" in layer.name]


@pytest.mark.parametrize(
    ("build", "classifier"),
    [
        (torchvision.models.resnet18, "fc"),
        (torchvision.models.mobilenet_v3_small, "classifier.3"),
        (torchvision.models.convnext_tiny, "classifier.2"),
    ],
)
def test_convolutional_models_of_torchvision(build, classifier):
    layers = find_layers(build())
    assert [layer.name for layer in layers if layer.role == "classifier"] == [classifier]
    assert not any(layer.branch for layer in layers)  # squeeze-and-excitation is no MLP


def test_nothing_is_known_of_a_head_in_a_model_that_reads_no_images():
    net = nn.ModuleDict({"net": nn.Linear(4, 8), "head": nn.Linear(8, 2)})
    assert names(net, "other") == ["net", "head"]
