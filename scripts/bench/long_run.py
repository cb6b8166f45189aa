"""A run of 200 prune rounds on a tiny model: memory, checkpoint and log sizes, which must not
creep.

    python -m scripts.bench.long_run [--rounds 200]

A round every epoch of two steps; everything that `fit` has is on. Prints resident memory and the
sizes of `last.ckpt` and of the TensorBoard file at quarters of the run; fails if memory or the
checkpoint grow, or the log grows faster than the rounds.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

from lightning import Callback, LightningModule, Trainer

from vitprune.cli import main as cli

FLAT = 1.05


class Gauge(Callback):
    """Note the sizes after every epoch."""

    def __init__(self) -> None:
        self.sizes: dict[int, tuple[float, int, int]] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        run = Path(trainer.log_dir)
        checkpoint = run / "checkpoints" / "last.ckpt"  # of the epoch before
        if checkpoint.exists():
            status = dict(
                line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
            )
            memory = int(status["VmRSS"].split()[0]) / 1024
            events = sum(file.stat().st_size for file in run.glob("events.out.*"))
            self.sizes[trainer.current_epoch] = (memory, checkpoint.stat().st_size, events)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    gauge, rounds = Gauge(), options.rounds
    build = cli.PruningCLI.instantiate_trainer

    def with_gauge(self: cli.PruningCLI, **settings: object) -> Trainer:
        trainer = build(self, **settings)
        trainer.callbacks.append(gauge)
        return trainer

    cli.PruningCLI.instantiate_trainer = with_gauge
    with tempfile.TemporaryDirectory() as folder:
        cli.main(
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
    quarters = [max(2, rounds * part // 4) for part in range(1, 5)]
    for number in quarters:
        memory, checkpoint, events = gauge.sizes[number]
        print(
            f"round {number}: memory {memory:.0f} MiB, checkpoint {checkpoint / 2**10:.0f} KiB, "
            f"log {events / 2**10:.0f} KiB"
        )
    first, second, _, last = (gauge.sizes[number] for number in quarters)
    assert last[0] < FLAT * first[0], "memory grows"
    assert last[1] < FLAT * first[1], "the checkpoint grows"
    assert last[2] - second[2] < FLAT * 2 * (second[2] - first[2]), (
        "the log grows faster than the rounds"
    )


if __name__ == "__main__":
    main()
