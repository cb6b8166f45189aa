"""Runs of the command line in forks of a process that has imported everything: a fast start."""

import contextlib
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import torch

import vitprune.data.datamodule
from vitprune.cli.main import main

ROOT = Path(__file__).parents[1]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.children"])
TINY_RUN = [
    "fit",
    f"--config={ROOT / 'configs' / 'iterative.yaml'}",
    "--trainer.max_epochs=5",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--pruning.schedule.init_args.end=2",
    "--pruning.schedule.init_args.every=1",
    "--data.max_images={train: 64, validation: 16}",
    "--data.batch_size=8",
    "--data.num_workers=0",
    "--checkpoint.every_n_steps=1",
]


class Child:
    """A run in a forked process; its output is in a file."""

    def __init__(self, folder, *arguments, sabotage=None, environment=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"output-{time.monotonic_ns()}.txt"
        words = [*TINY_RUN, f"--trainer.default_root_dir={folder}", *arguments]
        self.process = FORKS.Process(
            target=_run, args=(words, self.log, sabotage, environment or {})
        )
        self.process.start()

    @property
    def output(self):
        return self.log.read_text() if self.log.exists() else ""

    def wait(self, seconds=120):
        """Return the exit code: -N if signal N ended it."""
        self.process.join(seconds)
        hanging = self.process.is_alive()
        if hanging:
            self.process.kill()
            self.process.join()
        assert not hanging, self.output
        return self.process.exitcode

    def kill(self, number=signal.SIGKILL):
        os.kill(self.process.pid, number)


def ranks(folder, *arguments, count=2, sabotage=None):
    """Start a run on several ranks, as a launcher would; the sabotage is for the last one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": str(count),
        "NODE_RANK": "0",
    }
    words = (f"--trainer.devices={count}", "--trainer.strategy=ddp", *arguments)
    return [
        Child(
            folder,
            *words,
            sabotage=sabotage if rank == count - 1 else None,
            environment={**common, "LOCAL_RANK": str(rank)},
        )
        for rank in range(count)
    ]


def _run(words, log, sabotage, environment):
    os.setsid()
    os.environ.update(environment)
    torch.set_num_threads(1)
    multiprocessing.set_start_method(
        "fork", force=True
    )  # of data workers, as it is in a process that nothing forked
    file = log.open("w", buffering=1)
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    sys.stdout = sys.stderr = file
    if sabotage:
        SABOTAGE[sabotage]()
    main(words)


def _on_call(number, module, name, act):
    """Do something else at the n-th call of a function."""
    real, calls = getattr(module, name), []

    def call(*args, **options):
        calls.append(None)
        return act(real, *args, **options) if len(calls) == number else real(*args, **options)

    setattr(module, name, call)


def _die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def _die_in_the_middle_of_the_file(save, checkpoint, file):
    path = Path(file.name)
    save(checkpoint, file)
    file.flush()
    os.truncate(path, path.stat().st_size // 2)
    _die()


def _die_after(real, *args):
    real(*args)
    _die()


def _limit_files(real, *args):
    """Let the kernel refuse every byte of a file beyond 100 kB from now on."""
    real(*args)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))


def _fill_disk(real, *args):
    """Leave no byte free where the file goes."""
    real(*args)
    with (
        (Path(args[1]).parent / "filler").open("wb", buffering=0) as file,
        contextlib.suppress(OSError),
    ):
        while file.write(bytes(4096)):
            pass


def _ruin(finish, *args):
    batch = finish(*args)
    batch["pixel_values"][0, 0, 0, 0] = torch.nan
    return batch


def _kill_workers_soon():
    def kill():
        while not multiprocessing.active_children():
            time.sleep(0.01)
        time.sleep(0.5)
        for worker in multiprocessing.active_children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()


AFTER_CONFIGURATION = 1 + 12  # config.yaml is put in place before the first checkpoint
SABOTAGE = {
    "while a checkpoint is written": lambda: _on_call(
        12, torch, "save", _die_in_the_middle_of_the_file
    ),
    "before it is renamed": lambda: _on_call(AFTER_CONFIGURATION, os, "replace", _die),
    "after it is renamed": lambda: _on_call(AFTER_CONFIGURATION, os, "replace", _die_after),
    "full disk": lambda: _on_call(AFTER_CONFIGURATION, os, "replace", _fill_disk),
    "limit on files": lambda: _on_call(AFTER_CONFIGURATION, os, "replace", _limit_files),
    "NaN in a batch": lambda: _on_call(12, vitprune.data.datamodule, "finish", _ruin),
    "dead worker": _kill_workers_soon,
    "dead rank": lambda: _on_call(12, torch.nn.functional, "cross_entropy", _die),
}
