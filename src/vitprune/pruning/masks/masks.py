"""Masks that keep pruned entries of parameters at zero while a model is trained."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import Layer
from vitprune.model.anatomy.stream import Stream
from vitprune.pruning.masks.initial import initial_bias_mask, initial_mask
from vitprune.pruning.masks.mask import Mask
from vitprune.pruning.masks.packing import pack, unpack
from vitprune.pruning.masks.sharding import place, snapshot
from vitprune.pruning.masks.stream import channel_mask, kept_channels

State = Mapping[str, Mapping[str, Tensor]]


class Masks:
    """The masks of some layers: one for each parameter, also if layers share it.

    The parameters stay ordinary parameters of their modules, whose pruned entries are zero. Entries
    that are zero at the beginning are pruned.

    With `straight_through`, pruned entries are trained as well. They are zero in the forward pass,
    but have the gradients that they would have if they were kept. Their dense values are stored
    apart; call `before_step` to put them into the parameters for one optimizer step.

    Cost: one byte of memory for each weight, one bit in checkpoints; with `straight_through` also a
    copy of the weights in both.

    Args:
        layers: Layers whose weights have masks.
        biases: Layers whose biases have masks as well.
        stream: Residual stream whose channels are pruned: all of its parameters have masks, and its
            norms normalise over the kept channels, also after `remove`; None if none are.
        straight_through: Whether pruned entries are trained as well.

    Attributes:
        layers: The layers whose weights have masks.
        channels: The kept channels of the residual stream, as its norms see them; None without
            `stream`.

    Examples:
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
        stream: Stream | None = None,
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
        self._stream = stream
        self.channels = None if stream is None else kept_channels(stream)
        if stream is not None and self.channels is not None:
            for entries in stream.entries:
                if entries.parameter not in self:
                    mask = channel_mask(stream, entries.parameter, self.channels.keep)
                    self._add(entries.name, entries.parameter, mask)
            self.channels.attach(stream.norms.values())

    def _add(self, name: str, parameter: nn.Parameter, keep: Tensor) -> None:
        mask = Mask(name, parameter, keep, straight_through=self.straight_through)
        self._masks.setdefault(parameter, mask)

    def __getitem__(self, parameter: nn.Parameter) -> Tensor:
        """Return the mask of a parameter: not a copy. Write to it only within `changing`.

        Returns:
            A boolean tensor of the shape of the parameter, True = keep.

        Raises:
            KeyError: If the parameter has no mask.

        """
        if parameter not in self._masks:
            raise KeyError(f"a parameter of shape {tuple(parameter.shape)} has no mask")
        mask = self._masks[parameter]
        mask.keep = mask.keep.to(parameter.device)  # which a Trainer moves back to the CPU
        return mask.keep

    def __contains__(self, parameter: nn.Parameter) -> bool:
        return parameter in self._masks

    def __iter__(self) -> Iterator[Mask]:
        return iter(self._masks.values())

    # ---- in a training loop

    def enforce(self, *optimizers: Optimizer) -> None:
        """Keep pruned entries at zero while these optimizers train, until `remove`.

        Hooks set the gradients of pruned entries to zero when they are accumulated (not with
        `straight_through`), and pruned entries to zero after every step of these optimizers. Hooks
        of an earlier call, and those of other masks of the same parameters, are removed.

        Raises:
            UsageError: If an optimizer is none of torch, which has no hooks.

        """
        for optimizer in optimizers:
            if not isinstance(optimizer, Optimizer):
                raise UsageError(
                    f"{type(optimizer).__name__} is no torch.optim.Optimizer, so pruned weights "
                    "cannot be set to zero after its steps. Derive it from torch.optim.Optimizer."
                )
        self.remove()
        for mask in self:
            mask.refresh()
        self._write_channels()
        if not self.straight_through:
            self.enforce_gradients()
        self._handles += [
            optimizer.register_step_post_hook(lambda stepped, *_: self.after_step(stepped))
            for optimizer in optimizers
        ]

    def enforce_gradients(self) -> None:
        """Set the gradients of pruned entries to zero when they are accumulated, until `remove`."""
        self._handles += [mask.attach_gradient_hook() for mask in self]

    def remove(self) -> None:
        """Remove the hooks. No value changes: pruned entries are zeros in ordinary parameters."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def before_step(self, optimizer: Optimizer) -> None:
        """Prepare the parameters of an optimizer for its step, after the backward pass.

        Their gradients are zero where they are pruned, whatever changed them after they were
        accumulated. With `straight_through`, dense values are put into the parameters instead.
        """
        for mask in self.trained_by(optimizer):
            if self.straight_through:
                mask.put_dense()
            else:
                mask.on_gradient(mask.parameter)

    def after_step(self, optimizer: Optimizer) -> None:
        """Set pruned entries of the parameters of an optimizer to zero; store dense values."""
        for mask in self.trained_by(optimizer):
            mask.apply()

    def trained_by(self, optimizer: Optimizer) -> list[Mask]:
        """Return the masks of the parameters that an optimizer trains."""
        trained = (value for group in optimizer.param_groups for value in group["params"])
        return [self._masks[value] for value in trained if value in self._masks]

    def apply(self) -> None:
        """Set pruned entries to zero, without waiting for a GPU."""
        for mask in self:
            mask.apply()

    def restore(self) -> list[str]:
        """Set pruned entries to zero that other code has changed, and say where it has.

        It looks at all parameters and waits for a GPU; `apply` does neither.

        Returns:
            The names of the parameters that had other values.

        """
        if not self._masks:
            return []
        found = torch.stack([mask.has_nonzero_pruned() for mask in self]).tolist()
        changed = [mask for mask, is_changed in zip(self, found, strict=True) if is_changed]
        for mask in changed:
            mask.apply()
        return [mask.name for mask in changed]

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
            mask.put_dense()
        try:
            yield
        finally:
            for mask in self:
                mask.refresh()
            self.apply()
            self._write_channels()

    def _write_channels(self) -> None:
        if self._stream is not None and self.channels is not None:
            self.channels.write(self[self._stream.first_norm.parameter])

    def pruned_fraction(self) -> float:
        """Return which fraction of the weights of the layers is pruned, in [0, 1]."""
        kept = sum(int(self[layer.weight].count_nonzero()) for layer in self.layers)
        total = sum(layer.shape.numel() for layer in self.layers)
        return 1 - kept / total if total else 0.0

    # ---- in a checkpoint

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Return masks and dense values, by name of the parameter.

        Returns:
            `keep`: each mask as bits (see `pack`); `dense`: whole tensors on the CPU, empty without
            `straight_through`.

        """
        dense = {mask.name: mask.dense for mask in self if mask.dense is not None}
        return {"keep": {mask.name: pack(mask.keep) for mask in self}, "dense": snapshot(dense)}

    def load_state_dict(self, state: State) -> None:
        """Restore masks and dense values, and set pruned entries to zero.

        Raises:
            UsageError: If the state has masks of other parameters.

        """
        _check_names([mask.name for mask in self], list(state["keep"]))
        with self.changing():
            for mask in self:
                mask.keep.copy_(unpack(state["keep"][mask.name], mask.keep.shape))
        for mask in self:
            if mask.dense is not None:
                mask.dense.copy_(place(state["dense"][mask.name], mask.dense))


def _check_names(ours: list[str], theirs: list[str]) -> None:
    for name in [*ours, *theirs]:
        if name not in theirs:
            raise UsageError(
                f"the checkpoint has no mask for {name}, which is one of the layers to prune. "
                "Resume with the pruning.layers of the checkpoint, or start a new run from its "
                "export or weights."
            )
        if name not in ours:
            raise UsageError(
                f"the checkpoint has a mask for {name}, which is not one of the layers to prune. "
                "Resume with the pruning.layers of the checkpoint, or start a new run from its "
                "export or weights."
            )
