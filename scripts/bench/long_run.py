"""Memory, checkpoint and log sizes over 200 pruning rounds on a tiny model.

    python -m scripts.bench.long_run [--rounds 200]

The run prunes in every epoch of two steps, with all callbacks and logs of `fit`. Prints resident
memory and the sizes of `last.ckpt` and of the TensorBoard file at each quarter of the run. Fails if
memory or the checkpoint grow, or if the log grows faster than the number of rounds.
"""

import argparse
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from lightning import Callback, LightningModule, Trainer

from scripts.bench import memory
from vitprune.cli import main as entry
from vitprune.cli import pruning_cli as cli
from vitprune.runs.run_folder import RunFolder

FLAT = 1.05  # growth that is tolerated


@dataclass(frozen=True)
class Sizes:
    """Bytes at the end of an epoch."""

    memory: int
    checkpoint: int
    log: int


class Gauge(Callback):
    """Record the sizes after every epoch."""

    def __init__(self) -> None:
        self.sizes: dict[int, Sizes] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the sizes of this epoch; the checkpoint is that of the epoch before."""
        run = RunFolder(Path(trainer.log_dir))
        if run.last.exists():
            self.sizes[trainer.current_epoch] = Sizes(
                memory.resident_bytes(),
                run.last.stat().st_size,
                sum(file.stat().st_size for file in run.path.glob("events.out.*")),
            )


def fit(gauge: Gauge, rounds: int, folder: str) -> None:
    """Run `vitprune fit` with an additional callback."""
    build = cli.PruningCLI.instantiate_trainer

    def with_gauge(self: cli.PruningCLI, **settings: object) -> Trainer:
        trainer = build(self, **settings)
        trainer.callbacks.append(gauge)
        return trainer

    with patch.object(cli.PruningCLI, "instantiate_trainer", with_gauge):
        entry.main(
            [
                "fit",
                "--config=iterative.yaml",
                f"--trainer.default_root_dir={folder}",
                f"--trainer.max_epochs={rounds + 1}",
                "--trainer.enable_progress_bar=false",
                "--trainer.accelerator=cpu",
                "--trainer.log_every_n_steps=1",
                f"--pruning.schedule.init_args.end={rounds - 1}",
                "--pruning.schedule.init_args.every=1",
                "--data.max_images={train: 64, validation: 16}",
                "--data.batch_size=32",
                "--data.num_workers=0",
            ]
        )


def check(first: Sizes, second: Sizes, last: Sizes) -> None:
    """Exit with an error if anything grows that should not.

    Args:
        first: After a quarter of the run.
        second: After half of it.
        last: At its end.

    """
    if last.memory > FLAT * first.memory:
        raise SystemExit("The resident memory grows.")
    if last.checkpoint > FLAT * first.checkpoint:
        raise SystemExit("The checkpoint grows.")
    if last.log - second.log > FLAT * 2 * (second.log - first.log):
        raise SystemExit("The log grows faster than the number of rounds.")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=200, help="pruning rounds (default: %(default)s)"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    gauge = Gauge()
    with tempfile.TemporaryDirectory() as folder:
        fit(gauge, options.rounds, folder)
    quarters = [max(2, options.rounds * part // 4) for part in range(1, 5)]
    for number in quarters:
        sizes = gauge.sizes[number]
        print(
            f"round {number}: memory {sizes.memory / 2**20:.0f} MiB, checkpoint "
            f"{sizes.checkpoint / 2**10:.0f} KiB, log {sizes.log / 2**10:.0f} KiB"
        )
    first, second, _, last = (gauge.sizes[number] for number in quarters)
    check(first, second, last)


if __name__ == "__main__":
    main()
