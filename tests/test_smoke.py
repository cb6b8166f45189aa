"""What must work after `pip install`; `make test-wheel` runs it against the wheel alone."""

import importlib
import json
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path

from torch import nn
from transformers import AutoImageProcessor, AutoModelForImageClassification

import vitprune

RUN = [
    "fit",
    "--model.pretrained=digits",
    "--data.source=digits",
    "--data.num_workers=0",
    "--data.max_images={train: 128, validation: 64}",
    "--pruning={schedule: {class_path: OneShot, init_args: {final_sparsity: 0.5}}}",
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
]


def test_every_module_can_be_imported():
    for module in pkgutil.walk_packages(vitprune.__path__, "vitprune."):
        importlib.import_module(module.name)


def test_the_console_command_prunes_and_exports_for_plain_transformers(tmp_path):
    (command,) = entry_points(group="console_scripts", name="vitprune")
    command.load()([*RUN, f"--trainer.default_root_dir={tmp_path}"])
    export = tmp_path / "lightning_logs" / "version_0" / "export"
    assert json.loads((export / "report.json").read_text())["pruned"]["accuracy"] > 0.5
    model = AutoModelForImageClassification.from_pretrained(export)
    weights = [m.weight for m in model.base_model.layers.modules() if isinstance(m, nn.Linear)]
    assert (
        sum(int((weight == 0).sum()) for weight in weights)
        == sum(weight.numel() for weight in weights) // 2
    )
    assert AutoImageProcessor.from_pretrained(export).size["height"] == 16


def test_the_package_is_the_one_that_was_meant():
    """In the wheel's own environment: not the source tree."""
    beside_source = (Path(__file__).parents[1] / "src" / "vitprune").is_dir()
    assert beside_source or "site-packages" in Path(vitprune.__file__).parts
