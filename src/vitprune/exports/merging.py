"""Token merging in the formats that are programs."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from lightning.pytorch.utilities.rank_zero import rank_zero_info

from vitprune.errors import UsageError
from vitprune.exports.exported import Exported
from vitprune.exports.formats.format import Format, Program
from vitprune.exports.verify import logits
from vitprune.model.token_merging import merge_tokens


def check_programs(formats: Sequence[Format]) -> None:
    """Raise `UsageError` if a format cannot hold the merging of tokens."""
    if others := [each.name for each in formats if not isinstance(each, Program)]:
        raise UsageError(
            f"--formats {others[0]} stores weights, not the merging of tokens. Set "
            "model.token_merging to 0, or use pt2, onnx or openvino."
        )


def merging_tokens(exported: Exported, tokens: int) -> Exported:
    """Return a model that merges tokens, to be written as programs, with its own accuracy.

    Args:
        exported: The model.
        tokens: Tokens that each block merges.

    """
    rank_zero_info(
        "Plain transformers cannot merge tokens: the folder, its accuracy and its FLOPs are those "
        "of the model without token merging. --formats pt2,onnx,openvino merge tokens."
    )
    reference, smallest = copy.deepcopy((exported.net, exported.smallest))
    for net in (reference, smallest):
        merge_tokens(net, tokens)
    quantization = exported.quantization
    if quantization is not None:  # int8 may lose accuracy relative to this model
        accuracy = quantization.accuracy_of(partial(logits, reference))
        quantization = replace(quantization, accuracy=accuracy)
    return replace(
        exported,
        smallest=smallest,
        logits=logits(reference, exported.images),
        quantization=quantization,
    )
