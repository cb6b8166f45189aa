"""Proof that the parts of a group belong together: without its outputs its inputs reach nothing."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.families.families import logits
from vitprune.pruning import Granularity, LayerSelection
from vitprune.pruning.granularity.grouping import Grouping, Part

Edit = Callable[[Tensor], Tensor]


@torch.no_grad()
def check_coupling(net: nn.Module, images: Tensor, granularity: Granularity) -> None:
    """Check all groupings of a model, which is changed and restored.

    Half of the groups of each lose their last part (columns of the output projection, or rows of
    the key), which moves logits. Then random numbers in their other parts, biases included, move
    none.
    """
    net, images = net.double(), images.double()
    before = logits(net, images)
    groupings = granularity.groupings(LayerSelection().select(net, granularity.roles))
    assert groupings
    owners = _owners(net)
    for grouping in groupings:
        names = [layer.name for layer in grouping.layers]
        saved = {name: value.clone() for name, value in net.state_dict().items()}
        _edit(grouping, grouping.parts[-1], torch.zeros_like, owners)
        without = logits(net, images)
        assert not torch.equal(without, before), names
        for part in grouping.parts[:-1]:
            _edit(grouping, part, torch.randn_like, owners)
        assert torch.equal(logits(net, images), without), names
        net.load_state_dict(saved)


def _owners(net: nn.Module) -> dict[nn.Module, nn.Module]:
    """Return the module around each module."""
    return {child: module for module in net.modules() for child in module.children()}


def _edit(grouping: Grouping, part: Part, edit: Edit, owners: dict[nn.Module, nn.Module]) -> None:
    """Replace the entries of every second group in a part, and the biases of its whole rows."""
    chosen = torch.zeros(part.layer.shape, dtype=torch.bool)
    view = part.view(chosen)
    groups = torch.arange(grouping.groups) % 2 == 0
    dims = grouping.group_dims
    view.copy_(groups.reshape(*view.shape[:dims], *[1] * (view.ndim - dims)).expand_as(view))
    weight = part.layer.weight.data
    weight[chosen] = edit(weight[chosen])
    rows = chosen.flatten(1).all(dim=1)
    for bias, own in _biases(part, rows, owners[part.layer.module]):
        bias[own] = edit(bias[own])


def _biases(part: Part, rows: Tensor, owner: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Return the biases of rows of a weight, and which of their entries belong to these rows.

    Some attentions of timm keep them beside a fused weight, as `q_bias` and `v_bias`.
    """
    if part.layer.bias is not None:
        return [(part.layer.bias.data, rows)]
    query, _, value = rows.chunk(3)
    found = [(getattr(owner, "q_bias", None), query), (getattr(owner, "v_bias", None), value)]
    return [(bias.data, own) for bias, own in found if bias is not None]
