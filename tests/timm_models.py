"""Small models of timm, and folders in its own format."""

import json
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf
from torch import Tensor, nn
from transformers import PreTrainedModel

SIZE = 32
WIDTHS = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
TINY = {"img_size": SIZE, **WIDTHS}


def tiny_timm(architecture: str = "vit_tiny_patch16_224", classes: int = 10, **changes):
    """Return a small model of timm with random weights."""
    torch.manual_seed(0)
    net = timm.create_model(architecture, num_classes=classes, **{**TINY, **changes})
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.2)
    return net.eval()


def save_timm(net: nn.Module, folder: Path, labels: list[str] | None = None) -> Path:
    """Write a folder as timm does for the hub."""
    config = {"label_names": labels} if labels else {}
    save_for_hf(net, folder, config, safe_serialization=True)
    return folder


def in_timms_format(
    net: PreTrainedModel, architecture: str, folder: Path, **pretrained_cfg
) -> Path:
    """Write a ViT of `transformers` as a folder of timm."""
    state = net.state_dict()
    ends = {
        "cls_token": "vit.embeddings.cls_token",
        "pos_embed": "vit.embeddings.position_embeddings",
        "patch_embed.proj": "vit.embeddings.patch_embeddings.projection",
        "norm": "vit.layernorm",
        "head": "classifier",
    }
    block = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.o_proj",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }
    blocks = range(net.config.num_hidden_layers)
    names = dict(ends)
    for number in blocks:
        names |= {f"blocks.{number}.{a}": f"vit.layers.{number}.{b}" for a, b in block.items()}
    theirs = dict[str, Tensor]()
    for name, ours in names.items():
        for end in ("", ".weight", ".bias"):
            if f"{ours}{end}" in state:
                theirs[f"{name}{end}"] = state[f"{ours}{end}"].contiguous()
    for number in blocks:
        for end in ("weight", "bias"):
            parts = [state[f"vit.layers.{number}.attention.{p}_proj.{end}"] for p in "qkv"]
            theirs[f"blocks.{number}.attn.qkv.{end}"] = torch.cat(parts)
    folder.mkdir(exist_ok=True)
    save_file(theirs, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architecture": architecture,
        "num_classes": net.config.num_labels,
        "pretrained_cfg": pretrained_cfg,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder
