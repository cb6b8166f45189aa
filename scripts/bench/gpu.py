"""Everything that only a GPU can tell, in less than eight minutes: right, fast, worth it.

    python scripts/bench/gpu.py --output FILE [--quick] [--parts PART ...]
    python -m scripts.bench.gpu --output FILE

All images are random and made on the device; there are no downloads. Each part runs in a new
process, under a time limit, and a part that fails does not end the others. Times are medians by
CUDA events after a warm-up; what is compared takes turns. `best` is what the device allows: FLOPs
over its measured matrix rate, or bytes over its measured copy rate. FILE is written after every
part, as JSON. The exit code is 1 if anything failed.

Needs torch, torchvision, transformers, lightning, torchmetrics, matplotlib, tensorboard, rich and
pydantic; the part `loader` also needs datasets and jsonargparse. Without an installed vitprune,
PYTHONPATH must name `src`. Without a GPU it runs on the CPU, which makes sense with --quick only.
"""

import argparse
import dataclasses
import multiprocessing
import os
import sys
import time
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:  # run as a file
    sys.path.insert(0, ROOT)

import torch  # noqa: E402

from scripts.bench.on_gpu import (  # noqa: E402
    fit,
    latency,
    loader,
    right,
    steps,
    training,
    updates,
    worth,
)
from scripts.bench.on_gpu.ceilings import ceilings, read_ceilings  # noqa: E402
from scripts.bench.on_gpu.part import Part, Result, run_part  # noqa: E402
from scripts.bench.on_gpu.report import (  # noqa: E402
    clocks,
    describe_machine,
    failures,
    print_result,
    write_json,
)
from scripts.bench.on_gpu.scale import Scale  # noqa: E402

PARTS = {
    "ceilings": Part("Ceilings of the device", ceilings, 30),
    "masks": Part("Right: masks of every criterion", right.masks, 60),
    "zeros": Part("Right: zeros in every precision", training.zeros, 45),
    "resume": Part("Right: an exact resume", training.resume, 30),
    "graphs": Part("Right: one compiled graph", right.graphs, 45),
    "export": Part("Right: exports", right.export, 30),
    "ranks": Part("Right: DDP and FSDP2 with one rank", training.one_rank, 30),
    "steps": Part("Fast: training steps", steps.base_steps, 75),
    "updates": Part("Fast: mask updates", updates.updates, 60),
    "fit": Part("Fast: fit against a bare loop", fit.fit, 75),
    "worth": Part("Worth it: pruned models", worth.worth, 90),
    "latency": Part("Worth it: half of the latency by a table", latency.latency, 40),
    "loader": Part("Fast: the training loader", loader.loader, 40),
    "large": Part("Fast: training steps of larger models", steps.large_steps, 90),
}
LIMIT_S = 470  # of all parts: those that would begin later are left out
PATIENCE = 10  # times as long without a GPU


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument(
        "--quick", action="store_true", help="tiny models: only to see that everything runs"
    )
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS), help="parts (default: all)"
    )
    options = parser.parse_args()
    start = time.monotonic()
    scale = Scale("cuda" if torch.cuda.is_available() else "cpu", options.quick)
    facts = describe_machine(scale)
    for name, value in facts.items():
        print(f"{name:20} {value}")
    patience = 1 if scale.on_gpu else PATIENCE
    results: list[Result] = []
    context = processes()
    for name in options.parts:
        part = PARTS[name]
        left_s = patience * LIMIT_S - (time.monotonic() - start)
        if left_s < part.limit_s / 2:
            results.append(Result(part.name, [], 0.0, "left out: no time"))
        else:
            limited = dataclasses.replace(part, limit_s=min(patience * part.limit_s, left_s))
            results.append(run_part(limited, scale, context))
        if name == "ceilings":
            scale = dataclasses.replace(scale, ceilings=read_ceilings(results[-1]))
        print_result(results[-1])
        write_json(options.output, facts | {"seconds": f"{time.monotonic() - start:.0f}"}, results)
    for name, value in clocks().items():
        print(f"{name:20} {value} at the end")
    failed = failures(results)
    for name in failed:
        print(f"FAILED: {name}")
    sys.exit(1 if failed else 0)


def processes() -> ForkServerContext | SpawnContext:
    """Return how parts are started: forked from a server that has imported everything.

    If something has started CUDA in that server, so that no fork of it can use the GPU, parts
    import everything themselves, which takes longer.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # which the server does not inherit
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # looks for a GPU without starting CUDA
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["scripts.bench.gpu"])
    first = context.Process(target=use_device)  # the time of the imports is no part's
    first.start()
    first.join()
    return multiprocessing.get_context("spawn") if first.exitcode else context


def use_device() -> None:
    """Fail if the GPU cannot be used in this process."""
    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")


if __name__ == "__main__":
    main()
