"""Training in every family: distillation, resuming, and the command from a folder to an export."""

from lightning import seed_everything
from torch import nn
from transformers import AutoModelForImageClassification

from tests.cli.arguments import SMALL
from tests.conftest import quiet_trainer
from tests.families.expectations import expected, families
from tests.families.families import NAMES, logits
from tests.interrupted import assert_same, train
from vitprune.cli.main import main
from vitprune.data import Augmentation, ImageData
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.model.distillation import Distillation
from vitprune.pruning import IterativePruning, Linear, OneShot
from vitprune.runs.run_folder import RunFolder


def digits(folder, **options):
    """Return two batches of digits for training, and one for validation."""
    return ImageData(
        "digits",
        str(folder),
        batch_size=8,
        num_workers=0,
        max_images={"train": 16, "validation": 8},
        **options,
    )


@families("distillation")
def test_distillation(family, tmp_path):
    """The dense model is its own teacher: it differs from itself only when it is pruned."""
    folder = family.save(tmp_path / "model")

    def loss(*callbacks):
        model = ViTClassifier(
            str(folder), labels=NAMES, learning_rate=1e-12, distillation=Distillation(weight=1.0)
        )
        trainer = quiet_trainer(tmp_path, callbacks=list(callbacks), max_epochs=1)
        trainer.fit(model, digits(folder))
        return float(trainer.callback_metrics["train/loss"])

    with expected("distillation", family):
        pruned = loss(IterativePruning(OneShot(0.5)))
        assert pruned > 1e-3
        batch_norms = (nn.BatchNorm1d, nn.BatchNorm2d)  # differ between training and evaluation
        if not any(isinstance(module, batch_norms) for module in family.build().modules()):
            assert loss() < 1e-3 * pruned


@families("resume")
def test_resumed_is_uninterrupted(family, tmp_path):
    folder = family.save(tmp_path / "model")

    def run(name, after_batches=-1, ckpt=None):
        seed_everything(42, workers=True, verbose=False)
        return train(
            tmp_path / name,
            ViTClassifier(str(folder), labels=NAMES, learning_rate=1e-3),
            digits(folder, augmentation=Augmentation(mixup=0.2)),
            IterativePruning(Linear(0.6, begin=0, end=2)),
            after_batches,
            ckpt,
            every_n_steps=1,
            max_epochs=3,
        )

    with expected("resume", family):
        whole = run("whole")
        assert run("interrupted", after_batches=3) is None
        assert_same(
            run("interrupted", ckpt=tmp_path / "interrupted" / "checkpoints/last.ckpt"), whole
        )


@families("command")
def test_from_a_folder_to_an_export(family, tmp_path, capsys):
    folder = family.save(tmp_path / "model")
    arguments = [
        "--config=oneshot.yaml",
        f"--model.pretrained={folder}",
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.max_epochs=1",
        "--data.max_images={train: 16, validation: 8}",
        "--data.batch_size=8",
        *SMALL,
    ]
    with expected("command", family):
        try:
            main(["fit", *arguments])
        except SystemExit:
            raise UsageError(capsys.readouterr().err) from None
        export = RunFolder(tmp_path / "lightning_logs" / "version_0").export
        net = AutoModelForImageClassification.from_pretrained(export.path)
        assert logits(net, family.images()).isfinite().all()
        told = capsys.readouterr().out
        assert "sparsity 80.00%" in told
        assert "logits equal to those of the pruned model" in told
