"""The contract of every criterion."""

import pytest
import torch

from tests.conftest import tiny_net
from tests.pruning.axes import CRITERIA, name
from tests.pruning.layers import statistics_of
from vitprune.pruning import LayerSelection
from vitprune.pruning.criteria.criterion import Scoring


@pytest.mark.parametrize("criterion", CRITERIA, ids=name)
class TestEveryCriterion:
    def scored(self, criterion, dtype=torch.float32):
        layers = LayerSelection(names=["*"]).select(net := tiny_net())  # patches and classifier too
        statistics = statistics_of(criterion, layers, net)
        for layer in layers:
            yield (
                layer.weight.detach().to(dtype),
                Scoring(layer.name, 1, 42, statistics.get(layer.name)),
            )

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_scores_are_finite_and_shaped_like_the_weight(self, criterion, dtype):
        for weight, scoring in self.scored(criterion, dtype):
            for values in (weight, torch.zeros_like(weight)):
                score = criterion.score(values, scoring)
                assert score.shape == weight.shape
                assert score.isfinite().all()

    def test_scores_depend_on_their_inputs_alone(self, criterion):
        for weight, scoring in self.scored(criterion):
            first = criterion.score(weight, scoring)
            torch.rand(100)  # whatever else draws numbers
            assert torch.equal(criterion.score(weight, scoring), first)

    def test_weight_and_statistic_are_left_alone(self, criterion):
        for weight, scoring in self.scored(criterion):
            before = criterion.score(weight, scoring).clone()
            criterion.score(weight, scoring).fill_(-1)
            assert torch.equal(criterion.score(weight, scoring), before)
