"""Time and memory of one global magnitude update, against `prune.global_unstructured`.

    python -m scripts.bench.mask_update [--pretrained FOLDER] [--sparsity 0.8] [--repeats 5]

The weights are the linear layers of a ViT-B. Prints median seconds, their ratio, the extra memory
of the update as a fraction of the weights, and whether both methods prune the same number of
weights and differ only among tied magnitudes. Without a folder the weights are random.
"""

import argparse
import copy
import statistics

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from scripts.bench import memory
from scripts.bench.interleaved import seconds
from scripts.bench.models import load_or_build
from vitprune.pruning import Global, LayerSelection, Magnitude, Masks, Method
from vitprune.pruning.update import update_masks

GLOBAL_MAGNITUDE = Method(Magnitude(), allocation=Global())
ABOVE_LOADING = 300_000_000  # bytes: more than loading the model leaves between use and peak


def update(masks: Masks, sparsity: float, number: int) -> float:
    """Return the seconds of one update."""
    return seconds(lambda: update_masks(masks, GLOBAL_MAGNITUDE, sparsity, number))


def reference_update(net: nn.Module, sparsity: float) -> tuple[float, dict[str, Tensor]]:
    """Return the seconds and the masks of `prune.global_unstructured`, on a copy of the model."""
    layers = LayerSelection().select(copy.deepcopy(net))
    parameters = [(layer.module, "weight") for layer in layers]
    elapsed = seconds(
        lambda: prune.global_unstructured(parameters, prune.L1Unstructured, amount=sparsity)
    )
    return elapsed, {layer.name: layer.module.get_buffer("weight_mask").bool() for layer in layers}


def extra_bytes(pretrained: str | None, sparsity: float) -> int:
    """Return the growth of this process' peak memory during one update."""
    layers = LayerSelection().select(load_or_build(pretrained, "vit-base"))
    masks = Masks(layers)
    update_masks(Masks(layers[:1]), GLOBAL_MAGNITUDE, 0.1)  # loads what torch loads on first use
    torch.ones(ABOVE_LOADING // 4)  # freed immediately: raises the peak above that of loading
    before = memory.resident_bytes()
    memory.reset_peak()
    update_masks(masks, GLOBAL_MAGNITUDE, sparsity)
    return memory.peak_bytes() - before


def differences(
    weights: dict[str, Tensor], found: dict[str, Tensor], reference: dict[str, Tensor]
) -> tuple[int, int]:
    """Return how many layers have different masks, and how many magnitudes differ among these."""
    differing = [name for name in weights if not torch.equal(found[name], reference[name])]
    magnitudes = [weights[name][found[name] != reference[name]].abs() for name in differing]
    return len(differing), len(torch.cat(magnitudes).unique()) if magnitudes else 0


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pretrained", help="folder of a model (default: random weights)")
    parser.add_argument(
        "--sparsity", type=float, default=0.8, help="target sparsity (default: %(default)s)"
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="timed updates (default: %(default)s)"
    )
    options = parser.parse_args()

    net = load_or_build(options.pretrained, "vit-base")
    reference_s, reference = reference_update(net, options.sparsity)
    layers = LayerSelection().select(net)
    dense = {layer.name: layer.weight.detach().clone() for layer in layers}
    masks = Masks(layers)
    update(masks, options.sparsity, 1)  # the warm-up, whose masks are compared
    found = {layer.name: masks[layer.weight] for layer in layers}
    times = []
    for repeat in range(options.repeats):
        for layer in layers:
            layer.weight.data.copy_(dense[layer.name])
        times.append(update(Masks(layers), options.sparsity, repeat + 2))
    median_s = statistics.median(times)
    weights = sum(weight.numel() for weight in dense.values())
    extra = memory.in_new_process(extra_bytes, options.pretrained, options.sparsity)
    pruned = sum(int((~mask).sum()) for mask in found.values())
    differing, magnitudes = differences(dense, found, reference)

    spread = f"{min(times):.3f} to {max(times):.3f}"
    threads = torch.get_num_threads()
    print(f"weights              {weights:,} in {len(layers)} layers, {threads} threads")
    print(f"global_unstructured  {reference_s:.2f} s (one run)")
    print(f"vitprune             {median_s:.3f} s (median of {len(times)}, {spread})")
    print(f"ratio                {reference_s / median_s:.1f}")
    print(f"extra memory         {extra / (4 * weights):.2f} x the weights")
    print(f"pruned               {pruned:,}, target {round(options.sparsity * weights):,}")
    print(
        f"differences          {differing} layers, {magnitudes} magnitudes (ties only: at most 1)"
    )


if __name__ == "__main__":
    main()
