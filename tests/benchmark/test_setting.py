"""Where and in what type models run."""

import pytest
import torch

from vitprune.benchmark.run import choose_setting
from vitprune.benchmark.setting import Setting, describe_conditions
from vitprune.errors import UsageError


def test_auto_is_a_gpu_if_there_is_one(monkeypatch):
    for has_gpu, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has_gpu=has_gpu: has_gpu)
        setting = choose_setting("auto", "bfloat16", compile=False, threads=None)
        assert setting == Setting(device, torch.bfloat16, compile=False)


def test_without_a_gpu_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="there is no CUDA GPU. Use --device cpu"):
        choose_setting("cuda", "float32", compile=False, threads=None)


def test_programs_run_on_a_cpu_in_float32():
    assert Setting("cpu", torch.float32, compile=True).runs_programs
    assert not Setting("cpu", torch.bfloat16, compile=True).runs_programs
    assert not Setting("cuda", torch.float32, compile=True).runs_programs
    assert not Setting("cpu", torch.bfloat16, compile=True).runs_sparse_kernels


def test_conditions():
    conditions = describe_conditions(Setting("cpu", torch.float32, compile=False), 16, 10)
    assert (conditions.batch_size, conditions.repeats) == (16, 10)
    assert conditions.dtype == "float32"
    assert conditions.threads == torch.get_num_threads()
    assert conditions.device.startswith("CPU ")
