"""Interrupted and resumed = uninterrupted, bit for bit."""

import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from lightning import Callback, seed_everything

from tests.checkpoints import read_raw
from tests.conftest import TINY, quiet_trainer
from tests.interrupted import assert_same, train
from vitprune.data import Augmentation, ImageData
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.pruning import (
    AccuracyGuarded,
    Combined,
    Cubic,
    Fisher,
    Head,
    IterativePruning,
    LearningRate,
    Linear,
    Magnitude,
    Movement,
    Neuron,
    Random,
    Ridge,
    RigL,
    SparseGPT,
    Variance,
    Weights,
    Width,
)
from vitprune.pruning.settings import first_difference
from vitprune.runs.checkpoint import TrainingCheckpoint
from vitprune.runs.checkpoint_io import AtomicCheckpointIO
from vitprune.runs.metrics import MetricsCSV, read_metrics
from vitprune.runs.run_folder import RunFolder
from vitprune.training.throughput import Throughput

ROOT = Path(__file__).parents[2]
STEPS = 5  # batches an epoch, below


def run(
    folder,
    after_batches=-1,
    ckpt=None,
    workers=0,
    pruning=None,
    learning_rate=1e-2,
    layer_decay=1.0,
    batch_size=16,
    **options,
):
    """Train a tiny ViT with dropout on digits: five batches an epoch, everything random."""
    seed_everything(42, workers=True, verbose=False)
    architecture = {
        "model_type": "vit",
        **TINY,
        "hidden_dropout_prob": 0.1,
        "initializer_range": 0.1,
    }
    model = ViTClassifier(
        architecture=architecture,
        labels=[str(d) for d in range(10)],
        learning_rate=learning_rate,
        layer_decay=layer_decay,
    )
    data = ImageData(
        "digits",
        "digits",
        batch_size=batch_size,
        num_workers=workers,
        max_images={"train": 16 * STEPS + 3, "validation": 40},
        augmentation=Augmentation(mixup=0.2, cutmix=0.5, random_erasing=0.5, randaugment=1),
    )
    pruning = pruning or IterativePruning(Cubic(0.8, end=2))
    options = {"max_epochs": 4, "gradient_clip_val": 1.0, **options}
    return train(folder, model, data, pruning, after_batches, ckpt, **options)


def method(schedule=None, **options):
    return {
        "pruning": lambda: IterativePruning(
            schedule() if schedule else Cubic(0.6, end=2), **options
        )
    }


MAX_DROP = 0.02


def guarded():
    return AccuracyGuarded(step=0.4, max_drop=MAX_DROP, patience=1, min_step=0.05)


STEP_ROUNDS = {
    "pruning": lambda: IterativePruning(
        Linear(0.8, begin=1, end=13, every=3, unit="step"), Random()
    )
}
CASES = {
    "between epochs": (7, {}),
    "in the first epoch": (3, {"every_n_steps": 2}),
    "mid-epoch": (13, {"every_n_steps": 3}),
    "after a save at the last batch of an epoch": (11, {"every_n_steps": 5}),
    "just after a round": (6, {"every_n_steps": 1}),
    "rounds in steps": (8, {"every_n_steps": 2, **STEP_ROUNDS}),
    "accumulated gradients": (8, {"accumulate_grad_batches": 2, "every_n_steps": 1}),
    "max_steps, between epochs": (7, {"max_epochs": -1, "max_steps": 18}),
    "max_steps, mid-epoch": (13, {"max_epochs": -1, "max_steps": 18, "every_n_steps": 3}),
    "two epochs a validation": (12, {"check_val_every_n_epoch": 2, "every_n_steps": 4}),
    "bf16": (13, {"precision": "bf16-mixed", "every_n_steps": 3}),
    "no pruning left": (18, {"every_n_steps": 4}),
    "gradients of a sample": (
        8,
        {
            "every_n_steps": 3,
            **method(criterion=Fisher(), granularity=Combined([Head(), Neuron()])),
        },
    ),
    "channels of the residual stream": (
        8,
        {
            "every_n_steps": 3,
            **method(lambda: Cubic(0.4, end=2), criterion=Fisher(), granularity=Width()),
        },
    ),
    "compensated": (
        8,
        {
            "every_n_steps": 3,
            **method(
                criterion=Variance(),
                granularity=Combined([Head(), Neuron()]),
                compensation=Ridge(),
                calibration_images=40,
            ),
        },
    ),
    "weights that are mended": (7, {**method(criterion=SparseGPT(), calibration_images=40)}),
    "movement": (
        12,
        {
            "every_n_steps": 4,
            **method(lambda: Cubic(0.6, begin=1, end=2), criterion=Movement()),
        },
    ),
    "learning rate rewound": (13, {"every_n_steps": 3, **method(rewind=LearningRate())}),
    "weights rewound": (
        8,
        {
            "every_n_steps": 2,
            **method(lambda: Cubic(0.6, begin=1, end=2), rewind=Weights(3)),
        },
    ),
    "regrowth": (8, {"every_n_steps": 3, **method(regrow=RigL(0.4))}),
    "guarded": (
        13,
        {"every_n_steps": 3, "max_epochs": 8, **method(guarded, monitor="val/top5")},
    ),
}


QUICK = {"between epochs", "mid-epoch", "rounds in steps", "accumulated gradients", "compensated"}
QUICK |= {"weights rewound", "channels of the residual stream"}


def build(options):
    return {k: v() if k == "pruning" else v for k, v in options.items()}


@pytest.mark.parametrize(
    ("case", "workers"),
    [
        *(pytest.param(case, 0, marks=() if case in QUICK else pytest.mark.slow) for case in CASES),
        ("between epochs", 2),
        pytest.param("mid-epoch", 2, marks=pytest.mark.slow),
    ],
)
def test_a_resumed_run_is_the_undisturbed_one(tmp_path, case, workers):
    after, options = CASES[case]
    undisturbed = run(tmp_path / "undisturbed", workers=workers, **build(options))
    assert run(tmp_path / "disturbed", after, workers=workers, **build(options)) is None
    last = tmp_path / "disturbed" / "checkpoints" / "last.ckpt"
    random.seed(1)
    resumed = run(tmp_path / "disturbed", ckpt=str(last), workers=workers, **build(options))
    assert_same(undisturbed, resumed)
    if case == "guarded":  # before the interruption, a round was given up for the state before it
        least = undisturbed["dense"]["val/top5"] - MAX_DROP
        assert not all(round.finetuned >= least for round in undisturbed["rounds"][:2])


def test_interrupted_twice(tmp_path):
    undisturbed = run(tmp_path / "a")
    folder, ckpt = tmp_path / "b", None
    for after in (3, 8, 4):
        assert run(folder, after, ckpt=ckpt, every_n_steps=2) is None
        ckpt = str(folder / "checkpoints" / "last.ckpt")
    assert_same(undisturbed, run(folder, ckpt=ckpt, every_n_steps=2))


def test_the_number_of_workers_changes_nothing(tmp_path):
    assert_same(run(tmp_path / "a", max_epochs=3), run(tmp_path / "b", workers=2, max_epochs=3))


def test_the_best_checkpoint_is_at_the_final_sparsity_and_has_its_own_metric(tmp_path):
    result = run(tmp_path, max_epochs=5)
    best = read_raw(tmp_path / "checkpoints" / "best.ckpt")
    rounds = best["pruning"][0]["rounds"]
    assert len(rounds) == 3
    assert best["callbacks"]["RunCheckpoints"]["best_score"] == rounds[-1]["finetuned"]
    model = ViTClassifier(
        **{k: v for k, v in best["hyper_parameters"].items() if not k.startswith("_")}
    )
    model.load_state_dict(best["state_dict"])
    data = ImageData(
        "digits", "digits", batch_size=16, num_workers=0, max_images={"validation": 40}
    )
    scores = quiet_trainer(tmp_path).validate(model, data, verbose=False)[0]
    assert scores["val/accuracy"] == rounds[-1]["finetuned"]
    assert result["rounds"][-1].sparsity == pytest.approx(0.8, abs=1e-4)


def test_weights_that_a_step_ruined_are_not_saved(tmp_path):
    """A finite loss can have an infinite gradient; the loss would show it only after the save."""

    class Ruin(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            if trainer.global_step == 2 * STEPS - 1:  # the last step of the second epoch
                pl_module.net.classifier.weight.grad.fill_(torch.nan)

    with pytest.raises(UsageError, match=r"is no longer finite in epoch 1.*last good"):
        run(tmp_path, callbacks=[Ruin()])
    state = read_raw(tmp_path / "checkpoints" / "last.ckpt")["state_dict"]
    assert all(value.isfinite().all() for value in state.values())


def test_a_new_folder_gets_the_best_checkpoint_so_far(tmp_path):
    run(tmp_path / "old", max_epochs=4)
    best = read_raw(tmp_path / "old" / "checkpoints" / "best.ckpt")
    run(tmp_path / "new", ckpt=str(tmp_path / "old" / "checkpoints" / "last.ckpt"), max_epochs=4)
    assert_same(
        read_raw(tmp_path / "new" / "checkpoints" / "best.ckpt")["state_dict"], best["state_dict"]
    )


def test_a_torn_best_checkpoint_does_not_keep_a_run_from_going_on(tmp_path, caplog):
    run(tmp_path / "old", max_epochs=4)
    best = tmp_path / "old" / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:1000])
    with caplog.at_level("INFO"):
        run(
            tmp_path / "new", ckpt=str(tmp_path / "old" / "checkpoints" / "last.ckpt"), max_epochs=5
        )
    assert "Best checkpoint not found" in caplog.text
    assert read_raw(tmp_path / "new" / "checkpoints" / "best.ckpt")


def test_a_final_sparsity_that_no_validation_saw_is_scored_for_best(tmp_path):
    result = run(tmp_path, max_epochs=3, check_val_every_n_epoch=2)
    best = read_raw(tmp_path / "checkpoints" / "best.ckpt")
    assert_same(best["state_dict"], result["weights"])
    assert best["callbacks"]["RunCheckpoints"]["best_score"] is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": Cubic(0.7, end=2)}, "pruning.schedule.*0.8.*0.7"),
        ({"schedule": Cubic(0.8, end=2), "criterion": Magnitude(p=2)}, "pruning.criterion"),
        (
            {"schedule": Cubic(0.8, end=2), "criterion": Random()},
            "pruning.criterion.*Magnitude.*Random",
        ),
    ],
)
def test_a_checkpoint_of_another_pruning_setting_is_refused(tmp_path, change, message):
    run(tmp_path, 7)
    with pytest.raises(UsageError, match=message):
        run(
            tmp_path,
            ckpt=str(tmp_path / "checkpoints" / "last.ckpt"),
            pruning=IterativePruning(**change),
        )


def test_images_are_counted_once_also_over_an_interruption(tmp_path):
    last = str(tmp_path / "checkpoints" / "last.ckpt")
    for after, ckpt in ((7, None), (-1, last)):
        callbacks, logger = [Throughput()], MetricsCSV(RunFolder(tmp_path))
        run(
            tmp_path,
            after,
            ckpt,
            every_n_steps=2,
            accumulate_grad_batches=2,
            callbacks=callbacks,
            logger=logger,
        )
    assert (
        max(read_metrics(RunFolder(tmp_path))["throughput/images_seen"].values()) == 4 * STEPS * 16
    )


def test_batches_of_another_size_in_the_middle_of_an_epoch_are_refused(tmp_path):
    assert run(tmp_path, 3, every_n_steps=1) is None
    with pytest.raises(
        UsageError, match="within an epoch of batches of 16 images.*but this run has 8"
    ):
        run(tmp_path, ckpt=str(tmp_path / "checkpoints" / "last.ckpt"), batch_size=8)


def test_the_learning_rate_of_now_wins(tmp_path):
    class Rates(Callback):
        def on_train_batch_start(self, trainer, *_):
            seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    found = []
    for rate in (1e-2, 1e-3):
        seen = []
        run(tmp_path, 7)
        run(
            tmp_path,
            ckpt=str(tmp_path / "checkpoints" / "last.ckpt"),
            learning_rate=rate,
            callbacks=[Rates()],
        )
        found.append(seen)
    assert found[0] == pytest.approx([10 * rate for rate in found[1]], rel=1e-12)


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    run(tmp_path, 7)
    with pytest.raises(UsageError, match=r"optimizer groups differ .*model\.layer_decay 1\.0"):
        run(tmp_path, ckpt=str(tmp_path / "checkpoints" / "last.ckpt"), layer_decay=0.9)


def test_without_the_best_checkpoint_so_far_another_is_found(tmp_path):
    run(tmp_path / "old", 18)  # of 20 batches; at its final sparsity since the 10th
    last, best = (
        tmp_path / "old" / "checkpoints" / "last.ckpt",
        tmp_path / "old" / "checkpoints" / "best.ckpt",
    )
    best.unlink()
    run(tmp_path / "new", ckpt=str(last))
    state = read_raw(tmp_path / "new" / "checkpoints" / "best.ckpt")
    assert state["epoch"] == 3


def test_a_metric_that_is_not_logged_cannot_choose_the_best(tmp_path):
    with pytest.raises(UsageError, match=r"'val/loss' is better when lower"):
        run(tmp_path, monitor="val/loss")
    with pytest.raises(UsageError, match=r"not a metric that validation logs. .*val/accuracy"):
        run(tmp_path, monitor="val/acc")
    assert (
        read_raw(tmp_path / "checkpoints" / "last.ckpt")["global_step"] == STEPS
    )  # a callback might have logged it


def test_a_checkpoint_of_another_model_is_refused(tmp_path, monkeypatch):
    run(tmp_path, 7)
    monkeypatch.setitem(TINY, "intermediate_size", 48)
    with pytest.raises(UsageError, match=r"another model: .*fc1.* of shape \(64,.*\(48,"):
        run(tmp_path, ckpt=str(tmp_path / "checkpoints" / "last.ckpt"))


class TestFiles:
    def test_a_failed_save_leaves_the_old_file(self, tmp_path, monkeypatch):
        target = tmp_path / "last.ckpt"
        AtomicCheckpointIO().save_checkpoint({"a": 1}, target)
        monkeypatch.setattr(
            os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        with pytest.raises(OSError, match="No space left"):
            AtomicCheckpointIO().save_checkpoint({"a": 2}, target)
        assert torch.load(target) == {"a": 1}
        assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]

    def test_what_broke_into_a_save_is_what_is_raised(self, tmp_path, monkeypatch):
        """The signal about a dead data worker is what is raised, not what torch makes of it."""

        class Interrupted(io.FileIO):
            def write(self, data):
                if self.tell() > 1000:
                    raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
                return super().write(data)

        monkeypatch.setattr(Path, "open", lambda path, mode: Interrupted(path, "w"))
        with pytest.raises(RuntimeError, match="DataLoader worker"):
            AtomicCheckpointIO().save_checkpoint({"a": torch.zeros(5000)}, tmp_path / "last.ckpt")
        assert list(tmp_path.iterdir()) == []

    def test_code_in_a_checkpoint_is_not_executed(self, tmp_path):
        class Malicious:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "executed"),)

        torch.save({"state_dict": {}, "loops": {}, "x": Malicious()}, tmp_path / "bad.ckpt")
        with pytest.raises(UsageError, match="safely"):
            TrainingCheckpoint.read(tmp_path / "bad.ckpt")
        assert not (tmp_path / "executed").exists()

    @pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 torn"])
    def test_a_torn_or_foreign_file_is_refused(self, tmp_path, content):
        (tmp_path / "bad.ckpt").write_bytes(content)
        with pytest.raises(UsageError, match="bad.ckpt"):
            TrainingCheckpoint.read(tmp_path / "bad.ckpt")

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(UsageError, match="no checkpoint .*none.ckpt"):
            TrainingCheckpoint.read(tmp_path / "none.ckpt")

    def test_other_pickles_are_no_checkpoints(self, tmp_path):
        torch.save({"weights": 1}, tmp_path / "other.ckpt")
        with pytest.raises(UsageError, match="not a training checkpoint"):
            TrainingCheckpoint.read(tmp_path / "other.ckpt")


FAST = [
    "--trainer.max_epochs=4",
    "--pruning.schedule.init_args.end=2",
    "--pruning.schedule.init_args.every=1",
    "--data.max_images={train: 640, validation: 60}",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--checkpoint.every_n_steps=3",
    "--data.num_workers=1",
]


def start(folder, *arguments):
    command = [
        sys.executable,
        ROOT / "scripts" / "train.py",
        "fit",
        "--config",
        ROOT / "configs" / "iterative.yaml",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*map(str, command), *FAST, f"--trainer.default_root_dir={folder}", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )


def wait_for(path, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def final(folder):
    return read_raw(folder / "lightning_logs" / "version_0" / "checkpoints" / "last.ckpt")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start(folder)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)],
    ids=lambda v: str(v),
)
def test_a_killed_process_goes_on_where_it_was(tmp_path, undisturbed, number, code):
    process = start(tmp_path)
    wait_for(tmp_path / "lightning_logs" / "version_0" / "checkpoints" / "last.ckpt", process)
    time.sleep(random.Random(str(number)).uniform(0, 0.5))
    os.killpg(process.pid, number)  # as a terminal does: the data workers hear it, too
    output = process.communicate()[0]
    assert process.returncode == code, output
    told = f"Resume with: fit --ckpt_path last --trainer.default_root_dir {tmp_path}"
    assert (told in output) == (number != signal.SIGKILL), output
    assert not (tmp_path / "lightning_logs" / "version_0" / "export").exists()
    resumed = start(tmp_path, "--ckpt_path", "last")
    output = resumed.communicate()[0]
    assert resumed.returncode == 0, output
    assert [p.name for p in (tmp_path / "lightning_logs").iterdir()] == ["version_0"]
    ours, theirs = final(tmp_path), final(undisturbed)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "generators", "ImageData"):
        assert_same(ours[part], theirs[part], part)
    assert_same(ours["pruning"], theirs["pruning"])
    for name in (
        "config.json",
        "model.safetensors",
        "report.json",
        "README.md",
        "plots/training.png",
    ):
        assert (tmp_path / "lightning_logs" / "version_0" / "export" / name).exists(), name


def test_settings_that_a_checkpoint_does_not_know_are_none_of_its_own():
    theirs = {"schedule": {"class": "Cubic", "end": 4}, "seed": 1}
    assert not first_difference(
        theirs, {"schedule": {**theirs["schedule"], "new": 2}, "seed": 1, "newer": 3}
    )
    changed = {"schedule": {"class": "Cubic", "end": 5, "new": 2}, "seed": 1}
    assert first_difference(theirs, changed) == "schedule.end: 4 in the checkpoint, 5 now"
    assert "sparsities: {'query': 0.5} in the checkpoint" in first_difference(
        {"allocation": {"class": "PerLayer", "sparsities": {"query": 0.5}}},
        {"allocation": {"class": "PerLayer", "sparsities": {"query": 0.5, "key": 0.5}}},
    )
