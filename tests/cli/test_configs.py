"""The configurations in configs/."""

import contextlib
import re

import pytest
import yaml

from tests.cli.arguments import CONFIG_FOLDER, CONFIGS, DIGITS, SMALL
from tests.cli.latency_tables import proportional_table
from vitprune.cli.main import main


def verb_of(path):
    command = re.search(r"^# Command:   vitprune (\w+) --config", path.read_text(), re.MULTILINE)
    return command.group(1)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_every_configuration_says_how_to_use_it(path):
    head = path.read_text().split("seed_everything")[0]
    assert f"--config {path.relative_to(CONFIG_FOLDER)}\n" in head
    assert verb_of(path) in {"fit", "sensitivity", "sweep", "histograms"}
    assert "# Hardware:" in head
    assert "# Result:" in head


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_every_configuration_runs_a_batch(path, tmp_path):
    """Those of a hub run on the embedded model and data instead: every other key is theirs."""
    hub = "source: digits" not in path.read_text()
    local = ["--model.pretrained=digits", "--data.source=digits"] if hub else []
    arguments = ["--config", str(path), *local, *SMALL]
    verb = verb_of(path)
    if verb == "fit":
        if hub:
            arguments.append("--trainer.precision=32-true")
        if "class_path: Latency" in path.read_text():
            table = proportional_table(tmp_path / "latency.json", "width", "head_dims", "neurons")
            arguments.append(f"--pruning.budget.table={table}")
        main(["fit", *arguments, "--trainer.fast_dev_run=true"])
    else:
        fewer = [] if verb == "histograms" else ["--sparsities=[0.5]"]
        main(
            [
                verb,
                *arguments,
                *fewer,
                "--data.max_images={validation: 4}",
                f"--output={tmp_path}",
            ]
        )
        assert list(tmp_path.glob("*.png"))


def test_several_configurations_merge_and_the_command_line_wins(tmp_path):
    (tmp_path / "more.yaml").write_text("model: {learning_rate: 0.5}\ntrainer: {max_epochs: 7}\n")
    arguments = [
        "--config",
        "dense.yaml",
        "--config",
        str(tmp_path / "more.yaml"),
        "--trainer.max_epochs=1",
    ]
    main(["fit", *arguments, f"--trainer.default_root_dir={tmp_path}", *SMALL, *DIGITS])
    settings = yaml.safe_load(
        (tmp_path / "lightning_logs" / "version_0" / "config.yaml").read_text()
    )
    model = settings["model"]["init_args"]
    assert (model["learning_rate"], settings["trainer"]["max_epochs"]) == (0.5, 1)


def test_a_schedule_in_epochs_becomes_one_in_steps_on_the_command_line(capsys):
    steps = ["--pruning.schedule.unit=step", "--pruning.schedule.end=4"]
    with contextlib.suppress(SystemExit):
        main(["fit", "--config", "iterative.yaml", *steps, "--print_config"])
    schedule = yaml.safe_load(capsys.readouterr().out)["pruning"]["schedule"]["init_args"]
    assert (schedule["unit"], schedule["end"]) == ("step", 4)
