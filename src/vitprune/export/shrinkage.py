"""How much shrinking dropped, how much stayed as zeros, and why."""

from dataclasses import asdict
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.export.shrink import shrink
from vitprune.export.verify import PROOF_IMAGES, logits
from vitprune.model.anatomy.blocks import find_blocks
from vitprune.model.anatomy.widths import read_widths

ROUNDING = 1e-10  # of a logit in float64, relative to the largest logit where that is above 1
REASONS = {
    "residual_stream": "channels of the residual stream cannot be dropped: LayerNorm over fewer channels is another function",
    "uneven_widths": "stock models have the same widths in all blocks and heads, so narrower ones are filled up with zeros; "
    "prune with a uniform granularity, or use `load_pruned`, pt2 or onnx, where blocks differ "
    "freely",
    "single_weights": "zeros that make up no whole head, dimension of a head, neuron or branch",
}


def shrink_as_asked(
    net: PreTrainedModel, mode: str, images: Tensor
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Shrink a model and prove, in float64, that its logits are the same.

    Args:
        net: With plain weights in float32, in evaluation mode; it stays as it is.
        mode: `auto` drops what can be dropped, `required` refuses if structure stays behind, `off`
            drops nothing.
        images: (B, channels, height, width); the first few are compared.

    Returns:
        The smaller model (or the same one, if there is nothing to drop), and what the report says
        about it.

    Raises:
        UsageError: If `required` cannot be had.
        RuntimeError: If the logits differ.

    """
    if mode == "off":
        return net, {"dropped_parameters": 0, "reason": "not asked for"}
    try:
        net.double()
        small = shrink(net)
        difference = (
            _difference(net, small, images[:PROOF_IMAGES].double()) if small is not net else 0.0
        )
    except UsageError as error:
        if mode == "required":
            raise
        return net.float(), {"dropped_parameters": 0, "reason": str(error)}
    net.float()
    small.float()
    summary = {**describe(net, small), "largest_logit_difference_float64": difference}
    if mode == "required":
        _require(summary)
    return small, summary


def _difference(net: PreTrainedModel, small: PreTrainedModel, images: Tensor) -> float:
    expected = logits(net, images)
    difference = float((logits(small, images) - expected).abs().max())
    if not difference <= ROUNDING * max(1.0, float(expected.abs().max())):
        raise RuntimeError(
            f"the shrunk model differs from the masked one: logits by {difference}. Nothing was "
            "exported."
        )
    return difference


def _require(summary: dict[str, Any]) -> None:
    left = [name for name in ("residual_stream", "uneven_widths") if summary["stayed"][name]]
    if not summary["dropped_parameters"]:
        left.append("single_weights")
    if left:
        why = "; ".join(f"{summary['stayed'][name]:,} zeros stay: {REASONS[name]}" for name in left)
        raise UsageError(f"--shrink required: {why}.")


def describe(net: PreTrainedModel, small: PreTrainedModel) -> dict[str, Any]:
    """Return what was dropped between two models, and what stays in the smaller one, counted in parameters."""
    ragged = shrink(small, ragged=True)
    stayed = count_stayed(ragged)
    stayed["uneven_widths"] += count(small) - count(ragged)
    return {
        "before": _widths(net),
        "after": _widths(small),
        "blocks": [asdict(block.widths) for block in find_blocks(ragged)],
        "dropped_parameters": count(net) - count(small),
        "dropped_by_load_pruned": count(small) - count(ragged),
        "stayed": stayed,
    }


def count_stayed(net: PreTrainedModel) -> dict[str, int]:
    """Return the number of zeros in the linear layers of the blocks, by the reason why they stay."""
    stayed = dict.fromkeys(REASONS, 0)
    for block in find_blocks(net):
        for role, module in block.linear.items():
            zero = module.weight == 0
            stream, width = (
                (1, 0) if role in ("attn_out", "mlp_out") else (0, 1)
            )  # (out, in) of zero: whole rows, columns
            in_stream, in_width = (
                zero.all(dim=stream, keepdim=True),
                zero.all(dim=width, keepdim=True),
            )
            stayed["residual_stream"] += int((zero & in_stream).sum())
            stayed["uneven_widths"] += int((zero & in_width & ~in_stream).sum())
            stayed["single_weights"] += int((zero & ~in_width & ~in_stream).sum())
    return stayed


def count(net: PreTrainedModel) -> int:
    """Return the number of parameters of a model."""
    return sum(parameter.numel() for parameter in net.parameters())


def _widths(net: PreTrainedModel) -> dict[str, int]:
    return {"blocks": net.config.num_hidden_layers, **asdict(read_widths(net.config))}
