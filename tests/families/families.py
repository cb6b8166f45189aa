"""Small random models of the families that the matrix tests cover.

Each has ten classes, two blocks or more, and needs less than a second to build. Its weights have
the scale of a trained model and are the same in every process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel, ViTImageProcessor

from vitprune.model.loading import net_from_config

CLASSES = 10
NAMES = [str(index) for index in range(CLASSES)]  # those of the digits
LABELS = {
    "id2label": dict(enumerate(NAMES)),
    "label2id": {name: index for index, name in enumerate(NAMES)},
}
VIT = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
SWIN = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
    "mlp_ratio": 2.0,
    "drop_path_rate": 0.0,
}
DINOV3 = {**VIT, "num_register_tokens": 4, "pos_embed_rescale": None}
RELATIVE = {
    "use_relative_position_bias": True,
    "layer_scale_init_value": 0.1,
    "drop_path_rate": 0.0,
}
TEXT = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 50,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
STAGES = {"hidden_sizes": [16, 32, 32, 32], "depths": [1, 1, 1, 1]}
PYRAMID = {**STAGES, "num_attention_heads": [2, 4, 4, 4], "mlp_ratios": [2, 2, 2, 2]}
CONVOLUTIONS = {"hidden_sizes": [16, 32, 32, 32], "depths": [1, 1, 2, 1]}

TIMM_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
TIMM_SWIN = {
    "drop_path_rate": 0.0,
    "img_size": 32,
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}

Structure = Literal["blocks", "masks only"]


@dataclass(frozen=True)
class Family:
    """A family of image classifiers, and how to build a small one.

    Attributes:
        name: Short name, the id of its tests.
        title: Name in the documentation.
        library: Library that defines its modules; models of timm are wrapped by `transformers`.
        build: Returns a new model in evaluation mode, in float32.
        image_size: Side of its images, in pixels.
        structure: Whether its blocks are structured as attention and MLP for pruning, or only masks
            of single layers are promised.

    """

    name: str
    title: str
    library: Literal["transformers", "timm"]
    build: Callable[[], PreTrainedModel] = field(repr=False)
    image_size: int
    structure: Structure = "blocks"

    def images(self, number: int = 4, seed: int = 1) -> Tensor:
        """Return random images, (number, 3, image_size, image_size)."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(number, 3, self.image_size, self.image_size, generator=generator)

    def labels(self, number: int = 4, seed: int = 2) -> Tensor:
        """Return random labels, (number,)."""
        return torch.randint(CLASSES, (number,), generator=torch.Generator().manual_seed(seed))

    def save(self, folder: Path) -> Path:
        """Save a new model as a folder of the hub; models of timm come without a processor."""
        self.build().save_pretrained(folder)
        if self.library == "transformers":
            size = {"height": self.image_size, "width": self.image_size}
            ViTImageProcessor(size=size).save_pretrained(folder)
        return folder


def logits(net: nn.Module, images: Tensor) -> Tensor:
    """Return the logits of images, (B, classes), without gradients."""
    with torch.no_grad():
        output: Tensor = net(pixel_values=images).logits
    return output


def _build(config: Callable[[], Any]) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = net_from_config(config())
        _randomize(net)
        _normalize_batches(net)
    return net.eval()


def _randomize(net: nn.Module) -> None:
    """Replace initial values, often zero or tiny, by random ones of the scale of a trained model.

    Matrices keep the variance of their inputs, vectors stay near their initial value.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise * min(0.5, parameter[0].numel() ** -0.5))
            else:
                parameter.add_(noise * 0.1)


def _normalize_batches(net: nn.Module) -> None:
    """Give batch normalizations the statistics of random images, without which signals fade."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    norms = [module for module in net.modules() if isinstance(module, kinds)]
    for norm in norms:
        norm.momentum = None  # the plain average of all batches, here of one
    if norms:
        logits(net.train(), torch.randn(8, 3, 64, 64))
    for norm in norms:
        norm.momentum = 0.1


def _transformers(
    name: str,
    title: str,
    model_type: str,
    options: Mapping[str, Any],
    *,
    image_size: int = 32,
    structure: Structure = "blocks",
) -> Family:
    config = partial(AutoConfig.for_model, model_type, **options, **LABELS)
    return Family(name, title, "transformers", partial(_build, config), image_size, structure)


def _timm(
    name: str,
    title: str,
    architecture: str,
    options: Mapping[str, Any],
    *,
    image_size: int = 32,
    structure: Structure = "blocks",
) -> Family:
    config = partial(_timm_config, architecture, options, image_size)
    return Family(name, title, "timm", partial(_build, config), image_size, structure)


def _timm_config(architecture: str, options: Mapping[str, Any], image_size: int) -> Any:
    """Return the configuration of a model of timm as its folders on the hub have it."""
    config = AutoConfig.for_model(
        "timm_wrapper", architecture=architecture, model_args=dict(options), **LABELS
    )
    config.pretrained_cfg = {
        "input_size": [3, image_size, image_size],
        "fixed_input_size": "img_size" in options,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "num_classes": CLASSES,
    }
    return config


def _two_towers(**vision: Any) -> dict[str, Any]:
    return {"vision_config": {**VIT, **vision}, "text_config": TEXT}


# NaFlex takes patches of any grid, so it has a number of patches instead of an image size
_PATCHES = {name: value for name, value in VIT.items() if name != "image_size"}

BLOCK_FAMILIES = [
    _transformers("vit", "ViT", "vit", VIT),
    _transformers("deit", "DeiT", "deit", VIT),
    _transformers("vit_msn", "ViT-MSN", "vit_msn", VIT),
    _transformers("ijepa", "I-JEPA", "ijepa", VIT),
    _transformers("dinov2", "DINOv2", "dinov2", {**VIT, "mlp_ratio": 2}),
    _transformers(
        "dinov2_registers",
        "DINOv2 with registers",
        "dinov2_with_registers",
        {**VIT, "mlp_ratio": 2, "num_register_tokens": 4},
    ),
    _transformers(
        "dinov2_swiglu", "DINOv2 with SwiGLU (giant)", "dinov2", {**VIT, "use_swiglu_ffn": True}
    ),
    _transformers("dinov3", "DINOv3", "dinov3_vit", DINOV3),
    _transformers(
        "dinov3_gated",
        "DINOv3 with SwiGLU",
        "dinov3_vit",
        {**DINOV3, "use_gated_mlp": True, "hidden_act": "silu"},
    ),
    _transformers(
        "beit",
        "BEiT",
        "beit",
        {**VIT, **RELATIVE},
    ),
    _transformers(
        "data2vec",
        "Data2Vec",
        "data2vec-vision",
        {**VIT, **RELATIVE},
    ),
    _transformers("siglip", "SigLIP", "siglip", _two_towers()),
    _transformers(
        "siglip2",
        "SigLIP2 (NaFlex)",
        "siglip2",
        {"vision_config": {**_PATCHES, "num_patches": 16}, "text_config": TEXT},
    ),
    _transformers("clip", "CLIP", "clip", _two_towers()),
    _transformers("swin", "Swin", "swin", SWIN),
    _transformers("swinv2", "SwinV2", "swinv2", SWIN),
    _timm("timm_vit", "ViT", "vit_tiny_patch16_224", TIMM_VIT),
    _timm(
        "timm_vit_qknorm",
        "ViT with qk-norm and LayerScale",
        "vit_tiny_patch16_224",
        {**TIMM_VIT, "qk_norm": True, "init_values": 0.1},
    ),
    _timm(
        "timm_vit_registers",
        "ViT with registers (DINOv2)",
        "vit_small_patch14_reg4_dinov2",
        {**TIMM_VIT, "init_values": 0.1},
    ),
    _timm("timm_deit3", "DeiT3", "deit3_small_patch16_224", {**TIMM_VIT, "init_values": 0.1}),
    _timm("timm_dinov3", "DINOv3", "vit_small_patch16_dinov3", TIMM_VIT),
    _timm("timm_dinov3_swiglu", "DINOv3 with SwiGLU", "vit_small_plus_patch16_dinov3", TIMM_VIT),
    _timm(
        "timm_eva02", "EVA-02 tiny, small", "eva02_tiny_patch14_224", {**TIMM_VIT, "mlp_ratio": 3.0}
    ),
    _timm(
        "timm_eva02_base",
        "EVA-02 base, large",
        "eva02_base_patch14_224",
        {**TIMM_VIT, "mlp_ratio": 3.0},
    ),
    _timm("timm_siglip", "SigLIP", "vit_base_patch16_siglip_224", TIMM_VIT),
    _timm("timm_beit", "BEiT", "beit_base_patch16_224", TIMM_VIT),
    _timm("timm_swin", "Swin", "swin_tiny_patch4_window7_224", TIMM_SWIN),
    _timm("timm_swinv2", "SwinV2", "swinv2_tiny_window8_256", TIMM_SWIN),
]
MASK_FAMILIES = [
    _transformers(
        "convnext",
        "ConvNeXt",
        "convnext",
        {**CONVOLUTIONS, "image_size": 64, "patch_size": 2, "layer_scale_init_value": 0.1},
        image_size=64,
        structure="masks only",
    ),
    _transformers(
        "convnextv2",
        "ConvNeXtV2",
        "convnextv2",
        {**CONVOLUTIONS, "image_size": 64, "patch_size": 2},
        image_size=64,
        structure="masks only",
    ),
    _transformers(
        "hiera",
        "Hiera",
        "hiera",
        {
            "image_size": [64, 64],
            "embed_dim": 16,
            "depths": [1, 1, 2, 1],
            "num_heads": [2, 4, 8, 16],
            "mlp_ratio": 2.0,
        },
        image_size=64,
        structure="masks only",
    ),
    _transformers(
        "pvt",
        "PVT",
        "pvt",
        {
            **PYRAMID,
            "image_size": 64,
            "sequence_reduction_ratios": [4, 2, 2, 1],
            "num_labels": CLASSES,
        },
        image_size=64,
        structure="masks only",
    ),
    _transformers(
        "pvt_v2",
        "PVT v2",
        "pvt_v2",
        {**PYRAMID, "image_size": 64, "sr_ratios": [4, 2, 2, 1]},
        image_size=64,
        structure="masks only",
    ),
    _transformers(
        "segformer",
        "SegFormer",
        "segformer",
        {
            **PYRAMID,
            "image_size": 64,
            "sr_ratios": [4, 2, 2, 1],
            "decoder_hidden_size": 32,
            "drop_path_rate": 0.0,
            "classifier_dropout_prob": 0.0,
        },
        image_size=64,
        structure="masks only",
    ),
    _transformers(
        "levit",
        "LeViT",
        "levit",
        {
            "image_size": 64,
            "hidden_sizes": [16, 32, 32],
            "num_attention_heads": [2, 2, 4],
            "depths": [1, 1, 1],
            "key_dim": [8, 8, 8],
        },
        image_size=64,
        structure="masks only",
    ),
    _transformers(
        "mobilevit",
        "MobileViT",
        "mobilevit",
        {
            "image_size": 128,
            "hidden_sizes": [16, 16, 16],
            "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 16],
            "num_attention_heads": 2,
            "mlp_ratio": 2.0,
        },
        image_size=128,
        structure="masks only",
    ),
    _transformers(
        "resnet",
        "ResNet",
        "resnet",
        {**STAGES, "embedding_size": 16, "layer_type": "basic"},
        image_size=64,
        structure="masks only",
    ),
]
FAMILIES = {family.name: family for family in (*BLOCK_FAMILIES, *MASK_FAMILIES)}
