"""Measurements equal those of a naive scan, also after an interruption."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import tiny_net
from tests.evaluation.scanning import METHODS, ThreeBatches, one_batch, scan
from tests.families.families import logits
from vitprune.evaluation.grouping import BY
from vitprune.evaluation.measurement import DENSE
from vitprune.evaluation.replay import record
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import LayerSelection, Method, Width


class TestScan:
    @pytest.mark.parametrize("by", BY)
    @pytest.mark.parametrize(
        "method",
        METHODS,
        ids=lambda m: f"{type(m.criterion).__name__} {type(m.granularity).__name__}",
    )
    def test_equals_the_naive_scan_bit_for_bit(self, tmp_path, by, method):
        net = tiny_net(initializer_range=0.3)
        layers = LayerSelection(["query", "mlp_out", "patch_embed", "classifier"]).select(net)
        quick = scan(net, tmp_path / "quick", layers, by, method)
        naive = scan(net, tmp_path / "naive", layers, by, method, reuse_prefix=False)
        assert quick == naive
        assert len({outcome.loss for outcome in quick.values()}) > len(quick) // 2

    @pytest.mark.parametrize("by", BY)
    def test_channels_of_the_residual_stream_change_the_model_from_its_beginning(
        self, tmp_path, by
    ):
        net = tiny_net(initializer_range=0.3)
        method = Method(granularity=Width())
        layers = LayerSelection().select(net, Width().roles)
        images = one_batch().images
        before = logits(net, images)
        quick = scan(net, tmp_path / "quick", layers, by, method)
        naive = scan(net, tmp_path / "naive", layers, by, method, reuse_prefix=False)
        assert quick == naive
        assert set(quick) == {DENSE, "residual stream at 0.3", "residual stream at 0.8"}
        assert len({outcome.loss for outcome in quick.values()}) == 3
        assert torch.equal(logits(net, images), before)

    def test_outcomes_are_those_of_a_model_pruned_by_hand(self, tmp_path):
        net = tiny_net(initializer_range=0.3)
        layer = find_layers(net)[3]
        outcome = scan(net, tmp_path, [layer])[f"{layer.name} at 0.8"]
        weight = layer.module.weight.data
        drop = round(0.8 * weight.numel())
        weight[weight.abs() <= weight.abs().flatten().kthvalue(drop).values] = 0
        batches = [b for chunk in ThreeBatches().in_chunks() for b in chunk]
        with torch.no_grad():
            logits = torch.cat([net(pixel_values=b.images).logits for b in batches])
        labels = torch.cat([b.labels for b in batches])
        assert outcome.images == 12
        assert outcome.accuracy == (logits.argmax(1) == labels).sum() / 12
        assert outcome.loss == pytest.approx(
            float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-6
        )

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 40), st.booleans())
    def test_a_resumed_scan_equals_an_uninterrupted_one(self, tmp_path_factory, kept, torn):
        folder = tmp_path_factory.mktemp("scan")
        net = tiny_net(initializer_range=0.3)
        layers = find_layers(net)[3:7]
        whole = scan(net, folder, layers)
        journal = folder / "progress-0.jsonl"
        lines = journal.read_text().splitlines(keepends=True)
        assert len(lines) == 2 * (1 + 4 * 2)
        journal.write_text("".join(lines[:kept]) + (lines[0][:20] if torn else ""))
        assert scan(net, folder, layers) == whole
        assert (
            len(journal.read_text().splitlines()) <= len(lines) + 3
        )  # nothing twice but what was dense, or torn

    @pytest.mark.parametrize(
        ("roles", "kept"), [(["patch_embed"], 0), (["query"], 2), (["query", "classifier"], 3)]
    )
    def test_only_outputs_that_are_replayed_are_kept(self, tmp_path, monkeypatch, roles, kept):
        batches = []

        def spy(net, stages, batch):
            batches.append(batch)
            return record(net, stages, batch)

        monkeypatch.setattr("vitprune.evaluation.measure.record", spy)
        net = tiny_net()
        scan(net, tmp_path, LayerSelection(roles).select(net))
        assert {len(batch.outputs) for batch in batches} == {kept}


def test_the_dense_model_is_measured(tmp_path):
    net = tiny_net()
    assert scan(net, tmp_path, find_layers(net)[:1])[DENSE].images == 12
