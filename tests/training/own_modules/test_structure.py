"""Heads and neurons of own modules: their records are proved before anything is pruned."""

import pytest
import torch
from torch import nn

from tests.training.own_modules.modules import CLASSES, FEATURES, Classifier, halving
from vitprune.errors import UsageError
from vitprune.pruning import Head, IterativePruning, OneShot


class Attention(nn.Module):
    """Self-attention over four tokens of four features, with one weight for all inputs.

    Args:
        by_head: Whether the weight holds query, key and value of one head after another.

    """

    def __init__(self, *, by_head: bool) -> None:
        super().__init__()
        self.num_heads = 2
        self.by_head = by_head
        self.qkv = nn.Linear(4, 24)
        self.proj = nn.Linear(8, 4)

    def forward(self, x):
        shape = (self.num_heads, 3, 4) if self.by_head else (3, self.num_heads, 4)
        inputs = self.qkv(x).unflatten(-1, shape).movedim(-2 if self.by_head else -3, 0)
        query, key, value = inputs.transpose(-2, -3)
        heads = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.proj(heads.transpose(-2, -3).flatten(-2))


def module(*, by_head: bool) -> Classifier:
    """Return a classifier with dropout, whose random numbers a proof must not use."""
    torch.manual_seed(0)
    return Classifier(
        nn.Sequential(
            nn.Unflatten(1, (4, 4)),
            Attention(by_head=by_head),
            nn.Dropout(0.1),
            nn.Flatten(),
            nn.Linear(FEATURES, CLASSES),
        )
    )


def test_another_layout_is_refused_before_anything_is_pruned(fit):
    wrong = module(by_head=True)
    before = wrong.net[1].qkv.weight.clone()
    with pytest.raises(UsageError, match=r"structure of net\.1 \(Attention\) is not what"):
        fit(wrong, IterativePruning(OneShot(0.5), granularity=Head(), monitor=None))
    assert torch.equal(wrong.net[1].qkv.weight, before)


def test_the_proof_changes_nothing(fit, monkeypatch):
    proved = module(by_head=False)
    fit(proved, halving(granularity=Head()))
    monkeypatch.setattr(
        "vitprune.training.pruning.callback.prove_structure", lambda *arguments: None
    )
    other = module(by_head=False)
    fit(other, halving(granularity=Head()))
    for ours, theirs in zip(proved.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert int((proved.net[1].proj.weight == 0).all(0).sum()) == 4
