"""Token merging: the blocks of a ViT or DeiT average similar tokens, so later ones have fewer.

Between attention and MLP, each block merges the r most similar pairs of tokens. A merged token has
the average of its tokens weighted by their sizes (the number of patches that each stands for), and
attention counts it as often as its size.

Source: Bolya et al. 2023 (ToMe). There, similarity is that of the keys averaged over the heads.
Here it is that of the keys of all heads without their bias, which does not change when pruned heads
and dimensions of heads are removed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import block_names, find_structure
from vitprune.model.anatomy.names import PRE_NORM_PARTS, SPECIAL_TOKENS
from vitprune.model.anatomy.records import Attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TokenMerging:
    """What the blocks of one model know of each other's merges.

    Args:
        merged: Number of tokens that each block merges.
        special: Number of special tokens, which come first: the class token, and the distillation
            token of DeiT.

    Attributes:
        keys: Output of the key layer, (B, tokens, dimensions), of the blocks that are computing.
        sizes: Size of each token after a block, (B, tokens, 1), of the last batch.

    """

    def __init__(self, merged: int, special: int) -> None:
        self.merged = merged
        self.special = special
        self.keys: dict[int, Tensor] = {}
        self.sizes: dict[int, Tensor] = {}

    @classmethod
    def of(cls, block: nn.Module) -> "TokenMerging | None":
        """Return the merging of a block; None if it merges no tokens."""
        forward = vars(block).get("forward")
        owner = getattr(forward.func, "__self__", None) if isinstance(forward, partial) else None
        return owner if isinstance(owner, cls) else None

    def keep_keys(self, index: int, layer: nn.Linear, _: Any, output: Tensor) -> None:
        """Keep the keys of a block; a hook of its key layer."""
        keys = output.detach()
        self.keys[index] = keys if layer.bias is None else keys - layer.bias.detach()

    def forward(
        self,
        index: int,
        block: nn.Module,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        **options: Any,
    ) -> Tensor:
        """Compute a block, in the middle of which tokens are merged; its `forward`."""
        sizes = self.sizes.get(index - 1)
        if sizes is not None:  # every patch of a merged token gets a share of the softmax
            attention_mask = sizes.to(hidden_states.dtype).log().transpose(1, 2)[:, None]
        else:
            sizes = torch.ones_like(hidden_states[..., :1], requires_grad=False)
        before, attention, after, mlp, dropout = (getattr(block, name) for name in PRE_NORM_PARTS)
        attended, _ = attention(before(hidden_states), attention_mask, **options)
        hidden_states = dropout(attended) + hidden_states
        pairs = match(self.keys.pop(index), self.merged, self.special)
        hidden_states, self.sizes[index] = merge(hidden_states, sizes, *pairs, self.special)
        merged: Tensor = dropout(mlp(after(hidden_states))) + hidden_states
        return merged


def merge_tokens(net: "PreTrainedModel", merged: int) -> None:
    """Let each block of a model merge tokens from now on.

    At most half of the tokens besides the special ones are merged by a block.

    Args:
        net: A ViT or DeiT of `transformers`.
        merged: Number of tokens that each block merges.

    Raises:
        UsageError: If the number is not positive, or the model has other blocks.

    """
    if merged < 1:
        raise UsageError(f"model.token_merging must be at least 1, or 0 for none, not {merged}.")
    family = net.config.model_type
    blocks = [net.get_submodule(name) for name in block_names(net)]
    keys = _key_layers(net)
    fits = all(hasattr(block, part) for block in blocks for part in PRE_NORM_PARTS)
    if family not in SPECIAL_TOKENS or not fits or len(keys) != len(blocks):
        raise UsageError(
            f"model.token_merging supports models of the types {', '.join(SPECIAL_TOKENS)} with an "
            f"attention in every block, and this is a {family}. Set it to 0."
        )
    merging = TokenMerging(merged, SPECIAL_TOKENS[family])
    for index, (block, key) in enumerate(zip(blocks, keys, strict=True)):
        key.register_forward_hook(partial(merging.keep_keys, index))
        block.forward = partial(merging.forward, index, block)


@contextmanager
def merging_paused(model: nn.Module) -> Iterator[None]:
    """Let the blocks of a model merge no tokens until the context ends."""
    merging = {m: m.merged for m in map(TokenMerging.of, model.modules()) if m is not None}
    for one in merging:
        one.merged = 0
    try:
        yield
    finally:
        for one, merged in merging.items():
            one.merged = merged


def _key_layers(net: nn.Module) -> Sequence[nn.Module]:
    """Return the layer of the keys of each attention, in the order of the blocks."""
    attentions = [b for b in find_structure(net).branches if isinstance(b, Attention)]
    keys = {a.block: a.key.layer for a in attentions if a.key.parts == 1 and a.block is not None}
    return [net.get_submodule(keys[block]) for block in sorted(keys)]


def match(keys: Tensor, merged: int, special: int) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the tokens to merge: bipartite soft matching.

    Tokens at even places each choose the most similar token at an odd place; the pairs of largest
    similarity are merged. The class token is not merged, and nothing into a distillation token.

    Args:
        keys: What tokens are compared by, (B, tokens, dimensions).
        merged: Number of pairs.
        special: Number of special tokens.

    Returns:
        Even tokens that stay, (B, evens - pairs), ascending, even tokens that are merged, (B,
        pairs), and the odd tokens that they are merged into, (B, pairs); all as numbers among the
        even or odd tokens.

    """
    count = min(merged, (keys.shape[1] - special) // 2)
    unit = torch.nn.functional.normalize(keys.float(), dim=-1)
    similarity = unit[:, ::2] @ unit[:, 1::2].transpose(1, 2)
    similarity[:, :1] = -torch.inf  # the class token
    if special > 1:
        similarity[:, :, :1] = -torch.inf  # the distillation token
    highest, partners = similarity.max(dim=-1)
    order = highest.sort(dim=-1, descending=True).indices
    sources = order[:, :count]
    return order[:, count:].sort(dim=-1).values, sources, partners.gather(1, sources)


def merge(
    tokens: Tensor,
    sizes: Tensor,
    staying: Tensor,
    sources: Tensor,
    targets: Tensor,
    special: int,
) -> tuple[Tensor, Tensor]:
    """Merge pairs of tokens, and return the tokens and their sizes.

    The even tokens that stay come first, then the odd ones, except for a distillation token, the
    first of the odd tokens, which stays behind the class token.

    Args:
        tokens: (B, tokens, channels).
        sizes: (B, tokens, 1).
        staying: Even tokens that stay; this and the next two are as in `match`.
        sources: Even tokens that are merged.
        targets: Odd tokens that they are merged into.
        special: Number of special tokens.

    """
    weighted = torch.cat([tokens * sizes, sizes], dim=-1)
    evens, odds = weighted[:, ::2], weighted[:, 1::2]
    wide = (-1, -1, weighted.shape[-1])
    odds = odds.scatter_add(
        1, targets[..., None].expand(wide), evens.gather(1, sources[..., None].expand(wide))
    )
    evens = evens.gather(1, staying[..., None].expand(wide))
    first = special // 2  # of both kinds, in front
    parts = [evens[:, :first], odds[:, :first], evens[:, first:], odds[:, first:]]
    merged = torch.cat(parts, dim=1)
    total = merged[..., -1:]
    return merged[..., :-1] / total, total.detach()
