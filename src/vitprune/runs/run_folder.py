"""The folders of a run and of an export, and the names of their main files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitprune.errors import UsageError
from vitprune.runs.typed_json import damaged
from vitprune.runs.typed_yaml import read_yaml

LOGS = "lightning_logs"
CHECKPOINTS = "checkpoints"
VERSION = "version_"


@dataclass(frozen=True)
class ExportFolder:
    """A folder that holds an exported model.

    Attributes:
        path: Path of the folder.

    """

    path: Path

    @property
    def config(self) -> Path:
        """Configuration of the model."""
        return self.path / "config.json"

    @property
    def weights(self) -> Path:
        """Weights as plain `transformers` loads them."""
        return self.path / "model.safetensors"

    @property
    def compressed(self) -> Path:
        """Weights without their zeros."""
        return self.path / "model.compressed.safetensors"

    @property
    def pt2(self) -> Path:
        """Program of `torch.export`."""
        return self.path / "model.pt2"

    @property
    def onnx(self) -> Path:
        """ONNX model."""
        return self.path / "model.onnx"

    @property
    def onnx_int8(self) -> Path:
        """ONNX model in int8."""
        return self.path / "model.int8.onnx"

    @property
    def openvino(self) -> Path:
        """OpenVINO model."""
        return self.path / "model.xml"

    @property
    def openvino_int8(self) -> Path:
        """OpenVINO model in int8."""
        return self.path / "model.int8.xml"

    @property
    def report(self) -> Path:
        """Numbers about the run and the export; see `RunReport`."""
        return self.path / "report.json"

    @property
    def card(self) -> Path:
        """Model card."""
        return self.path / "README.md"

    @property
    def plots(self) -> Path:
        """Folder of the figures."""
        return self.path / "plots"


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, `lightning_logs/version_N`.

    Attributes:
        path: Path of the folder.

    """

    path: Path

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> "RunFolder | None":
        """Return the run that saved a checkpoint; None if the file was moved out of its run."""
        folder = checkpoint.parent
        return cls(folder.parent) if folder.name == CHECKPOINTS else None

    @property
    def config(self) -> Path:
        """Configuration that repeats the run."""
        return self.path / "config.yaml"

    @property
    def hyperparameters(self) -> Path:
        """Hyperparameters of the model, written by the TensorBoard logger."""
        return self.path / "hparams.yaml"

    @property
    def metrics(self) -> Path:
        """Every logged scalar as `step, metric, value`."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def last(self) -> Path:
        """Checkpoint to resume from."""
        return self.checkpoints / "last.ckpt"

    @property
    def best(self) -> Path:
        """Checkpoint with the best validation metric at the final sparsity."""
        return self.checkpoints / "best.ckpt"

    @property
    def export(self) -> ExportFolder:
        """Exported model."""
        return ExportFolder(self.path / "export")

    @property
    def latency(self) -> Path:
        """Latency table that was measured before training."""
        return self.path / "latency.json"

    @property
    def html_report(self) -> Path:
        """Page that `vitprune report` writes."""
        return self.path / "report.html"

    def search(self, number: int) -> Path:
        """Return the file with the trials of `Search`, by number of the pruning callback."""
        return self.path / ("search.json" if number == 1 else f"search_{number}.json")

    def searches(self) -> list[Path]:
        """Return the files of all searches."""
        return sorted(self.path.glob("search*.json"))

    def results(self, subcommand: str) -> Path:
        """Return the folder of the results of a subcommand such as `sensitivity` on this run."""
        return self.path / subcommand

    def best_or_last(self) -> Path:
        """Return the best checkpoint; the last one if no best one was saved."""
        return self.best if self.best.is_file() else self.last

    def started_from(self) -> str | None:
        """Return the checkpoint that the run was started from; None if there was none."""
        return self.read_config().get("ckpt_path") if self.config.is_file() else None

    def read_config(self) -> dict[str, Any]:
        """Return the content of `config.yaml`, by section.

        Raises:
            UsageError: If the file is damaged, empty or truncated.

        """
        content = read_yaml(self.config, dict[str, Any])
        if "ckpt_path" not in content:  # one of the last lines: a truncated file may still be YAML
            raise damaged(self.config, "it has no 'ckpt_path'")
        return content

    def is_exported(self) -> bool:
        """Return whether the export exists and is at least as new as the last checkpoint."""
        report = self.export.report
        return report.is_file() and report.stat().st_mtime >= self.last.stat().st_mtime


def run_folders(root: Path) -> dict[int, RunFolder]:
    """Return the runs under a root folder by their number."""
    logs = root / LOGS
    if not logs.is_dir():
        return {}
    # `glob` finds nothing in a folder that may not be read
    numbers = {p.name.removeprefix(VERSION): p for p in logs.iterdir() if p.match(f"{VERSION}*")}
    return {int(n): RunFolder(folder) for n, folder in numbers.items() if n.isdigit()}


def new_run_folder(root: Path) -> RunFolder:
    """Return the folder with the next free number; it is not created."""
    return RunFolder(root / LOGS / f"{VERSION}{max(run_folders(root), default=-1) + 1}")


def find_last(root: str | Path) -> Path:
    """Return the newest last checkpoint of all runs under a root folder.

    Raises:
        UsageError: If no run has saved one.

    """
    found = [run.last for run in run_folders(Path(root)).values() if run.last.is_file()]
    if not found:
        raise UsageError(f"--ckpt_path last: no run in {Path(root) / LOGS} has saved a checkpoint.")
    return max(found, key=lambda path: path.stat().st_mtime)


def resolve_checkpoint(path: str, subcommand: str) -> str:
    """Return the path of a checkpoint.

    The folder of a run stands for its last checkpoint when training, and else for its best one.
    """
    run = RunFolder(Path(path))
    if not run.checkpoints.is_dir():
        return path
    return str(run.last if subcommand == "fit" else run.best_or_last())
