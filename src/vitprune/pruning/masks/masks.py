"""Masks that keep pruned entries of parameters at zero while a model trains."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.pruning.masks.initial import initial_bias_mask, initial_mask
from vitprune.pruning.masks.mask import GradientHook, Mask
from vitprune.pruning.masks.packing import pack, unpack
from vitprune.pruning.masks.sharding import place, snapshot

State = Mapping[str, Mapping[str, Tensor]]


class Masks:
    """The masks of some layers: one for each parameter, also where layers share a parameter.

    The parameters stay ordinary ones of their modules. What is zero in them is pruned.

    With `straight_through` pruned entries are trained as well: they get the gradients that they
    would have if they were kept, and an optimizer changes their dense values, which
    `reveal` puts in place of the zeros for the next step only.

    Args:
        layers: Layers whose weights get masks.
        biases: Layers whose biases get masks, too.
        straight_through: Whether pruned entries are trained as well.

    Attributes:
        layers: The layers whose weights have masks.

    Example:
        >>> from vitprune.pruning import LayerSelection
        >>> net = nn.Linear(2, 1)
        >>> net.weight = nn.Parameter(torch.tensor([[0.0, 3.0]]))
        >>> masks = Masks(LayerSelection().select(nn.Sequential(net)))
        >>> masks[net.weight]
        tensor([[False,  True]])

    """

    def __init__(
        self,
        layers: Iterable[Layer],
        biases: Iterable[Layer] = (),
        *,
        straight_through: bool = False,
    ) -> None:
        self.layers = list(layers)
        self.straight_through = straight_through
        self._masks: dict[nn.Parameter, Mask] = {}  # hashed by identity
        self._handles: list[RemovableHandle] = []
        for layer in self.layers:
            self._add(layer.parameter_name, layer.weight, initial_mask(layer))
        for layer in biases:
            if layer.bias is not None:
                name = f"{layer.parameter_name.removesuffix('weight')}bias"
                self._add(name, layer.bias, initial_bias_mask(layer, layer.bias))

    def _add(self, name: str, parameter: nn.Parameter, keep: Tensor) -> None:
        mask = Mask(name, parameter, keep, straight_through=self.straight_through)
        self._masks.setdefault(parameter, mask)

    def __getitem__(self, parameter: nn.Parameter) -> Tensor:
        """Return the mask itself (not a copy) of a parameter; write to it within `changing` only.

        Returns:
            A boolean tensor of the shape of the parameter, True = keep.

        """
        return self._masks[parameter].keep

    def __contains__(self, parameter: nn.Parameter) -> bool:
        return parameter in self._masks

    def __iter__(self) -> Iterator[Mask]:
        return iter(self._masks.values())

    # ---- in a training loop

    def hold(self, optimizers: Iterable[Optimizer]) -> None:
        """Keep pruned entries at zero from now on.

        Their gradients are zero as soon as they are accumulated, and they are zero again after
        every step of these optimizers. Other masks that held the gradients of these parameters
        before do so no more.

        Raises:
            UsageError: If an optimizer is none of torch, which has no hooks.

        """
        optimizers = list(optimizers)
        for optimizer in optimizers:
            if not isinstance(optimizer, Optimizer):
                raise UsageError(
                    f"{type(optimizer).__name__} is no torch.optim.Optimizer, so pruned weights "
                    "cannot be held at zero after its steps. Derive it from torch.optim.Optimizer."
                )
        self.remove()
        for mask in self:
            mask.follow()
            _release(mask.parameter)
        if not self.straight_through:
            self._handles += [_on_gradient(mask) for mask in self]
        self._handles += [
            optimizer.register_step_post_hook(lambda stepped, *_: self.conceal(stepped))
            for optimizer in optimizers
        ]

    def remove(self) -> None:
        """Stop holding them. No value changes: what was pruned are zeros in plain parameters."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def zero_gradients(self, optimizer: Optimizer) -> None:
        """Set the gradients of pruned entries to zero in the parameters of an optimizer."""
        for mask in self.of(optimizer):
            mask.on_gradient(mask.parameter)

    def reveal(self, optimizer: Optimizer) -> None:
        """Put dense values in place of the zeros in the parameters of an optimizer."""
        for mask in self.of(optimizer):
            mask.reveal()

    def conceal(self, optimizer: Optimizer) -> None:
        """Put the zeros back in the parameters of an optimizer, after its step."""
        for mask in self.of(optimizer):
            mask.conceal()

    def of(self, optimizer: Optimizer) -> list[Mask]:
        """Return the masks of the parameters that an optimizer trains."""
        trained = (value for group in optimizer.param_groups for value in group["params"])
        return [self._masks[value] for value in trained if value in self._masks]

    def restore(self) -> list[str]:
        """Set pruned entries to zero; return the names of parameters where some were not."""
        if not self._masks:
            return []
        found = torch.stack([mask.is_broken() for mask in self]).tolist()
        broken = [mask for mask, is_broken in zip(self, found, strict=True) if is_broken]
        for mask in broken:
            mask.zero()
        return [mask.name for mask in broken]

    def pruned_fraction(self) -> float:
        """Return which fraction of the weights of the layers is pruned, in [0, 1]."""
        kept = sum(int(self[layer.weight].count_nonzero()) for layer in self.layers)
        total = sum(layer.shape.numel() for layer in self.layers)
        return 1 - kept / total if total else 0.0

    # ---- in a round

    def check(self) -> None:
        """Raise `UsageError` if other code has put something else in the place of a parameter."""
        for layer in self.layers:
            if layer.weight not in self:
                raise UsageError(
                    f"{layer.parameter_name} is no longer the parameter that is pruned: other code "
                    "has replaced or parametrized it. Do so before training begins, or exclude "
                    "the layer by pruning.layers.exclude."
                )

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Let masks be written to; afterwards the parameters follow.

        Entries that are kept again have their dense values, if there are any; else they start at
        zero.
        """
        for mask in self:
            mask.reveal()
        try:
            yield
        finally:
            for mask in self:
                mask.follow()
                mask.conceal()

    def zero(self) -> None:
        """Set pruned entries to zero."""
        for mask in self:
            mask.zero()

    # ---- in a checkpoint

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Return masks, as packed bits, and dense values, by name of the parameter."""
        dense = {mask.name: mask.dense for mask in self if mask.dense is not None}
        return {"keep": {mask.name: pack(mask.keep) for mask in self}, "dense": snapshot(dense)}

    def load_state_dict(self, state: State) -> None:
        """Restore masks and dense values, and set pruned entries to zero.

        Raises:
            UsageError: If they are of other parameters.

        """
        _check_names([mask.name for mask in self], list(state["keep"]))
        with self.changing():
            for mask in self:
                mask.keep.copy_(unpack(state["keep"][mask.name], mask.keep.shape))
        for mask in self:
            if mask.dense is not None:
                mask.dense.copy_(place(state["dense"][mask.name], mask.dense))


def _on_gradient(mask: Mask) -> RemovableHandle:
    """Zero the gradient of the pruned entries whenever one is accumulated."""
    parameter = mask.parameter
    is_trained = parameter.requires_grad
    parameter.requires_grad_()  # a frozen parameter takes no hook, and may be trained later
    handle = parameter.register_post_accumulate_grad_hook(mask.on_gradient)
    parameter.requires_grad_(is_trained)
    return handle


def _release(parameter: nn.Parameter) -> None:
    """Take the hooks of earlier masks off a parameter."""
    hooks = parameter._post_accumulate_grad_hooks or {}  # noqa: SLF001 (there is no public access)
    for key in [key for key, hook in hooks.items() if isinstance(hook, GradientHook)]:
        del hooks[key]


def _check_names(ours: list[str], theirs: list[str]) -> None:
    for name in [*ours, *theirs]:
        if name not in theirs:
            raise UsageError(
                f"{name} is to be pruned, and the checkpoint has no mask for it. Resume with the "
                "pruning.layers of the checkpoint, or start a new run from its export."
            )
        if name not in ours:
            raise UsageError(
                f"the checkpoint has a mask for {name}, which is not to be pruned now. Resume with "
                "the pruning.layers of the checkpoint, or start a new run from its export."
            )
