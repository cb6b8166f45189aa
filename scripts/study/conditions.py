"""The conditions that all results of a folder share."""

import fcntl
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from scripts.study.budget import Budget
from vitprune.evaluation.fingerprint import fingerprint


@dataclass(frozen=True)
class Conditions:
    """What changes a result, besides the row, its key and the versions of libraries."""

    model: str
    weights: str
    source: str
    subset: str | None
    images: int
    epochs: int
    batch_size: int
    precision: str
    device: str
    threads: int

    @classmethod
    def of(cls, budget: Budget, dense: nn.Module) -> "Conditions":
        """Return the conditions of a budget with this dense model on this machine."""
        return cls(
            model=Path(budget.model).name,
            weights=fingerprint(dense),
            source=Path(budget.source).name,
            subset=budget.subset,
            images=budget.images,
            epochs=budget.epochs,
            batch_size=budget.batch_size,
            precision=budget.precision,
            device=budget.device.type,
            threads=torch.get_num_threads(),
        )

    def write_or_compare(self, path: Path) -> None:
        """Write the conditions to a JSON file, or compare them with those in it.

        Raises:
            SystemExit: If the file has other conditions.

        """
        path.parent.mkdir(parents=True, exist_ok=True)
        ours = asdict(self)
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            text = file.read()
            if not text:
                json.dump(ours, file, indent=1)
                return
        theirs = json.loads(text)
        differences = [
            f"{name} is {value} and was {theirs.get(name)}"
            for name, value in ours.items()
            if theirs.get(name) != value
        ]
        if differences:
            raise SystemExit(
                f"The results in {path.parent} were made under other conditions: "
                f"{', '.join(differences)}. Set --results to another folder."
            )
