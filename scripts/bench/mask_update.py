"""One global magnitude mask update over the linear weights of a ViT-B: ours against
`prune.global_unstructured`.

    python -m scripts.bench.mask_update [--pretrained FOLDER] [--sparsity 0.8] [--repeats 5]

Prints median seconds, their ratio, the extra memory of ours as a share of the weights, and whether
both agree where magnitudes do not tie and drop the same number. Without a folder the weights are
random.
"""

import argparse
import copy
import resource
import statistics
import subprocess
import sys
import time

import torch
from torch.nn.utils import prune
from transformers import AutoModelForImageClassification, ViTConfig, ViTForImageClassification

from vitprune.pruning import Global, LayerSelection, Magnitude, Method, masks
from vitprune.pruning.update import update_masks

GLOBAL_MAGNITUDE = Method(Magnitude(), allocation=Global())


def build(pretrained: str | None) -> torch.nn.Module:
    torch.manual_seed(0)
    if pretrained:
        return AutoModelForImageClassification.from_pretrained(pretrained)
    return ViTForImageClassification(ViTConfig(num_labels=1000))


def ours(layers: list, sparsity: float, round: int) -> float:
    start = time.perf_counter()
    update_masks(layers, GLOBAL_MAGNITUDE, sparsity, round)
    return time.perf_counter() - start


def theirs(net: torch.nn.Module, sparsity: float) -> tuple[float, dict[str, torch.Tensor]]:
    twin = copy.deepcopy(net)
    layers = LayerSelection().select(twin)
    start = time.perf_counter()
    prune.global_unstructured(
        [(x.module, "weight") for x in layers], prune.L1Unstructured, amount=sparsity
    )
    elapsed = time.perf_counter() - start
    return elapsed, {x.name: x.module.weight_mask.bool() for x in layers}


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure_memory(pretrained: str | None, sparsity: float) -> None:
    """Print the growth of the peak during one update, in bytes; run in a process of its own."""
    net = build(pretrained)
    layers = LayerSelection().select(net)
    masks.attach(layers)
    update_masks(layers[:1], GLOBAL_MAGNITUDE, 0.1)  # what torch itself loads on first use
    settled = torch.ones(
        300_000_000 // 4
    )  # lift the peak to what is in use now, whatever loading took
    del settled
    now = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # reset the peak
    update_masks(layers, GLOBAL_MAGNITUDE, sparsity)
    high = (
        next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
        * 1024
    )
    print(high - now)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pretrained")
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        return measure_memory(options.pretrained, options.sparsity)

    net = build(options.pretrained)
    reference_s, reference = theirs(net, options.sparsity)
    layers = LayerSelection().select(net)
    masks.attach(layers)
    times = [ours(layers, options.sparsity, 1)]  # the first is the real update and the warm-up
    mask = {layer.name: masks.read(layer).clone() for layer in layers}
    for repeat in range(options.repeats):
        for layer in layers:
            masks.read(layer).fill_(True)
        times.append(ours(layers, options.sparsity, repeat + 2))
    seconds = statistics.median(times[1:])
    weights = sum(layer.weight.numel() for layer in layers)
    command = [
        sys.executable,
        "-m",
        "scripts.bench.mask_update",
        "--memory",
        "--sparsity",
        str(options.sparsity),
    ]
    command += ["--pretrained", options.pretrained] if options.pretrained else []
    extra = int(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]
    )

    dropped = sum(int((~m).sum()) for m in mask.values())
    differing = [
        layer for layer in layers if not torch.equal(mask[layer.name], reference[layer.name])
    ]
    strange = [
        masks.original(layer).detach()[mask[layer.name] != reference[layer.name]]
        for layer in differing
    ]
    values = torch.cat(strange).abs().unique() if strange else ()
    print(
        f"weights              {weights:,} in {len(layers)} layers, {torch.get_num_threads()} "
        "threads"
    )
    print(f"global_unstructured  {reference_s:.2f} s (one run)")
    print(
        f"ours                 {seconds:.3f} s (median of {options.repeats}, {min(times[1:]):.3f} "
        f"to {max(times[1:]):.3f})"
    )
    print(f"ratio                {reference_s / seconds:.1f}")
    print(f"extra memory         {extra / (4 * weights):.2f} x the weights")
    print(f"dropped              {dropped:,}, wanted {round(options.sparsity * weights):,}")
    print(
        f"differences          {len(differing)} layers, at {len(values)} magnitude(s): ties only "
        "if at most 1"
    )


if __name__ == "__main__":
    main()
