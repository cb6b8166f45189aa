"""Pruning for a measurement: every method prunes, and leaves no trace on the model."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import Callback

from tests.conftest import TINY, quiet_trainer, tiny_net
from tests.evaluation.scanning import METHODS
from tests.pruning.axes import CRITERIA, GRANULARITIES
from vitprune.data import ImageData, Streaming
from vitprune.data.sources import load_source
from vitprune.errors import UsageError
from vitprune.evaluation.grouping import group_layers
from vitprune.evaluation.one_shot import calibrate_dense, check, pruned
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import (
    Branch,
    Global,
    LayerSelection,
    Method,
    Movement,
    NofM,
    Uniform,
    Wanda,
)
from vitprune.training.pruning.calibration import calibrate_on


class TestRestoration:
    @settings(max_examples=15, deadline=None)
    @given(
        st.sampled_from(METHODS),
        st.floats(0.01, 0.99),
        st.lists(st.integers(0, 13), min_size=1, unique=True),
    )
    def test_weights_are_restored(self, method, sparsity, chosen):
        net = tiny_net()
        layers = find_layers(net)
        layers[0].weight.data[0] = 0  # some were pruned before
        before = {name: value.clone() for name, value in net.state_dict().items()}
        with pruned([layers[i % len(layers)] for i in chosen], sparsity, method, 0):
            pass
        after = net.state_dict()
        assert set(after) == set(before)
        assert all(torch.equal(after[name], before[name]) for name in before)

    def test_also_after_an_error(self):
        net = tiny_net()
        before = {name: value.clone() for name, value in net.state_dict().items()}
        with pytest.raises(KeyboardInterrupt), pruned(find_layers(net), 0.5, METHODS[0], 0):
            raise KeyboardInterrupt
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.fixture(scope="module")
def calibrated():
    """Return a tiny classifier, its data, and each criterion with its statistics."""
    model = ViTClassifier(
        architecture={"model_type": "vit", **TINY, "initializer_range": 0.3},
        labels=list("0123456789"),
    )
    data = ImageData(
        "digits", "digits", batch_size=16, num_workers=0, max_images={"train": 64, "validation": 24}
    )
    layers = LayerSelection().select(model)
    criteria = [criterion for criterion in CRITERIA if not criterion.straight_through]
    return (
        model,
        data,
        [
            (criterion, calibrate_dense(criterion, model, data, layers, images=32, seed=1))
            for criterion in criteria
        ],
    )


class TestEveryMethod:
    @pytest.mark.parametrize("granularity", GRANULARITIES, ids=str)
    def test_prunes_one_group_and_restores_it(self, calibrated, granularity):
        model, _, criteria = calibrated
        layers = LayerSelection().select(model, granularity.roles)
        sparsity = {str(NofM(1, 8)): 0.875, str(Branch()): 0.9}.get(str(granularity), 0.5)
        allocation = Global() if granularity.ranked_together else Uniform()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        for group in list(group_layers(layers, "layer", granularity).values())[:3]:
            for criterion, statistics in criteria:
                method = Method(criterion, granularity, allocation)
                check(method, layers, [sparsity])
                with pruned(group, sparsity, method, 0, statistics):
                    zeros = sum(int((layer.weight == 0).sum()) for layer in group)
                    weights = sum(layer.weight.numel() for layer in group)
                    others = [
                        layer
                        for layer in layers
                        if layer.name not in {member.name for member in group}
                    ]
                    assert all(torch.equal(o.weight, before[f"{o.name}.weight"]) for o in others)
                assert zeros >= sparsity * weights * 0.99 - 1
                after = model.state_dict()
                assert set(after) == set(before)
                assert all(torch.equal(after[name], before[name]) for name in before)

    def test_statistics_are_those_of_a_run(self, calibrated, tmp_path):
        model, data, criteria = calibrated
        criterion, mine = next(pair for pair in criteria if isinstance(pair[0], Wanda))
        seen = {}

        class Spy(Callback):
            def on_train_start(self, trainer, pl_module):
                layers = LayerSelection().select(pl_module)
                seen.update(calibrate_on(trainer, pl_module, criterion, layers, 32, 1))

        quiet_trainer(tmp_path, callbacks=[Spy()], max_steps=1, limit_val_batches=0).fit(
            copy.deepcopy(model).train(), data
        )
        assert set(seen) == set(mine)
        assert all(torch.allclose(seen[name], mine[name], rtol=1e-5) for name in mine)

    def test_criteria_that_need_training_are_refused(self):
        with pytest.raises(UsageError, match="Movement needs training steps"):
            check(Method(Movement()), find_layers(tiny_net()), [0.5])


def test_calibration_images_of_a_stream_are_its_first_ones(tmp_path):
    for split, images in load_source("digits").items():
        images.to_parquet(tmp_path / f"{split}.parquet")
    data = ImageData(str(tmp_path), "digits", streaming=Streaming(), num_workers=0)
    assert len(data.calibration_dataloader().dataset) < len(data.splits["train"])
    model = ViTClassifier("digits")
    layers = LayerSelection(blocks=[0], roles=["query"]).select(model)
    statistics = calibrate_dense(Wanda(), model, data, layers, images=64, seed=42)
    assert [value.shape for value in statistics.values()] == [layers[0].module.weight.shape[1:]]
