"""Latency tables of a small model, on every backend."""

import pytest

from tests.conftest import tiny_net
from vitprune.benchmark.backends import conditions_here
from vitprune.benchmark.latency_table import measure_table

SLOW = [pytest.param(backend, marks=pytest.mark.slow) for backend in ("compiled", "onnx")]


@pytest.mark.parametrize("backend", ["eager", *SLOW])
def test_every_combination_is_timed_once(backend):
    seen = []
    table = measure_table(
        tiny_net(),
        ["heads", "neurons"],
        "cpu",
        conditions_here("cpu", backend, batch_size=2),
        repeats=1,
        tell=lambda done, total: seen.append((done, total)),
    )
    # neither less of both, nor the dense model once for heads and once for neurons
    assert seen == [(i, 7) for i in range(1, 8)]
    assert table.attention.levels == {"heads": [0, 0.5, 1], "head_dims": [1], "width": [1]}
    assert table.mlp.levels == {"neurons": [0, 0.25, 0.5, 0.75, 1], "width": [1]}
    assert table.attention.ms[-1] == table.mlp.ms[-1] == table.dense_ms > 0
    assert (table.conditions.backend, table.conditions.batch_size) == (backend, 2)
