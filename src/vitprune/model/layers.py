"""The only file that knows how Hugging Face names the parts of a Vision Transformer."""

import re
from dataclasses import dataclass

from torch import Tensor, nn

# The first pattern that matches the end of a module's name gives its role. Both generations of names are known: those of
# transformers 5 (q_proj) and the older ones (attention.query), which some families still use.
ROLE_PATTERNS = {
    "query": r"(q_proj|attention\.query)",
    "key": r"(k_proj|attention\.key)",
    "value": r"(v_proj|attention\.value)",
    "attn_out": r"(o_proj|attention\.output\.dense)",
    "mlp_in": r"(mlp\.fc1|intermediate\.dense|mlp\.weights_in)",
    "mlp_out": r"(mlp\.fc2|output\.dense|mlp\.weights_out)",
    "patch_embed": r"(patch_embeddings?\.projection|patch_embed\.proj)",
    "classifier": r"(\w*classifier)",
}
OTHER_ROLE = "other"  # any other linear or convolutional layer
ROLES = (*ROLE_PATTERNS, OTHER_ROLE)
BLOCK_PATTERN = re.compile(r"(?:^|\.)(?:layers?|blocks?)\.(\d+)\.")


@dataclass(frozen=True)
class Layer:
    """A layer with a weight matrix, and its place in the transformer.

    Attributes:
        name: Its dotted name in the model.
        module: The module that owns `weight`, of shape (out, in) or (out, in, height, width).
        role: One of `ROLES`.
        block: Index of its transformer block; None outside of the blocks.

    """

    name: str
    module: nn.Module
    role: str
    block: int | None

    @property
    def weight(self) -> Tensor:
        """The weight as the forward pass sees it."""
        return self.module.weight  # type: ignore[return-value]


def find_layers(model: nn.Module) -> list[Layer]:
    """Return every linear and convolutional layer of a model, in the order of its modules."""
    return [
        Layer(name, module, role_of(name), block_of(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]


def role_of(name: str) -> str:
    """Return the role of a layer of this name, one of `ROLES`."""
    return next((role for role, end in ROLE_PATTERNS.items() if re.search(rf"(^|\.){end}$", name)), OTHER_ROLE)


def block_of(name: str) -> int | None:
    """Return the index of the block that a layer of this name is in; None outside of the blocks."""
    found = BLOCK_PATTERN.search(name)
    return int(found.group(1)) if found else None
