"""scripts/bench/gpu.py, in its quick form on the CPU, without a data set library."""

import json
import math
import os
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from scripts.bench.on_gpu.figures import Figure, attempted
from scripts.bench.on_gpu.part import Part, run_part
from scripts.bench.on_gpu.scale import Ceilings, Scale

ROOT = Path(__file__).parents[3]
QUICK = Scale("cpu", quick=True)
PARTS = ["ceilings", "masks", "export", "steps", "updates", "latency"]


@pytest.mark.slow
def test_the_quick_form(tmp_path):
    (tmp_path / "datasets.py").write_text("raise ImportError('datasets is not installed')")
    command = [sys.executable, "scripts/bench/gpu.py", "--quick", "--parts", *PARTS]
    done = subprocess.run(
        [*command, "--output", tmp_path / "gpu.json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert [part["error"] for part in report["parts"]] == [None] * len(PARTS)
    figures = [figure for part in report["parts"] for figure in part["figures"]]
    assert all(math.isfinite(figure["value"]) for figure in figures)
    assert all(figure["passed"] is not False for figure in figures)
    names = " ".join(figure["name"] for figure in figures)
    for name in (
        "SparseGPT",
        "Movement",
        "2:4",
        "shrunk",
        "masked / dense",
        "masked, teacher",
        "speed-up",
    ):
        assert name in names
    assert "masked / dense images/s" in done.stdout


def test_floors_come_from_the_slower_of_arithmetic_and_memory():
    scale = Scale("cpu", quick=True, ceilings=Ceilings(matrix_flops=1e12, bytes_per_s=1e9))
    assert scale.floor_ms(flops=2e9) == 2
    assert scale.floor_ms(flops=2e9, bytes_moved=5e6) == 5
    assert QUICK.floor_ms(flops=1) is None


def test_flops_are_those_of_the_blocks():
    tokens, width, hidden, classes = 17, 64, 128, 100
    patches = 16 * (3 * 8 * 8) * width
    block = tokens * (4 * width * width + 2 * width * hidden) + 2 * tokens * tokens * width
    assert QUICK.forward_flops("tiny") == 2 * (patches + 2 * block + width * classes)


def endless(scale):
    yield Figure("first", 1.0)
    time.sleep(600)


def broken(scale):
    yield from attempted("division", divided)
    raise ValueError("wrong\nand more")


def divided():
    yield Figure("half", 0.5)
    yield Figure("none", 1 / 0)


def dead(scale):
    yield Figure("last words", 1.0)
    os._exit(3)


def test_a_part_that_does_not_end_is_stopped_and_its_figures_count():
    result = run_part(Part("endless", endless, limit_s=2), QUICK, get_context("fork"))
    assert [figure.name for figure in result.figures] == ["first"]
    assert result.error == "stopped after 2 s"


def test_what_fails_is_reported(capfd):
    result = run_part(Part("broken", broken, 60), QUICK, get_context("fork"))
    assert [figure.name for figure in result.figures] == ["half", "division"]
    assert result.figures[1].note == "ZeroDivisionError: division by zero"
    assert result.figures[1].passed is False
    assert result.error == "ValueError: wrong"
    assert run_part(Part("dead", dead, 60), QUICK, get_context("fork")).error == (
        "the process ended with exit code 3"
    )
