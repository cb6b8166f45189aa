"""The subcommand histograms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.arguments import ARGUMENTS
from tests.files import assert_not_blank, rows_of
from vitprune.cli.main import main
from vitprune.evaluation import histograms


class TestHistograms:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 500), st.integers(1, 500), st.floats(1e-3, 1e3))
    def test_counts_and_zeros_sum_to_all_weights(self, zeros, others, scale):
        weight = scale * torch.randn(others, generator=torch.Generator().manual_seed(others))
        weight[weight == 0] = scale
        before = torch.cat([weight, torch.full((zeros,), scale)])
        after = torch.cat([weight, torch.zeros(zeros)])
        found = histograms.count({"before": before, "after": after})
        assert found["before"].weights == found["after"].weights == zeros + others
        assert (found["before"].zeros, found["after"].zeros) == (0, zeros)
        assert np.array_equal(found["before"].edges, found["after"].edges)

    def test_command(self, logs, tmp_path):
        export = logs / "version_0" / "export"
        layer = "net.vit.layers.5.mlp.fc2"
        main(
            [
                "histograms",
                *ARGUMENTS,
                f"--names=[{layer}]",
                "--sparsity=0.25",
                f"--finetuned={export}",
                f"--output={tmp_path}",
            ]
        )
        rows = rows_of(tmp_path / "histograms.csv")
        states = {row["state"]: 0 for row in rows}
        zeros = {row["state"]: int(row["weights"]) for row in rows if row["low"] == row["high"]}
        for row in rows:
            states[row["state"]] += int(row["weights"])
        assert set(states.values()) == {64 * 128}
        assert zeros["before"] == 0
        assert zeros["l1_unstructured"] == zeros["random_structured"] == 64 * 128 // 4
        assert zeros["after fine-tuning"] == pytest.approx(
            0.8 * 64 * 128, abs=1
        )  # the total over the layers is exact
        assert_not_blank(tmp_path / f"{layer}.png")
