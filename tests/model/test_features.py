"""Backbones as classifiers of their features."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

from tests.model.test_headless import IMAGES, SIZES
from vitprune.errors import UsageError
from vitprune.model.features import load_classifier_or_features, save_backbone


def save(model_type, folder):
    torch.manual_seed(0)
    net = AutoModel.from_config(AutoConfig.for_model(model_type, **SIZES)).eval()
    net.save_pretrained(folder)
    return net


@pytest.mark.parametrize("model_type", ["vit", "dinov2", "dinov3_vit"])
def test_the_logits_of_a_backbone_are_what_its_classifier_would_read(model_type, tmp_path):
    backbone = save(model_type, tmp_path / "backbone")
    net, is_backbone = load_classifier_or_features(str(tmp_path / "backbone"), "MODEL")
    assert is_backbone
    states = backbone(pixel_values=IMAGES).last_hidden_state
    expected = {
        "vit": states[:, 0],
        "dinov2": torch.cat([states[:, 0], states[:, 1:].mean(1)], 1),
        "dinov3_vit": states[:, 0],
    }
    logits = net.eval()(pixel_values=IMAGES).logits
    torch.testing.assert_close(logits, expected[model_type], rtol=0, atol=1e-6)
    save_backbone(net, str(tmp_path / "backbone"), tmp_path / "again")
    again = AutoModel.from_pretrained(tmp_path / "again").eval()
    found, wanted = again(pixel_values=IMAGES), backbone(pixel_values=IMAGES)
    torch.testing.assert_close(found.last_hidden_state, states)
    torch.testing.assert_close(found.pooler_output, wanted.pooler_output)  # of ViT a part of it


def test_a_classifier_stays_one():
    net, is_backbone = load_classifier_or_features("digits", "MODEL")
    assert not is_backbone
    assert net.config.num_labels == 10


def test_a_pooling_head_that_the_features_do_not_use_is_refused(tmp_path):
    save("siglip_vision_model", tmp_path / "backbone")
    with pytest.raises(UsageError, match=r"do not depend on, such as vision_model\.head"):
        load_classifier_or_features(str(tmp_path / "backbone"), "MODEL")
