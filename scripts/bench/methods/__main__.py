"""Compare all criteria on the bundled digits, at one learning rate and with three seeds.

    python -m scripts.bench.methods [--transfer] [--epochs 8] [--seeds 3] [--output CSV]

The columns are one-shot, one-shot with fine-tuning, and iterative pruning; the latter two take the
same number of steps. Iterative is a cubic schedule over the first half of the epochs. Trainings
that the output has are not repeated; docs/methods.csv has all of them. Prints a table of validation
accuracies in per cent: mean and standard deviation.

With --transfer, a model of the digits 0 to 4 is pruned to 95 % while it learns 5 to 9, which is the
use of Movement. The masks change in every epoch or at every step. The default is then 30 epochs,
half as long.
"""

import argparse
import warnings
from pathlib import Path

import torch

from scripts.bench.methods.equal_steps import EQUAL_STEPS
from scripts.bench.methods.transfer import TRANSFER
from vitprune.runs.run_folder import LOGS


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--transfer", action="store_true", help="learn other digits while pruning")
    parser.add_argument("--epochs", type=int, help="epochs (default: 8, or 30 with --transfer)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds (default: %(default)s)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(LOGS) / "methods.csv",
        help="CSV file of the results (default: %(default)s)",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    comparison = TRANSFER if options.transfer else EQUAL_STEPS
    epochs = options.epochs or comparison.epochs
    comparison.complete(options.output, epochs, options.seeds)
    print(comparison.table(options.output, epochs))


if __name__ == "__main__":
    main()
