"""Which products with sparse weights beat a dense one on a CPU, and from which sparsity on.

    python -m scripts.bench.sparse_products --threads 1
    python -m scripts.bench.sparse_products --inputs 768 --outputs 3072 --sparsities 0.8 0.9 0.95

The weight of one linear layer, with single zeros (torch CSR, OpenVINO in int8 with its sparse
decompression of weights) or with zeros in tiles (torch BSR), is multiplied by the tokens of a
batch. How tokens lie in memory decides much, so that torch multiplies in three ways: by `linear`,
with the tokens in columns, and so with both transposes. All candidates take turns with the dense
product. Prints speed-ups: medians of the ratios of each round, above 1 where the sparse product is
faster. OpenVINO needs the extra `openvino`, and is
compared with its own int8 product without decompression.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from scripts.bench.interleaved import interleave, seconds

TILE = 16
TOKENS = 197  # of an image of 224 pixels in patches of 16
Product = Callable[[], object]


def prune_elements(weight: Tensor, sparsity: float) -> Tensor:
    """Return a weight whose smallest entries are zero."""
    order = weight.abs().flatten().argsort()
    pruned = weight.clone().flatten()
    pruned[order[: round(sparsity * weight.numel())]] = 0
    return pruned.view_as(weight)


def prune_tiles(weight: Tensor, sparsity: float) -> Tensor:
    """Return a weight, (out, in), whose smallest square tiles are zero."""
    rows, columns = weight.shape
    tiles = weight.view(rows // TILE, TILE, columns // TILE, TILE)
    keep = prune_elements(tiles.norm(dim=(1, 3)), sparsity) != 0
    return (tiles * keep[:, None, :, None]).view_as(weight)


def torch_products(weight: Tensor, tokens: Tensor, sparsity: float) -> dict[str, Product]:
    """Return the dense product of torch and its sparse ones.

    Args:
        weight: (out, in).
        tokens: (N, in).
        sparsity: Share of the weights, or of their tiles, that are zero.

    """
    sparse = {
        "CSR": prune_elements(weight, sparsity).to_sparse_csr(),
        f"BSR, tiles of {TILE}": prune_tiles(weight, sparsity).to_sparse_bsr((TILE, TILE)),
    }
    columns = tokens.T.contiguous()
    products: dict[str, Product] = {"dense": partial(nn.functional.linear, tokens, weight)}
    for name, matrix in sparse.items():
        products[f"{name}, by linear"] = partial(nn.functional.linear, tokens, matrix)
        products[f"{name}, with both transposes"] = partial(transposing, tokens, matrix)
        products[f"{name}, tokens in columns"] = partial(torch.matmul, matrix, columns)
    return products


def transposing(tokens: Tensor, matrix: Tensor) -> Tensor:
    """Return what `linear` does, (N, out), by a product of columns, which is faster."""
    return (matrix @ tokens.T.contiguous()).T.contiguous()


def openvino_products(weight: Tensor, tokens: Tensor, sparsity: float) -> dict[str, Product]:
    """Return the int8 products of OpenVINO without and with its decompression of sparse weights."""
    import nncf
    import openvino

    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = prune_elements(weight, sparsity)
    program = torch.export.export(nn.Sequential(layer, nn.ReLU()), (tokens,))
    data = nncf.Dataset([tokens.numpy()])
    model = nncf.quantize(openvino.convert_model(program), data, subset_size=1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.xml"
        openvino.save_model(model, file)
        products: dict[str, Product] = {}
        for name, rate in (("OpenVINO int8", 1.0), ("OpenVINO int8, decompressed", 0.5)):
            settings = {
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE": rate,  # from which sparsity on; 1 is never
            }
            compiled = openvino.Core().compile_model(str(file), "CPU", settings)
            products[name] = partial(compiled, [tokens.numpy()])
    return products


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=768, help="inputs (default: %(default)s)")
    parser.add_argument("--outputs", type=int, default=3072, help="outputs (default: %(default)s)")
    parser.add_argument("--images", type=int, default=4, help="batch size (default: %(default)s)")
    parser.add_argument(
        "--sparsities",
        type=float,
        nargs="+",
        default=[0.5, 0.8, 0.9, 0.95, 0.98],
        help="sparsities (default: %(default)s)",
    )
    parser.add_argument("--repeats", type=int, default=7, help="rounds (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)  # sparse tensors are in beta
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    weight = torch.randn(options.outputs, options.inputs) / options.inputs**0.5
    tokens = torch.randn(options.images * TOKENS, options.inputs)
    for sparsity in options.sparsities:
        products = torch_products(weight, tokens, sparsity)
        if find_spec("openvino") and find_spec("nncf"):
            products |= openvino_products(weight, tokens, sparsity)
        measured = interleave(
            {name: partial(seconds, product) for name, product in products.items()},
            options.repeats,
        )
        for name in products:
            base = "OpenVINO int8" if "decompressed" in name else "dense"
            if name != base:
                print(f"{sparsity:.0%}, {name} against {base}: {measured.ratio(base, name)}")


if __name__ == "__main__":
    main()
