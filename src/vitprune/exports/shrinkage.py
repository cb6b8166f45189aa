"""How much shrinking removes, how many zeros stay, and why."""

from dataclasses import asdict, replace

from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.exports.choices import ShrinkMode
from vitprune.exports.costs import count_parameters
from vitprune.exports.shrink import shrink
from vitprune.exports.verify import largest_difference, logits
from vitprune.model.anatomy.blocks import find_blocks
from vitprune.model.anatomy.widths import read_widths
from vitprune.runs.shrink_report import BlockWidths, ModelWidths, ShrinkReport

PROOF_IMAGES = 4  # float64 is slow
TOLERANCE = 1e-10  # of logits in float64
REASONS = {
    "residual_stream": "channels of the residual stream cannot be removed, because LayerNorm "
    "normalises over all of them",
    "uneven_widths": "plain `transformers` gives all blocks and heads the same widths, so narrower "
    "ones are zero-padded; prune with a uniform granularity, or use `load_pruned`, pt2 or onnx, "
    "where widths differ between blocks",
    "single_weights": "zeros that form no whole head, dimension of a head, neuron or branch",
}


def shrink_and_verify(
    net: PreTrainedModel, mode: ShrinkMode, images: Tensor
) -> tuple[PreTrainedModel, ShrinkReport]:
    """Shrink a model, and compare its logits in float64.

    Args:
        net: Pruned model, in float32 and evaluation mode; it is not changed.
        mode: See `Choices`.
        images: (B, channels, height, width); the first few are compared.

    Returns:
        The smaller model (`net` itself if nothing can be removed), and its report.

    Raises:
        UsageError: If the mode is `required` and zeroed structure stays.
        RuntimeError: If the logits differ.

    """
    if mode == "off":
        return net, ShrinkReport(0, reason="shrinking is off")
    net.double()
    try:
        small = shrink(net)
    except UsageError as error:
        if mode == "required":
            raise
        return net.float(), ShrinkReport(0, reason=str(error))
    difference = 0.0 if small is net else _difference(net, small, images[:PROOF_IMAGES].double())
    net.float()
    small.float()
    report = replace(describe(net, small), largest_logit_difference_float64=difference)
    if mode == "required":
        _check_complete(report)
    return small, report


def _difference(net: PreTrainedModel, small: PreTrainedModel, images: Tensor) -> float:
    return largest_difference(logits(net, images), logits(small, images), TOLERANCE)


def _check_complete(report: ShrinkReport) -> None:
    """Raise `UsageError` if zeroed structure stays, or if there is none to remove."""
    left = [name for name in ("residual_stream", "uneven_widths") if report.stayed[name]]
    if not report.dropped_parameters:
        left.append("single_weights")
    if left:
        why = "; ".join(f"{report.stayed[name]:,} zeros stay: {REASONS[name]}" for name in left)
        raise UsageError(f"--shrink required: {why}.")


def describe(net: PreTrainedModel, small: PreTrainedModel) -> ShrinkReport:
    """Describe what was removed between two models, and the zeros that stay in the smaller one."""
    ragged = shrink(small, ragged=True)
    padding = count_parameters(small) - count_parameters(ragged)
    stayed = count_stayed(ragged)
    stayed["uneven_widths"] += padding
    return ShrinkReport(
        dropped_parameters=count_parameters(net) - count_parameters(small),
        before=_widths(net),
        after=_widths(small),
        blocks=[BlockWidths(**asdict(block.widths)) for block in find_blocks(ragged)],
        dropped_by_load_pruned=padding,
        stayed=stayed,
    )


def count_stayed(net: PreTrainedModel) -> dict[str, int]:
    """Return the number of zeros in the linear layers of the blocks, by the reason they stay."""
    stayed = dict.fromkeys(REASONS, 0)
    for block in find_blocks(net):
        for role, module in block.linear.items():
            zero = module.weight == 0  # (out, in)
            stream_rows = role in ("attn_out", "mlp_out")  # rows write to the residual stream
            in_stream = zero.all(dim=1 if stream_rows else 0, keepdim=True)
            in_width = zero.all(dim=0 if stream_rows else 1, keepdim=True)
            stayed["residual_stream"] += int((zero & in_stream).sum())
            stayed["uneven_widths"] += int((zero & in_width & ~in_stream).sum())
            stayed["single_weights"] += int((zero & ~in_width & ~in_stream).sum())
    return stayed


def _widths(net: PreTrainedModel) -> ModelWidths:
    return ModelWidths(net.config.num_hidden_layers, **asdict(read_widths(net.config)))
