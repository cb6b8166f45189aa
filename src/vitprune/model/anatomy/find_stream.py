"""Finding the residual stream: what each parameter of a model does to it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import nn

from vitprune.model.anatomy.names import alternatives, attention_names
from vitprune.model.anatomy.records import Attention, Branch, output_of
from vitprune.model.anatomy.stream import Entries, Stream, is_norm

if TYPE_CHECKING:
    from vitprune.model.anatomy.layers import Layer

OUT = 0  # dimension of a weight that counts its outputs
IN = 1


class _ObstacleError(Exception):
    """The model has no stream of one width, or an unknown part reads or writes it."""


def find_stream(
    model: nn.Module,
    layers: Sequence["Layer"],
    branches: Sequence[Branch],
    others: Sequence[str] = (),
) -> Stream:
    """Return the residual stream of a model, or why it has none that is known.

    Args:
        model: Any module.
        layers: Its layers; see `find_structure`.
        branches: Its attentions and MLPs.
        others: Names of parts that are models themselves, and are left out.

    """

    def is_own(name: str) -> bool:
        return not any(f"{name}.".startswith(f"{other}.") for other in others)

    own = [branch for branch in branches if is_own(branch.name)]
    modules = {name: module for name, module in model.named_modules() if is_own(name)}
    try:
        finder = _Finder(modules, [layer for layer in layers if is_own(layer.name)], own)
        return finder.stream()
    except _ObstacleError as obstacle:
        return Stream(0, obstacle=str(obstacle))


class _Finder:
    """Sorts the parameters of a model by what they do to the residual stream."""

    def __init__(
        self,
        modules: dict[str, nn.Module],
        layers: Sequence["Layer"],
        branches: Sequence[Branch],
    ) -> None:
        self.modules = modules
        self.layers = {layer.name: layer for layer in layers}
        self.branches = branches
        self.channels = self._count()
        self.entries: list[Entries] = []
        self.norms: dict[str, nn.Module] = {}
        self.parameters = {
            parameter: f"{name}.{attribute}".lstrip(".")
            for name, module in modules.items()
            for attribute, parameter in module.named_parameters(recurse=False)
        }
        self.left = set(self.parameters)

    def stream(self) -> Stream:
        """Return the stream."""
        for branch in self.branches:
            self._add_branch(branch)
        self._add_other_layers()
        self._add_norms()
        self._add_rest()
        weights = frozenset(
            self.layers[name].parameter_name
            for branch in self.branches
            if branch.block is not None
            for name in branch.roles
        )
        return Stream(self.channels, tuple(self.entries), weights, self.norms)

    def _count(self) -> int:
        """Return the number of channels that all blocks write."""
        blocks = [branch for branch in self.branches if branch.block is not None]
        shared = [name for branch in blocks for name in branch.roles if name not in self.layers]
        if shared:
            raise _ObstacleError(f"{shared[0]} shares its weight with another layer")
        widths = {self.layers[output_of(branch)].shape[OUT] for branch in blocks}
        if not widths:
            raise _ObstacleError("vitprune knows no attention and no MLP in its blocks")
        if len(widths) > 1:
            listed = ", ".join(map(str, sorted(widths)))
            raise _ObstacleError(f"its blocks have residual streams of {listed} channels")
        return widths.pop()

    # ---- layers

    def _add_branch(self, branch: Branch) -> None:
        if isinstance(self.modules[branch.name], nn.MultiheadAttention):
            raise _ObstacleError(
                f"the heads of {branch.name} (nn.MultiheadAttention) are in all as wide as the "
                "residual stream"
            )
        for name in branch.roles:
            if name not in self.layers:
                raise _ObstacleError(f"{name} shares its weight with another layer")
            layer = self.layers[name]
            dim = OUT if name == output_of(branch) else IN
            if layer.shape[dim] != self.channels:
                raise _ObstacleError(
                    f"{name} has {layer.shape[dim]} channels and the blocks {self.channels}"
                )
            self._add_layer(layer, dim)

    def _add_layer(self, layer: "Layer", *dims: int) -> None:
        """Add rows (with the bias) or columns of a layer."""
        if layer.is_transposed or layer.convolution_groups > 1:
            raise _ObstacleError(f"{layer.name} is a grouped or transposed convolution")
        for dim in dims:
            repeats = layer.shape[dim] // self.channels
            entries = Entries(
                layer.parameter_name, layer.module, layer.attribute, dim, repeats, dim == IN
            )
            self._add(entries)
        if OUT in dims and layer.bias is not None:
            bias = layer.attribute.replace("weight", "bias")
            self._add(Entries(self.parameters[layer.bias], layer.module, bias, OUT))

    def _add(self, entries: Entries) -> None:
        self.left.discard(entries.parameter)
        self.entries.append(entries)

    def _add_other_layers(self) -> None:
        """Add the stem, the classifier, and other layers outside of the blocks."""
        in_branches = {name for branch in self.branches for name in branch.roles}
        convolutions = {getattr(branch, "depthwise", None) for branch in self.branches}
        stem = [layer.name for layer in self.layers.values() if layer.role == "patch_embed"]
        for layer in self.layers.values():
            for parameter in (layer.weight, layer.bias):
                if parameter is not None:
                    self.left.discard(parameter)
            if layer.name in in_branches or layer.name in convolutions:
                continue
            if layer.role == "patch_embed":
                if layer.name == stem[-1]:
                    self._add_stem(layer)
                continue
            outputs, inputs = layer.shape[:2]
            reads = inputs % self.channels == 0
            writes = outputs == self.channels and layer.role != "classifier"
            if not reads and not writes:
                continue
            if layer.block is not None or self._attention_around(layer.name):
                raise _ObstacleError(f"vitprune does not know what {layer.name} does")
            self._add_layer(layer, *[OUT] * writes, *[IN] * reads)

    def _add_stem(self, layer: "Layer") -> None:
        if layer.shape[OUT] != self.channels:
            raise _ObstacleError(
                f"{layer.name} has {layer.shape[OUT]} channels and the blocks {self.channels}"
            )
        self._add_layer(layer, OUT)

    def _attention_around(self, name: str) -> bool:
        """Return whether a module is inside of an attention."""
        attentions = [b.name for b in self.branches if isinstance(b, Attention)]
        return any(f"{name}.".startswith(f"{attention}.") for attention in attentions)

    # ---- norms

    def _add_norms(self) -> None:
        inner = {*self._inner_norms(), *self._norms_before_the_stem()}
        for name, module in self.modules.items():
            if not is_norm(module):
                continue
            own = dict(module.named_parameters(recurse=False))
            if name in inner:
                self.left -= set(own.values())
            elif tuple(getattr(module, "normalized_shape", ())) == (self.channels,) or any(
                tuple(parameter.shape) == (self.channels,) for parameter in own.values()
            ):
                if not own:
                    raise _ObstacleError(f"{name} has no weight")
                self.norms[name] = module
                for attribute in own:
                    self._add(Entries(f"{name}.{attribute}", module, attribute, OUT))
        if not self.norms:
            raise _ObstacleError("no LayerNorm or RMSNorm over its channels is known")

    def _inner_norms(self) -> Iterator[str]:
        """Yield the norms over heads, queries, keys or neurons, which are within branches."""
        order = list(self.modules)
        for branch in self.branches:
            if isinstance(branch, Attention):
                for name in alternatives(attention_names(self.modules[branch.name]).score_norm):
                    yield f"{branch.name}.{name}"
            if branch.inner_norm:
                first = min(order.index(name) for name in branch.roles if name in order)
                yield from order[first : order.index(output_of(branch))]

    def _norms_before_the_stem(self) -> Iterator[str]:
        """Yield the norms over pixels that stand in a sequence before the stem's last layer."""
        writer = next((e for e in self.entries if self._is_stem(e)), None)
        if writer is None:
            return
        parent, _, _ = writer.name.removesuffix(f".{writer.attribute}").rpartition(".")
        if isinstance(self.modules.get(parent), nn.Sequential):
            for name, child in self.modules[parent].named_children():
                if child is writer.module:
                    return
                yield f"{parent}.{name}"

    def _is_stem(self, entries: Entries) -> bool:
        layer = self.layers.get(entries.name.rpartition(".")[0])
        return layer is not None and layer.role == "patch_embed"

    # ---- tokens, position embeddings, LayerScale

    def _add_rest(self) -> None:
        for parameter in sorted(self.left, key=lambda one: self.parameters[one]):
            name = self.parameters[parameter]
            path, _, attribute = name.rpartition(".")
            in_attention = parameter.ndim == 1 and self._attention_around(path)  # as `q_bias`
            if self.channels not in parameter.shape or in_attention:
                continue
            owner = self.modules[path]
            of_torch = type(owner).__module__.startswith("torch.nn")
            is_known = isinstance(owner, nn.Embedding) or not of_torch
            if parameter.shape[-1] != self.channels or not is_known:
                raise _ObstacleError(f"vitprune does not know what {name} does")
            self._add(Entries(name, owner, attribute, parameter.ndim - 1))
