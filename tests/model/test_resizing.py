"""Models for images of another size than their own."""

import pytest
import torch
from transformers import AutoModelForImageClassification

from tests.model.small_models import ALL, small_net
from vitprune.errors import UsageError
from vitprune.model.resizing import for_images_of
from vitprune.model.trial import trial_shape, why_refused

NOT_RESIZED = ("levit",)
BY_THEMSELVES = (
    *("beit", "data2vec-vision", "dinov2", "dinov2_with_registers", "swin", "swinv2"),
    *("pvt_v2", "segformer", "cvt", "convnext", "resnet"),
    *("vit_small_patch16_dinov3", "convnext_tiny"),
)


def logits(net, side, **options):
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return net(pixel_values=images, **options).logits


@pytest.mark.parametrize("side", [96, 64])
@pytest.mark.parametrize("family", [family for family in ALL if family not in NOT_RESIZED])
def test_a_model_of_another_size_loads_with_plain_transformers(tmp_path, family, side):
    net = small_net(family)
    resized = for_images_of(net, side).eval()
    assert (resized is net) == (family in BY_THEMSELVES or side == trial_shape(net.config)[1])
    assert logits(resized, side).isfinite().all()
    resized.save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(logits(loaded, side), logits(resized, side))


@pytest.mark.parametrize("family", ["vit", "deit", "vit_msn", "ijepa", "clip", "siglip"])
def test_position_embeddings_are_those_that_transformers_interpolates(family):
    net = small_net(family)
    part = net.vision_model if family in ("clip", "siglip") else net.base_model
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = part.embeddings(images, interpolate_pos_encoding=True)
    resized = for_images_of(net, 48).eval()
    part = resized.vision_model if family in ("clip", "siglip") else resized.base_model
    with torch.no_grad():
        torch.testing.assert_close(part.embeddings(images), expected)


@pytest.mark.parametrize(
    "family",
    [
        *("vit_tiny_patch16_224", "vit_small_patch14_reg4_dinov2", "vit_base_patch16_siglip_224"),
        *("deit_tiny_distilled_patch16_224", "deit3_small_patch16_224", "eva02_tiny_patch14_224"),
    ],
)
@pytest.mark.parametrize("side", [16, 48])
def test_position_embeddings_are_those_that_timm_interpolates(family, side):
    net = small_net(family)
    resized = for_images_of(net, side)
    net.timm_model.set_input_size((side, side))
    assert net.timm_model.pos_embed.shape != small_net(family).timm_model.pos_embed.shape
    torch.testing.assert_close(resized.timm_model.pos_embed, net.timm_model.pos_embed)
    torch.testing.assert_close(logits(resized.eval(), side), logits(net, side))


def test_relative_positions_of_class_tokens_stay_as_they_are():
    net = small_net("beit_base_patch16_224")
    resized = for_images_of(net, 48)
    ours, theirs = (
        n.timm_model.blocks[0].attn.relative_position_bias_table for n in (resized, net)
    )
    assert (len(theirs), len(ours)) == (7 * 7 + 3, 11 * 11 + 3)
    assert torch.equal(ours[-3:], theirs[-3:])
    assert torch.equal(ours[60], theirs[24])  # distance 0


def test_a_resized_model_states_its_size():
    net = for_images_of(small_net("vit_tiny_patch16_224"), 64)
    assert net.config.model_args["img_size"] == 64
    assert for_images_of(small_net("clip"), 64).config.vision_config.image_size == 64


@pytest.mark.parametrize(
    ("family", "side", "message"),
    [
        ("vit", 33, "multiple of the model's patch size 8, not 33"),
        ("vit", 0, "must be positive, not 0"),
        (
            "levit",
            96,
            r"a levit model cannot process images of 96x96 pixels \(levit\.encoder.*attention_bias"
            r".*\)\. Set data.image_size to 64, the model's own\.",
        ),
        (
            "vit_small_patch16_dinov3",
            33,
            r"a vit_small_patch16_dinov3 model cannot .* divisible by patch size \(8\)\)\. Set "
            "data.image_size to 32, the model's own",
        ),
        (
            "convnext_tiny",
            8,
            r"a convnext_tiny model cannot process images of 8x8 pixels \(.*\)\. Set "
            "data.image_size to another size",
        ),
    ],
)
def test_a_size_that_no_model_can_have_is_refused(family, side, message):
    with pytest.raises(UsageError, match=message):
        for_images_of(small_net(family), side)


@pytest.mark.parametrize("family", ["vit", "levit", "resnet", "vit_tiny_patch16_224"])
def test_a_trial_changes_nothing(family):
    net = small_net(family).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    generator = torch.get_rng_state()
    why_refused(net, 64, 64)
    assert torch.equal(torch.get_rng_state(), generator)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1
    again = small_net(family)
    again.load_state_dict(net.state_dict())
    side = trial_shape(net.config)[1]
    assert torch.equal(logits(net.eval(), side), logits(again, side))


def test_a_model_that_cannot_compute_finite_logits_is_refused():
    net = small_net("vit")
    net.classifier.weight.data.fill_(torch.nan)
    assert why_refused(net, 32, 32) == "its logits are not finite"
