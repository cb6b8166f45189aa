"""Attention as plain matrix products, for tools that look at single operations."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel


@contextmanager
def eager_attention(net: PreTrainedModel) -> Iterator[None]:
    """Compute attention without fused kernels until the block ends.

    Models that always call `scaled_dot_product_attention` use its kernel of matrix products.
    """
    implementation = _attention_of(net)
    net.set_attn_implementation("eager")
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        net.set_attn_implementation(implementation)


def _attention_of(net: PreTrainedModel) -> str:
    """Return the name of the attention in use; `transformers` has no public way to ask for it."""
    return net.config._attn_implementation  # noqa: SLF001
