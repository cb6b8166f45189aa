"""Masked fine-tuning against dense fine-tuning: step time and peak memory, same model, same batch,
one process.

    python -m scripts.bench.masked_training [--pretrained FOLDER] [--batch_size 16] [--steps 20]

Dense and masked steps alternate in pairs, in turn first, after a warm-up. Without a folder:
DeiT-Tiny with random weights.
"""

import argparse
import statistics
import subprocess
import sys
import time

import torch
from torch import nn
from transformers import AutoModelForImageClassification, ViTConfig, ViTForImageClassification

from vitprune.pruning import LayerSelection, Method, masks
from vitprune.pruning.update import update_masks

TINY = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}


def build(pretrained: str | None, masked: bool) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = AutoModelForImageClassification.from_pretrained(pretrained) if pretrained else None
    net = net or ViTForImageClassification(ViTConfig(num_labels=10, **TINY))
    if masked:
        layers = LayerSelection().select(net)
        masks.attach(layers)
        update_masks(layers, Method(), 0.8)
    return net.train(), torch.optim.AdamW(net.parameters(), lr=1e-5)


def step(
    net: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, labels: torch.Tensor
) -> float:
    start = time.perf_counter()
    nn.functional.cross_entropy(net(pixel_values=images).logits, labels).backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - start


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(size, 3, 224, 224), torch.randint(0, 10, (size,))


def peak_bytes(pretrained: str | None, masked: bool, size: int) -> None:
    """Print the peak of a process that does three steps."""
    run = build(pretrained, masked)
    for _ in range(3):
        step(*run, *batch(size))
    print(
        next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
        * 1024
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pretrained")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--memory", choices=["dense", "masked"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        return peak_bytes(options.pretrained, options.memory == "masked", options.batch_size)

    runs = {"dense": build(options.pretrained, False), "masked": build(options.pretrained, True)}
    data = batch(options.batch_size)
    times: dict[str, list[float]] = {"dense": [], "masked": []}
    for pair in range(options.steps + 2):
        for name in list(runs)[:: 1 if pair % 2 else -1]:
            elapsed = step(*runs[name], *data)
            if pair >= 2:
                times[name].append(elapsed)
    ratios = [m / d for m, d in zip(times["masked"], times["dense"], strict=True)]
    command = [
        sys.executable,
        "-m",
        "scripts.bench.masked_training",
        "--batch_size",
        str(options.batch_size),
    ]
    command += ["--pretrained", options.pretrained] if options.pretrained else []
    peaks = {
        name: [
            int(
                subprocess.run(
                    [*command, "--memory", name], capture_output=True, text=True, check=True
                ).stdout
            )
            for _ in range(3)
        ]
        for name in runs
    }
    weights = sum(layer.weight.numel() for layer in LayerSelection().select(runs["dense"][0]))
    allowed = 1.1 * (4 + 1) * weights
    extra = statistics.median(peaks["masked"]) - statistics.median(peaks["dense"])
    for name, values in times.items():
        print(
            f"{name:8} {statistics.median(values):.3f} s a step (median of {len(values)}), batch "
            f"{options.batch_size}"
        )
    print(
        f"ratio    {statistics.median(ratios):.3f} (median of pairs; {min(ratios):.3f} to "
        f"{max(ratios):.3f})"
    )
    print(
        f"memory   peak dense {statistics.median(peaks['dense']) / 2**20:.0f} MiB, masked + "
        f"{extra / 2**20:.1f} MiB"
    )
    print(f"         allowed: 1.1 x (weights + a byte a weight) = {allowed / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
