"""The arithmetic of a benchmark, and the order in which models run."""

import time

import pytest
import torch

from tests.conftest import tiny_net
from vitprune.benchmark.candidates import Candidate, candidate
from vitprune.benchmark.setting import Setting
from vitprune.benchmark.speed import measure_speeds, spread


def test_speeds_are_ratios_of_the_first_model(monkeypatch):
    """On a clock of its own: a busy machine moves real ones."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def sleeper(name, seconds, flops):
        def run(images):
            now[0] += seconds * len(images)

        return Candidate(run, (1, 1, 1), name, flops, parameters=1, bytes=None)

    dense, fast = measure_speeds(
        [sleeper("dense", 0.006, 300), sleeper("fast", 0.002, 60)],
        batch_size=3,
        repeats=5,
        device="cpu",
    )
    assert dense.measured_speedup == dense.theoretical_speedup == 1
    assert fast.theoretical_speedup == 5
    assert fast.measured_speedup == pytest.approx(3)
    assert dense.latency_ms == pytest.approx(6)
    assert dense.images_per_s == pytest.approx(1 / 0.006)
    assert dense.images_per_s_spread == pytest.approx(0, abs=1e-9)


def test_every_round_has_every_model_and_starts_with_another():
    order = []
    models = [
        Candidate(lambda images, n=n: order.append(n), (1, 1, 1), n, 1, 1, None) for n in "abc"
    ]
    measure_speeds(models, batch_size=2, repeats=2, device="cpu")
    assert "".join(order) == 2 * "abcbcacababc"


def test_spread_is_the_distance_of_the_quartiles():
    assert spread([3.0]) == 0
    assert spread(range(1, 8)) == 4


@pytest.mark.slow
def test_every_model_is_compiled_for_each_batch_size(monkeypatch):
    """As it would be in use; kernels for any size are slower."""
    batch_sizes = []

    def backend(graph, inputs):
        batch_sizes.extend(len(value) for value in inputs if value.shape[1:] == (3, 16, 16))
        return graph

    compiled = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        lambda self, **options: compiled(self, backend=backend, **options),
    )
    setting = Setting("cpu", torch.float32, compile=True)
    nets = [
        tiny_net(num_hidden_layers=1, intermediate_size=8 * (1 + number)) for number in range(5)
    ]
    candidates = [candidate("", net, setting, None) for net in nets]
    measure_speeds(candidates, batch_size=3, repeats=1, device="cpu")
    assert batch_sizes == [1] * 5 + [3] * 5
