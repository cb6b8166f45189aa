"""Which rows of a classification head are those of the data's classes."""

import pytest
import timm
import torch
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    DeiTForImageClassificationWithTeacher,
    TimmWrapperConfig,
)

from tests.conftest import TINY, tiny_net, tiny_swin
from tests.timm_models import TINY as TINY_TIMM
from vitprune.model.classes import find_classes, keep_classes
from vitprune.model.imagenet import imagenet_classes
from vitprune.model.loading import load_net, net_from_config

CRANE_BIRD, CRANE_MACHINE = "n02012849", "n03126707"
NAMES = dict(enumerate(imagenet_classes().values()))
IDS = dict(enumerate(imagenet_classes()))
UNNAMED = {number: f"LABEL_{number}" for number in range(1000)}
NUMBERS = {number: str(number) for number in range(1000)}


def test_the_list_of_imagenet_is_that_of_timm():
    info = timm.data.ImageNetInfo("imagenet-1k")
    names = info.label_descriptions(as_dict=True)
    assert imagenet_classes() == {synset: names[synset] for synset in info.label_names()}


@pytest.mark.parametrize("known", [NAMES, IDS, UNNAMED, NUMBERS], ids=["names", "ids", "-", "n"])
def test_models_of_imagenet_know_wordnet_ids_and_names(known):
    assert find_classes(known, ["n01440764", "n02102040", "n03888257"]) == [0, 217, 701]
    assert find_classes(known, [CRANE_MACHINE, CRANE_BIRD]) == [517, 134]
    assert find_classes(known, list(imagenet_classes())) == list(range(1000))
    assert find_classes(known, ["parachute", "tench"]) == [701, 0]
    assert find_classes(known, ["tench, Tinca tinca", "n01443537"]) == [0, 1]
    assert find_classes(known, ["crane", "tench"]) is None  # a bird, and a machine
    assert find_classes(known, ["tench", "n01440764"]) is None  # the same class twice
    assert find_classes(known, ["tench", "n99999999"]) is None


def test_a_thousand_classes_of_another_kind_are_not_those_of_imagenet():
    others = {number: f"person {number}" for number in range(1000)}
    assert find_classes(others, ["n01440764"]) is None
    assert find_classes({n: f"LABEL_{n}" for n in range(999)}, ["n01440764"]) is None
    shuffled = dict(enumerate(reversed(NAMES.values())))
    assert find_classes(shuffled, ["n01440764", "n02102040"]) == [999, 999 - 217]  # by name
    assert find_classes(shuffled, [CRANE_BIRD]) is None


def test_a_model_of_some_classes_knows_the_ids_of_their_names():
    assert find_classes({0: "church, church building", 1: "tench"}, ["tench", "church"]) == [1, 0]
    assert find_classes({0: "n01440764", 1: "n03888257"}, ["parachute", "tench"]) == [1, 0]
    assert find_classes({0: "n01440764", 1: "n03888257"}, ["parachute", "church"]) is None


def of_timm(architecture, **arguments):
    torch.manual_seed(0)
    config = TimmWrapperConfig(architecture=architecture, model_args=arguments, num_labels=10)
    return net_from_config(config)


def of_transformers(model_type, **settings):
    torch.manual_seed(0)
    return net_from_config(AutoConfig.for_model(model_type, num_labels=10, **settings))


def distilled_deit():
    torch.manual_seed(0)
    return DeiTForImageClassificationWithTeacher(
        AutoConfig.for_model("deit", **TINY, num_labels=10)
    )


STAGES = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 16, 16]}
LEVIT = {"hidden_sizes": [16, 32, 32], "num_attention_heads": [2, 2, 4], "depths": [1, 1, 1]}
FAMILIES = {
    "vit": (tiny_net, 16),
    "swin": (tiny_swin, 16),
    "distilled deit": (distilled_deit, 16),
    "resnet": (lambda: of_transformers("resnet", embedding_size=8, **STAGES), 32),
    "levit": (lambda: of_transformers("levit", image_size=64, key_dim=[8, 8, 8], **LEVIT), 64),
    "timm vit": (lambda: of_timm("vit_tiny_patch16_224", **TINY_TIMM), 32),
    "timm distilled": (lambda: of_timm("deit_tiny_distilled_patch16_224", **TINY_TIMM), 32),
    "timm siglip": (lambda: of_timm("vit_base_patch16_siglip_224", **TINY_TIMM), 32),
    "timm levit": (lambda: of_timm("levit_128s", embed_dim=(16, 32, 48), num_heads=(1, 2, 3)), 224),
    "timm convnext": (lambda: of_timm("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 8, 8)), 64),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_kept_rows_give_the_same_logits(family, tmp_path):
    build, size = FAMILIES[family]
    net = build().eval()
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    before = net(pixel_values=images).logits.detach()
    assert keep_classes(net, [7, 3, 1], ["seven", "three", "one"])
    assert net.config.num_labels == net.num_labels == 3
    torch.testing.assert_close(net(pixel_values=images).logits, before[:, [7, 3, 1]])
    if not isinstance(net, DeiTForImageClassificationWithTeacher):
        net.save_pretrained(tmp_path)
        loaded = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
        assert list(loaded.config.id2label.values()) == ["seven", "three", "one"]
        torch.testing.assert_close(loaded(images).logits, before[:, [7, 3, 1]])


@pytest.mark.parametrize("labels", [["n02102040", "n01440764"], list(imagenet_classes())])
def test_the_user_is_told_that_unnamed_classes_are_taken_for_those_of_imagenet(
    labels, tmp_path, caplog
):
    net = tiny_net(classes=1000)
    net.save_pretrained(tmp_path)
    with caplog.at_level("INFO"):
        loaded = load_net(str(tmp_path), labels)
    assert f"keeping the {len(labels)} matching rows of the 1000-class head; its" in caplog.text
    assert "unnamed classes are assumed to be those of ImageNet-1k" in caplog.text
    rows = [list(imagenet_classes()).index(label) for label in labels]
    assert torch.equal(loaded.classifier.weight, net.classifier.weight[rows])


def test_only_the_last_layer_of_a_deep_head_loses_rows():
    net = of_timm("caformer_s18")
    head = net.timm_model.head.fc
    hidden = head.fc1.weight.clone()
    assert keep_classes(net, [1, 2], ["a", "b"])
    assert torch.equal(head.fc1.weight, hidden)
    assert head.fc2.weight.shape[0] == 2
