"""What a budget is made of on a command line."""

import argparse
import warnings

import torch

from scripts.study.budget import Budget, native_precision

IMAGENETTE = "frgfm/imagenette"


def add_budget(parser: argparse.ArgumentParser, images: int) -> None:
    """Let a command ask for a budget, of so many images by default."""
    parser.add_argument("--model", default="facebook/deit-tiny-patch16-224")
    parser.add_argument("--source", default=IMAGENETTE)
    parser.add_argument(
        "--subset",
        help="configuration of the source, where it has several; full_size of the default",
    )
    parser.add_argument("--images", type=int, default=images)
    parser.add_argument("--epochs", type=int, default=Budget.epochs)
    parser.add_argument(
        "--precision",
        choices=("bf16-mixed", "32-true"),
        default=native_precision(),
        help="by default bf16-mixed where it is native",
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="of a process; the minutes are those of all of them"
    )


def budget_of(options: argparse.Namespace) -> Budget:
    """Return the budget that was asked for, and set the threads."""
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    subset = options.subset or ("full_size" if options.source == IMAGENETTE else None)
    settings = {"subset": subset, "precision": options.precision}
    return Budget(options.model, options.source, options.images, options.epochs, **settings)
