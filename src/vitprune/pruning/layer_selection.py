"""Layer selection: which layers are pruned."""

from collections.abc import Iterable, Mapping, Sequence, Set
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.parameter import is_lazy

from vitprune.errors import UsageError
from vitprune.model.anatomy.layers import (
    ROLES,
    Layer,
    Structure,
    find_obstacles,
    find_structure,
)
from vitprune.pruning.layer_listing import listing, shortened
from vitprune.pruning.trained import why_untrained
from vitprune.runs.plain_values import plain

NEVER_BY_DEFAULT = ("patch_embed", "classifier")
KINDS = {"attn_out": "attention", "mlp_out": "MLP"}  # by the role that every one has


class LayerSelection:
    """Layers to prune, by role, block and name.

    Args:
        roles: Roles to prune: query, key, value, qkv (one layer of all three), attn_out, mlp_in,
            mlp_gate, mlp_out, patch_embed, classifier, other. By default those of the granularity
            if it has some, else those of attentions and MLPs; in a model without any, all but
            patch_embed, classifier and depthwise convolutions; all if `names` is set.
        blocks: Transformer blocks to prune, counted from 0 through all stages, or from the end as
            -1, -2, ...; by default all, and layers outside of the blocks.
        skip_blocks: Transformer blocks not to prune.
        names: Patterns of names to prune (`*` stands for anything). Weights that are frozen, or
            that no optimizer trains, are pruned only if a pattern here matches them.
        exclude: Patterns of names not to prune.

    """

    def __init__(
        self,
        roles: list[str] | None = None,
        blocks: list[int] | None = None,
        skip_blocks: list[int] | None = None,
        names: list[str] | None = None,
        exclude: list[str] | None = None,
    ) -> None:
        for option, value in {"roles": roles, "names": names, "exclude": exclude}.items():
            if isinstance(value, str):
                raise UsageError(f"{option} must be a list, such as [{value!r}], not {value!r}.")
        self.roles: list[str] | None = plain(roles)
        self.blocks: list[int] | None = plain(blocks)
        self.skip_blocks: list[int] = plain(skip_blocks) or []
        self.names: list[str] | None = plain(names)
        self.exclude: list[str] = plain(exclude) or []
        unknown = sorted(set(self.roles or []) - set(ROLES))
        if unknown:
            raise UsageError(f"unknown roles {unknown}; valid are {', '.join(ROLES)}.")

    def select(
        self,
        model: nn.Module,
        roles: Sequence[str] | None = None,
        trained: Set[nn.Parameter] | None = None,
        *,
        only_blocks: bool = False,
    ) -> list[Layer]:
        """Return the selected layers of a model, in the order of its modules.

        Args:
            model: Model with linear and convolutional layers.
            roles: Roles to prune if those of the selection are not set.
            trained: The parameters that optimizers train; None if they are not known yet.
            only_blocks: Whether to leave out layers outside of the blocks, unless `names` is set.

        Raises:
            UsageError: If a block, a pattern or the whole selection matches no layer, the model has
                no attention or MLP for these roles, none of the selected layers is trained, or lazy
                parameters have no shape yet. The message lists the layers of the model.

        """
        check_initialized(model)
        structure = find_structure(model)
        layers = structure.layers
        if self.roles is None and self.names is None:
            _check_kinds(roles or (), model, structure)
        obstacles = find_obstacles(model)
        self._check_patterns(layers, obstacles)
        chosen = self._by_role(layers, roles)
        chosen = self._by_block(chosen, layers)
        chosen = self._by_name(chosen)
        if only_blocks and self.names is None:
            # all of them in a model without blocks, for the granularity to say that it needs some
            chosen = [layer for layer in chosen if layer.block is not None] or chosen
        if not chosen:
            raise UsageError(
                "the layer selection matches no layer. The model has:\n"
                f"{listing(layers, obstacles)}"
            )
        return chosen if self.names else only_trained(chosen, trained)

    def _check_patterns(self, layers: Sequence[Layer], obstacles: Mapping[str, str]) -> None:
        names = [layer.name for layer in layers]
        for pattern in [*(self.names or []), *self.exclude]:
            if not any(fnmatchcase(name, pattern) for name in [*names, *obstacles]):
                raise UsageError(
                    f"the pattern {pattern!r} matches no layer. The model has:\n"
                    f"{listing(layers, obstacles)}"
                )
        for pattern in self.names or []:
            if not any(fnmatchcase(name, pattern) for name in names):
                name = next(name for name in obstacles if fnmatchcase(name, pattern))
                raise UsageError(f"{name} cannot be pruned: its weight is {obstacles[name]}.")

    def _by_role(self, layers: Sequence[Layer], default: Sequence[str] | None) -> list[Layer]:
        if self.roles is not None:
            _check_roles_exist(self.roles, layers)
        roles = default if self.roles is None else self.roles
        if roles is not None:
            return [layer for layer in layers if layer.role in roles]
        return list(layers) if self.names else default_layers(layers)

    def _by_block(self, chosen: Sequence[Layer], layers: Sequence[Layer]) -> list[Layer]:
        count = max((layer.block for layer in layers if layer.block is not None), default=-1) + 1
        wanted = None if self.blocks is None else _resolve_blocks(self.blocks, count, "blocks")
        skipped = _resolve_blocks(self.skip_blocks, count, "skip_blocks")
        return [
            layer
            for layer in chosen
            if (wanted is None or layer.block in wanted) and layer.block not in skipped
        ]

    def _by_name(self, chosen: Sequence[Layer]) -> list[Layer]:
        return [
            layer
            for layer in chosen
            if (self.names is None or _matches(layer, self.names))
            and not _matches(layer, self.exclude)
        ]


def default_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers to prune by default: those of attentions and MLPs.

    In a model without attentions and MLPs these are all layers except the stem, the classifier and
    depthwise convolutions, which have few weights for each output.

    Args:
        layers: All layers of a model.

    """
    known = [layer for layer in layers if layer.branch is not None]
    return known or [
        layer for layer in layers if layer.role not in NEVER_BY_DEFAULT and not layer.is_depthwise
    ]


def _check_kinds(roles: Sequence[str], model: nn.Module, structure: Structure) -> None:
    """Check that a model has the attentions and MLPs that a granularity prunes.

    Raises:
        UsageError: If no attention or no MLP is known, but the granularity prunes both or needs the
            missing one.

    """
    existing = {layer.role for layer in structure.layers}
    missing = [kind for role, kind in KINDS.items() if role in roles and role not in existing]
    if not missing:
        return
    family = _family(model)
    unknown = f"vitprune knows no {' and no '.join(missing)} in {family}"
    if found := [role for role in roles if role in existing]:
        others = " and ".join(f"{KINDS[role]}s" for role in found if role in KINDS)
        alone = (
            f"set pruning.layers.roles to [{', '.join(found)}]"
            if set(roles) <= KINDS.keys()
            else "use a granularity for them alone"
        )
        raise UsageError(
            f"{unknown}, so that only its {others} would be pruned. To prune only them, {alone}; "
            "to prune both, declare the missing modules by vitprune.pruning.declare."
        )
    reasons = "".join(f"; {reason}" for reason in list(structure.mismatches.values())[:1])
    known = [role for role in ROLES if role in existing]
    raise UsageError(
        f"{unknown}: its layers have the roles {', '.join(known)}{reasons}. Declare its modules by "
        "vitprune.pruning.declare, or use a granularity within one layer, such as Row."
    )


def _family(model: nn.Module) -> str:
    """Return the class of the outermost model of `transformers` or timm; else of the model."""
    found = (m for m in model.modules() if hasattr(m, "config") or hasattr(m, "get_classifier"))
    return type(next(found, model)).__name__


def _check_roles_exist(roles: Iterable[str], layers: Sequence[Layer]) -> None:
    existing = {layer.role for layer in layers}
    missing = [role for role in roles if role not in existing]
    if missing and existing:
        raise UsageError(
            f"no layer of the model has the role {' or '.join(missing)}. Valid are "
            f"{', '.join(role for role in ROLES if role in existing)}:\n{listing(layers)}"
        )


def only_trained(layers: Sequence[Layer], trained: Set[nn.Parameter] | None) -> list[Layer]:
    """Return the layers whose weights are trained.

    Raises:
        UsageError: If no weight is trained.

    """
    reasons = {layer.name: why_untrained(layer.weight, trained) for layer in layers}
    if all(reasons.values()):
        named = [f"{name} ({reason})" for name, reason in reasons.items()]
        raise UsageError(
            f"none of the layers to prune is trained: {shortened(named)}. Train them, or add them "
            "to pruning.layers.names, which also prunes weights that are not trained."
        )
    return [layer for layer in layers if reasons[layer.name] is None]


def check_initialized(model: nn.Module) -> None:
    """Raise `UsageError` if a model has lazy parameters without a shape."""
    lazy = [name for name, parameter in model.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise UsageError(
            f"parameters of lazy modules are not initialized: {shortened(lazy)}. Run the model on "
            "one batch before training starts, for example in setup()."
        )


def _matches(layer: Layer, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(layer.name, pattern) for pattern in patterns)


def _resolve_blocks(blocks: Sequence[int], count: int, option: str) -> set[int]:
    for block in blocks:
        if not -count <= block < count:
            raise UsageError(
                f"{option} names block {block}, and the model has "
                f"{f'the blocks 0 to {count - 1}' if count else 'no transformer blocks'}."
            )
    return {block % count for block in blocks}
