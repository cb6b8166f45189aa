"""Models whose residual stream lost channels: all tensors without them, on disk and in memory."""

import copy
from collections.abc import Mapping

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel

from vitprune.model.anatomy.layers import find_structure
from vitprune.model.anatomy.widths import FAMILIES
from vitprune.model.channels import KeptChannels
from vitprune.model.loading import net_from_config
from vitprune.model.narrowing import keep_channels
from vitprune.model.timm import names_on_disk
from vitprune.runs.run_folder import ExportFolder


def pruned_channels(net: nn.Module) -> Tensor | None:
    """Return the numbers of the kept channels if the norms of a model leave others out."""
    stream = find_structure(net).stream
    channels = None if stream.obstacle else KeptChannels.of(stream.first_norm.module)
    if channels is None or channels.keep.all():
        return None
    return channels.keep.nonzero().squeeze(1)


def without_pruned_channels(net: PreTrainedModel) -> PreTrainedModel:
    """Return the same model with the kept channels only; `net` itself if none is pruned."""
    kept = pruned_channels(net)
    if kept is None:
        return net
    small = copy.deepcopy(net)
    keep_channels(find_structure(small).stream, kept)
    return small


def fit_stream(built: PreTrainedModel, channels: int) -> PreTrainedModel:
    """Give a newly built model that many channels, in place, if it has more; return it."""
    stream = find_structure(built).stream
    if stream.obstacle is None and 0 < channels < stream.channels:
        device = stream.first_norm.parameter.device
        keep_channels(stream, torch.arange(channels, device=device))
    return built


def fit_to_state(built: PreTrainedModel, state: Mapping[str, Tensor]) -> None:
    """Give a newly built model as many channels as its weights have, in place."""
    stream = find_structure(built).stream
    if stream.obstacle is None:
        fit_stream(built, len(state[stream.first_norm.name]))


def is_plain(net: PreTrainedModel) -> bool:
    """Return whether the configuration of a model names its number of channels."""
    stream = find_structure(net).stream
    if stream.obstacle is not None:
        return True
    with torch.device("meta"):
        built = net_from_config(copy.deepcopy(net.config))
    return find_structure(built).stream.channels == stream.channels


def names_channels(net: PreTrainedModel) -> bool:
    """Return whether a configuration names channels and dimensions of heads independently."""
    family = FAMILIES.get(net.config.model_type)
    return family is not None and None not in (family.channels, family.head_dim)


def save(net: PreTrainedModel, folder: ExportFolder) -> None:
    """Save configuration and weights.

    Plain `transformers` loads them if the configuration names the number of channels. It raises an
    error otherwise, as shapes differ; `load_narrow` loads these.
    """
    if is_plain(net):
        net.save_pretrained(folder.path, state_dict=names_on_disk(net))
        return
    net.config.save_pretrained(folder.path)
    state = {name: value.contiguous() for name, value in net.state_dict().items()}
    save_file(state, folder.weights, metadata={"format": "pt"})


def load_narrow(folder: ExportFolder) -> PreTrainedModel | None:
    """Return the model of a folder that only this package loads; None if it is not such a folder.

    The model is in evaluation mode, in the type of the stored weights.
    """
    config = AutoConfig.from_pretrained(folder.path)
    with torch.device("meta"):
        stream = find_structure(net_from_config(copy.deepcopy(config))).stream
    if stream.obstacle is not None:
        return None
    name = stream.first_norm.name
    with safe_open(folder.weights, framework="pt") as tensors:
        stored = set(tensors.keys())
        channels = tensors.get_slice(name).get_shape()[0] if name in stored else stream.channels
    if channels == stream.channels:
        return None
    net = fit_stream(net_from_config(config), channels)
    state = load_file(folder.weights)
    net.to(state[name].dtype).load_state_dict(state)
    return net.eval()
