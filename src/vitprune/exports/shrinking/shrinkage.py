"""How much shrinking removes, how many zeros stay, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.choices import ShrinkMode
from vitprune.exports.costs import count_parameters
from vitprune.exports.shrinking.analysis import TOLERANCE
from vitprune.exports.shrinking.parts import kind_of
from vitprune.exports.shrinking.shrink import shrink_both
from vitprune.exports.shrinking.stream import is_plain, pruned_channels
from vitprune.exports.shrinking.survivors import keeps_whole_heads, width_of
from vitprune.exports.verify import largest_difference, logits
from vitprune.model.anatomy.layers import Structure, block_names, find_structure
from vitprune.model.anatomy.records import Attention
from vitprune.model.anatomy.widths import changed_settings
from vitprune.runs.shrink_report import BlockWidths, ModelWidths, ShrinkReport

PROOF_IMAGES = 4  # float64 is slow
REASONS = {
    "residual_stream": "channels of the residual stream cannot be removed, because LayerNorm "
    "normalises over all of them",
    "uneven_widths": "padding, because the configuration cannot express these widths, such as "
    "fewer heads in a model of timm or different widths in each block; `load_pruned`, pt2 and onnx "
    "remove it, except in a head with fewer zeros than another head of its layer",
    "fixed_widths": "heads, dimensions of heads or neurons that the code of the model cannot have "
    "in a smaller number",
    "single_weights": "zeros that form no whole head, dimension of a head, neuron or branch",
}


@dataclass(frozen=True)
class Shrunk:
    """A shrunk model.

    Attributes:
        net: The model that plain loading builds; the pruned one itself if nothing can be removed.
        smallest: The same function with individual widths; `net` itself if that saves nothing.
        report: What was removed, and which zeros stay.

    """

    net: PreTrainedModel
    smallest: PreTrainedModel
    report: ShrinkReport


def shrink_and_verify(net: PreTrainedModel, mode: ShrinkMode, images: Tensor) -> Shrunk:
    """Shrink a model, and compare its logits in float64.

    Args:
        net: Pruned model, in float32 and evaluation mode; it is not changed.
        mode: See `Choices`.
        images: (B, channels, height, width); the first few are compared.

    Raises:
        UsageError: If the mode is `required` and zeroed structure stays.
        RuntimeError: If the logits differ.

    """
    if mode == "off":
        return Shrunk(net, net, ShrinkReport(0, reason="shrinking is off"))
    net.double()
    few = images[:PROOF_IMAGES].double()
    try:
        shrunk = shrink_and_describe(net, few[:1])
    except UsageError as error:
        if mode == "required" or pruned_channels(net) is not None:
            raise
        net.float()
        return Shrunk(net, net, ShrinkReport(0, reason=str(error)))
    smaller = [one for one in (shrunk.net, shrunk.smallest) if one is not net]
    expected = logits(net, few) if smaller else few
    found = [largest_difference(expected, logits(one, few), TOLERANCE) for one in smaller]
    for one in (net, *smaller):
        one.float()
    report = replace(shrunk.report, largest_logit_difference_float64=max(found, default=0.0))
    if mode == "required":
        _check_complete(report)
    return replace(shrunk, report=report)


def _check_complete(report: ShrinkReport) -> None:
    """Raise `UsageError` if zeroed structure stays, or if there is none to remove."""
    structural = ("residual_stream", "uneven_widths", "fixed_widths")
    stays = [name for name in structural if report.stayed[name]]
    if not report.dropped_parameters:
        stays.append("single_weights")
    if stays:
        why = "; ".join(f"{report.stayed[name]:,} zeros stay: {REASONS[name]}" for name in stays)
        raise UsageError(f"--shrink required: {why}.")


def shrink_and_describe(net: PreTrainedModel, images: Tensor | None = None) -> Shrunk:
    """Shrink a model, and describe what was removed and which zeros stay.

    Args:
        net: Pruned model; it is not changed.
        images: Images of the trial, (B, channels, height, width); see `shrink`.

    """
    smaller = shrink_both(net, images)
    small, smallest = smaller.plain, smaller.ragged
    padding = count_parameters(small) - count_parameters(smallest)
    stayed = count_stayed(smallest, smaller.left)
    stayed["uneven_widths"] += padding
    report = ShrinkReport(
        dropped_parameters=count_parameters(net) - count_parameters(small),
        before=widest(net),
        after=widest(small),
        blocks=widths_of_blocks(smallest),
        dropped_by_load_pruned=padding,
        narrowed_by_load_pruned=_narrowed(small, smallest),
        stayed=stayed,
        left=smaller.left,
        settings_before=changed_settings(small.config, net.config),
    )
    return Shrunk(small, smallest, replace(report, loads_smaller=_loaders(net, small, report)))


def _narrowed(net: PreTrainedModel, small: PreTrainedModel) -> list[str]:
    """Return the widths that a block has less of in the second model, as `BlockWidths` has them."""
    pairs = list(zip(widths_of_blocks(net), widths_of_blocks(small), strict=False))
    found = {
        "heads": any(a.heads > b.heads for a, b in pairs),
        "head_dim": any(a.head_dim > b.head_dim for a, b in pairs if b.heads),
        "neurons": any(a.neurons > b.neurons for a, b in pairs),
    }
    return [name for name, is_narrower in found.items() if is_narrower]


def _loaders(net: PreTrainedModel, small: PreTrainedModel, report: ShrinkReport) -> list[str]:
    """Return what loads a smaller model."""
    timm = ["timm.create_model"] if hasattr(net, "timm_model") else []
    plain = ["transformers", *timm] if report.dropped_parameters and is_plain(small) else []
    smaller = report.dropped_parameters + report.dropped_by_load_pruned
    return [*plain, "load_pruned"] if smaller else []


def count_stayed(net: PreTrainedModel, left: Mapping[str, str]) -> dict[str, int]:
    """Return the number of zeros in attentions and MLPs, by the reason they stay.

    Args:
        net: The smallest model.
        left: Kinds of branches that keep their width, see `Analysis`.

    """
    stayed = dict.fromkeys(REASONS, 0)
    for layer in find_structure(net).layers:
        if layer.branch is None or layer.weight.ndim > 2:
            continue
        zero = layer.weight == 0  # (out, in)
        stream_rows = layer.role in ("attn_out", "mlp_out")  # rows write to the residual stream
        in_stream = zero.all(dim=1 if stream_rows else 0, keepdim=True)
        in_width = zero.all(dim=0 if stream_rows else 1, keepdim=True)
        is_fixed = kind_of(layer.branch, net) in left or keeps_whole_heads(layer.branch)
        width = "fixed_widths" if is_fixed else "uneven_widths"
        stayed["residual_stream"] += int((zero & in_stream).sum())
        stayed[width] += int((zero & in_width & ~in_stream).sum())
        stayed["single_weights"] += int((zero & ~in_width & ~in_stream).sum())
    return stayed


def widest(net: PreTrainedModel) -> ModelWidths:
    """Return the number of blocks, and their largest widths."""
    widths = widths_of_blocks(net)
    return ModelWidths(
        blocks=len(widths),
        heads=max((block.heads for block in widths), default=0),
        head_dim=max((block.head_dim for block in widths), default=0),
        neurons=max((block.neurons for block in widths), default=0),
        channels=find_structure(net).stream.channels,
    )


def widths_of_blocks(net: nn.Module) -> list[BlockWidths]:
    """Return the widths of each block."""
    structure = find_structure(net)
    return [_of_block(structure, number) for number in range(len(block_names(net)))]


def _of_block(structure: Structure, number: int) -> BlockWidths:
    layers = {layer.name: layer for layer in structure.layers}
    widths = BlockWidths(0, 0, 0)
    for branch in structure.branches:
        if branch.block != number:
            continue
        width = width_of(branch, layers)
        if isinstance(branch, Attention):
            widths = replace(widths, heads=width.groups, head_dim=width.size)
        else:
            widths = replace(widths, neurons=width.groups)
    return widths
