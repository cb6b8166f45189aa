"""Proof that the parameters of a residual stream are those that write and read its channels.

Half of the channels are pruned. Then the columns that read them may have any values, as the stream
is zero there: if a logit changes, something unknown writes to the stream. The entries that write to
them may have any values as well, if nothing reads them: if a logit changes, something unknown does.
Then the tensors lose these channels: the logits stay but for rounding.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from vitprune.errors import UsageError
from vitprune.model.anatomy.stream import Stream
from vitprune.model.channels import KeptChannels, detach
from vitprune.model.narrowing import only_channels

ROUNDING = 0.05  # of the largest logit, also in half precision


@torch.no_grad()
def check_stream(stream: Stream, logits: Callable[[], Tensor]) -> None:
    """Check that no other parts of a model write to its residual stream or depend on it.

    The weights are restored.

    Cost: four forward passes.

    Args:
        stream: The residual stream. Its parameters must not be sharded.
        logits: Runs the model in evaluation mode and returns its logits, or its loss.

    Raises:
        UsageError: If other parts do.

    """
    kept = torch.arange(stream.channels, device=stream.first_norm.parameter.device) % 2 == 0
    before = [(entries.parameter, entries.parameter.clone()) for entries in stream.entries]
    norms = list(stream.norms.values())
    own = KeptChannels.of(norms[0])
    channels = own or KeptChannels(kept)
    keep = channels.keep.clone()
    try:
        channels.write(kept)
        if own is None:
            channels.attach(norms)
        _fill(stream, kept, reads=True, zero=True)
        _fill(stream, kept, reads=False, zero=True)
        pruned = logits()
        _fill(stream, kept, reads=True, zero=False)
        _check_equal(pruned, logits(), "writes to")
        _fill(stream, kept, reads=True, zero=True)
        _fill(stream, kept, reads=False, zero=False)
        _check_equal(pruned, logits(), "reads")
        _fill(stream, kept, reads=False, zero=True)
        _check_removable(stream, kept, pruned, logits)
    finally:
        for parameter, value in before:
            parameter.copy_(value)
        channels.write(keep)
        if own is None:
            for norm in norms:
                detach(norm)


def _check_removable(
    stream: Stream, kept: Tensor, pruned: Tensor, logits: Callable[[], Tensor]
) -> None:
    """Compare logits without the pruned channels, which differ by rounding."""
    try:
        with only_channels(stream, kept.nonzero().squeeze(1)):
            difference = float((logits() - pruned).abs().max())
        reason = None if difference <= ROUNDING * float(pruned.abs().max()) else "logits change"
    except Exception as error:  # of any model
        reason = str(error).strip().split("\n")[0].rstrip(".")
    if reason is not None:
        raise UsageError(
            "pruned channels of the residual stream could not be removed, because the code of the "
            f"model fixes its width ({reason}). Use another granularity, such as Neuron."
        )


def _fill(stream: Stream, kept: Tensor, *, reads: bool, zero: bool) -> None:
    """Give the pruned entries that read, or that write, zeros or random values."""
    generator = torch.Generator().manual_seed(0)
    for entries in stream.entries:
        if entries.reads == reads:
            view = entries.by_channel(entries.parameter)
            values = torch.randn(view[~kept].shape, generator=generator) * (not zero)
            view[~kept] = values.to(view.device, view.dtype)


def _check_equal(before: Tensor, after: Tensor, does: str) -> None:
    """Compare logits that differ by products with zero at most, which are exact."""
    if not torch.equal(before, after):
        raise UsageError(
            f"a part of the model that vitprune does not know {does} the residual stream, so that "
            "its channels cannot be pruned. Use another granularity, such as Neuron."
        )
