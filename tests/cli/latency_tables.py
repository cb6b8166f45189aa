"""Latency tables for tests: the conditions are measured, the latencies follow from the shares."""

import itertools
import json
import math
from pathlib import Path

from vitprune.cli.main import main


def proportional_table(file: Path, *structure: str) -> Path:
    """Write a table of the digits model, 10 ms when dense, faster by the structure it lacks.

    Measured latencies of so small a model differ by their noise, so a target may be out of reach.
    """
    kinds = f"--structure=[{', '.join(structure)}]"
    options = ["--repeats=1", "--device=cpu", "--threads=1"]
    main(["latency-table", "digits", f"--output={file}", kinds, *options])
    content = json.loads(file.read_text())
    for grid, part in ((content["attention"], 3.0), (content["mlp"], 5.0)):
        shares = itertools.product(*grid["levels"].values())
        grid["ms"] = [10 - part + part * math.prod(each) for each in shares]
    file.write_text(json.dumps(content))
    return file
