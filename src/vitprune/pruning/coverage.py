"""Coverage: the share of a model's parameters that is pruned, and what is not pruned."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from vitprune.model.anatomy.layers import Layer, find_layers, find_obstacles
from vitprune.pruning.layer_listing import MOST, shortened, without_number
from vitprune.pruning.layer_selection import default_layers
from vitprune.pruning.trained import why_untrained


@dataclass(frozen=True)
class Unpruned:
    """A module without pruned parameters, or one parameter that is not pruned.

    Attributes:
        name: Dotted name in the model.
        kind: Class of the module, or `Parameter`.
        parameters: The parameters of the module, or the one parameter.

    """

    name: str
    kind: str
    parameters: list[nn.Parameter]

    @property
    def size(self) -> int:
        """Number of entries of the parameters."""
        return sum(parameter.numel() for parameter in self.parameters)

    @property
    def is_vector(self) -> bool:
        """Whether no parameter has two or more dimensions, as in norms and biases."""
        return all(parameter.ndim <= 1 for parameter in self.parameters)


def describe_coverage(
    model: nn.Module, layers: Sequence[Layer], trained: Set[nn.Parameter] | None = None
) -> str:
    """Return one line: the share of the parameters that is to be pruned, and what is not.

    Args:
        model: Model without uninitialized parameters.
        layers: Layers of this model that are to be pruned.
        trained: The parameters that optimizers train; None if they are not known.

    Examples:
        >>> model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 15, bias=False))
        >>> describe_coverage(model, find_layers(model))
        'prunable: 1 layer, 60.0% of the parameters; not pruned: 0 (Embedding) 40.0%'

    """
    total = sum(parameter.numel() for parameter in model.parameters())
    weights = sum(layer.shape.numel() for layer in layers)
    rest = list(find_unpruned(model, layers))
    vectors = sum(found.size for found in rest if found.is_vector)
    sizes = _by_description([found for found in rest if not found.is_vector], model, trained)
    largest = sorted(sizes.items(), key=lambda item: -item[1])
    parts = [f"{name} {_share(size, total)}" for name, size in largest[:MOST]]
    if others := [size for _, size in largest[MOST:]]:
        parts.append(f"{len(others)} more {_share(sum(others), total)}")
    if vectors:
        parts.append(f"norms and biases {_share(vectors, total)}")
    count = f"{len(layers)} layer{'' if len(layers) == 1 else 's'}"
    prunable = (
        f"prunable: {count}, {_share(weights, total)} of the parameters{_tied(model, layers)}"
    )
    return f"{prunable}; not pruned: {', '.join(parts)}" if parts else prunable


def find_unpruned(model: nn.Module, layers: Sequence[Layer]) -> Iterator[Unpruned]:
    """Yield the outermost modules without pruned parameters, and single parameters elsewhere.

    Every parameter that is not pruned is yielded once, also if modules share it.
    """
    pruned = {layer.weight for layer in layers}
    yield from _unpruned_in("", model, pruned, set(pruned))


def _unpruned_in(
    name: str, module: nn.Module, pruned: Set[nn.Parameter], seen: set[nn.Parameter]
) -> Iterator[Unpruned]:
    inside = list(module.parameters())
    fresh = [parameter for parameter in inside if parameter not in seen]
    if not fresh:
        return
    if pruned.isdisjoint(inside):
        seen.update(fresh)
        kind = type_before_parametrizations(module).__name__.removeprefix("FSDP")  # of fully_shard
        yield Unpruned(name, kind, fresh)
        return
    for own, parameter in module.named_parameters(recurse=False):
        if parameter not in seen:
            seen.add(parameter)
            yield Unpruned(f"{name}.{own}".removeprefix("."), "Parameter", [parameter])
    for own, child in module.named_children():
        yield from _unpruned_in(f"{name}.{own}".removeprefix("."), child, pruned, seen)


def _tied(model: nn.Module, layers: Sequence[Layer]) -> str:
    """Return the weights to prune that other modules share, in parentheses; empty if none is."""
    own = {layer.weight: layer.parameter_name for layer in layers}
    shared = [
        f"{own[parameter]} is also {name}"
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if parameter in own and own[parameter] != name
    ]
    return f" ({shortened(shared)})" if shared else ""


def _by_description(
    rest: Sequence[Unpruned], model: nn.Module, trained: Set[nn.Parameter] | None
) -> dict[str, int]:
    """Sum sizes by name, kind and reason; the same module of all blocks is one entry."""
    reasons = find_obstacles(model)
    layers = find_layers(model)
    by_default = {layer.name for layer in default_layers(layers)}
    for layer in layers:
        if layer.name not in by_default:
            reasons[layer.name] = "excluded by default"
    alike: dict[tuple[str, str, str], list[Unpruned]] = {}
    for found in rest:
        key = (without_number(found.name), found.kind, _reason(found, reasons, trained))
        alike.setdefault(key, []).append(found)
    sizes = {}
    for (pattern, kind, reason), several in alike.items():
        single = len(several) == 1
        name = several[0].name if single else pattern
        what = kind if single else f"{len(several)} {kind}"
        sizes[f"{name} ({what}{reason})"] = sum(found.size for found in several)
    return sizes


def _reason(found: Unpruned, reasons: Mapping[str, str], trained: Set[nn.Parameter] | None) -> str:
    """Return why a module is not pruned, after a comma; empty for kinds that never are."""
    why = {why_untrained(parameter, trained) for parameter in found.parameters}
    if None in why or len(why) > 1:  # a part of it may be trained
        inside = f"{found.name}."
        why = {reason for name, reason in reasons.items() if f"{name}.".startswith(inside)}
    return "".join(f", {reason}" for reason in sorted(filter(None, why)))


def _share(part: int, total: int) -> str:
    share = part / total
    return f"{share:.1%}" if share >= 0.0005 else "<0.1%"
