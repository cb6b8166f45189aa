"""A budget on a command line."""

import argparse
import warnings

import torch

from scripts.study.budget import Budget, native_precision

IMAGENETTE = "frgfm/imagenette"


def add_budget(parser: argparse.ArgumentParser, images: int) -> None:
    """Add the arguments of a budget, with this many training images by default."""
    parser.add_argument(
        "--model",
        default="facebook/deit-tiny-patch16-224",
        help="hub name or folder of the dense model (default: %(default)s)",
    )
    parser.add_argument(
        "--source",
        default=IMAGENETTE,
        help="hub name or folder of the images (default: %(default)s)",
    )
    parser.add_argument(
        "--subset",
        help=f"configuration of the data set (default: full_size for {IMAGENETTE})",
    )
    parser.add_argument(
        "--images", type=int, default=images, help="training images (default: %(default)s)"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        default=Budget.epochs,
        help="passes over the training images (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        choices=("bf16-mixed", "32-true"),
        default=native_precision(),
        help="precision of the Trainer (default: bf16-mixed where it is native, else 32-true)",
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of this process (default: %(default)s)"
    )


def budget_of(options: argparse.Namespace) -> Budget:
    """Return the budget of parsed arguments; set the number of threads and silence warnings."""
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    return Budget(
        options.model,
        options.source,
        options.images,
        options.epochs,
        subset=options.subset or ("full_size" if options.source == IMAGENETTE else None),
        precision=options.precision,
    )
