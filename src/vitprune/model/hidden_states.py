"""The hidden states that a model returns after its blocks or stages."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import block_names
from vitprune.model.trial import CANNOT_RUN, first_line, trial


@dataclass(frozen=True)
class HiddenStates:
    """The hidden states of a model after its blocks or stages.

    Attributes:
        first: Number of other hidden states before these: 1 if the embeddings come first, else 0.
        shapes: Shape of each hidden state for one image.

    """

    first: int
    shapes: list[tuple[int, ...]]

    @classmethod
    def of(cls, net: PreTrainedModel, shape: tuple[int, int, int]) -> "HiddenStates":
        """Return the hidden states that a model returns for an image.

        Cost: a forward pass of one image.

        Args:
            net: An image classifier that can process images of this shape.
            shape: Shape of the image, (channels, height, width).

        Raises:
            UsageError: If the model does not return hidden states.

        """
        image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
        image = image.to(net.device, net.dtype)
        entering: list[Any] = []
        hooks = [
            net.get_submodule(name).register_forward_pre_hook(
                lambda _, positional, named: entering.extend((*positional, *named.values())),
                with_kwargs=True,
            )
            for name in block_names(net)[:1]
        ]
        try:
            with trial(net), torch.no_grad():
                # net.forward: net() would compile it for a batch of one
                outputs = net.forward(pixel_values=image, output_hidden_states=True)
        except CANNOT_RUN as error:
            raise _no_hidden_states(net, first_line(error)) from error
        finally:
            for hook in hooks:
                hook.remove()
        states = outputs.hidden_states
        if not states:
            raise _no_hidden_states(net, "it returns none")
        embeddings = [value for value in entering if isinstance(value, Tensor)]
        first = int(any(torch.equal(states[0], value) for value in embeddings))
        return cls(first, [tuple(state.shape[1:]) for state in states[first:]])

    def select(self, outputs: Any) -> tuple[Tensor, ...]:
        """Return the hidden states after the blocks or stages from the output of the model."""
        states: tuple[Tensor, ...] = outputs.hidden_states
        return states[self.first :]


def _no_hidden_states(net: PreTrainedModel, reason: str) -> UsageError:
    return UsageError(
        f"{type(net).__name__} returns no hidden states to compare ({reason}). Set "
        "model.distillation.hidden_weight to 0."
    )
