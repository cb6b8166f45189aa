"""Small models with random weights of many families, of transformers and of timm."""

import pytest
import torch
from transformers import AutoConfig, PreTrainedModel

from vitprune.model.loading import net_from_config

VIT = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 50,
}
SWIN = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "window_size": 4,
}
STAGES = {
    "image_size": 64,
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [8, 8, 16, 16],
    "num_attention_heads": [1, 1, 2, 2],
    "mlp_ratios": [2, 2, 2, 2],
}
BEIT = {"use_relative_position_bias": True, "layer_scale_init_value": 0.1}
FAMILIES = {
    "vit": VIT,
    "deit": VIT,
    "vit_msn": VIT,
    "ijepa": VIT,
    "beit": {**VIT, **BEIT},
    "data2vec-vision": {**VIT, **BEIT},
    "dinov2": {**VIT, "mlp_ratio": 2},
    "dinov2_with_registers": {**VIT, "mlp_ratio": 2, "num_register_tokens": 4},
    "clip": {"vision_config": VIT, "text_config": TEXT},
    "siglip": {"vision_config": VIT, "text_config": TEXT},
    "swin": SWIN,
    "swinv2": SWIN,
    "pvt": {**STAGES, "sequence_reduction_ratios": [4, 2, 2, 1]},
    "pvt_v2": {**STAGES, "sr_ratios": [4, 2, 2, 1]},
    "segformer": {**STAGES, "sr_ratios": [4, 2, 2, 1], "decoder_hidden_size": 16},
    "cvt": {"embed_dim": [8, 8, 16], "num_heads": [1, 1, 2], "depth": [1, 2, 3]},
    "levit": {
        "image_size": 64,
        "hidden_sizes": [8, 8, 16],
        "num_attention_heads": [1, 1, 2],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
    },
    "convnext": {
        "image_size": 64,
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "patch_size": 2,
    },
    "resnet": {
        "embedding_size": 8,
        "hidden_sizes": [8, 8],
        "depths": [1, 1],
        "layer_type": "basic",
    },
}
TIMM_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
TIMM_SWIN = {
    "img_size": 32,
    "patch_size": 2,
    "embed_dim": 8,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "window_size": 4,
}
OF_TIMM = {
    "vit_tiny_patch16_224": TIMM_VIT,
    "vit_small_patch14_reg4_dinov2": TIMM_VIT,
    "vit_base_patch16_siglip_224": TIMM_VIT,
    "deit_tiny_distilled_patch16_224": TIMM_VIT,
    "deit3_small_patch16_224": TIMM_VIT,
    "eva02_tiny_patch14_224": TIMM_VIT,
    "vit_small_patch16_dinov3": TIMM_VIT,
    "beit_base_patch16_224": TIMM_VIT,
    "swin_tiny_patch4_window7_224": TIMM_SWIN,
    "swinv2_tiny_window8_256": TIMM_SWIN,
    "convnext_tiny": {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16]},
}
ALL = [*FAMILIES, *OF_TIMM]


def small_net(family: str, **changes) -> PreTrainedModel:
    """Return a random model in evaluation mode; `changes` are of its configuration."""
    torch.manual_seed(0)
    if family in OF_TIMM:
        pytest.importorskip("timm")
        config = AutoConfig.for_model(
            "timm_wrapper", architecture=family, model_args=OF_TIMM[family], num_labels=10
        )
        config.architectures = ["TimmWrapperForImageClassification"]
    else:
        config = AutoConfig.for_model(family, **{**FAMILIES[family], **changes}, num_labels=10)
    net = net_from_config(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():  # many are zero, or so small that they have no effect
            parameter += 0.1 * torch.randn(parameter.shape)
    return net
