"""The figures of a run."""

import pytest

from vitprune.figures.run import figures_of
from vitprune.runs.report import (
    Environment,
    ModelReport,
    RunReport,
    ShrinkReport,
    SparsityReport,
    Verification,
)
from vitprune.runs.rounds import RoundReport
from vitprune.runs.run_folder import RunFolder


@pytest.mark.parametrize("accuracy", [0.5, None])
def test_rounds_with_another_metric_are_not_drawn_as_accuracy(tmp_path, accuracy):
    scalars = [
        (0, "epoch", 0),
        (3, "epoch", 0),
        (3, "val/accuracy", 0.9),
        (1, "round/after_pruning", 2.3),
    ]
    (tmp_path / "metrics.csv").write_text(
        "step,metric,value\n" + "".join(f"{s},{n},{v}\n" for s, n, v in scalars)
    )
    figures = figures_of(report_of([one_round(accuracy)]), RunFolder(tmp_path))
    labels = [line.get_label() for line in figures["training"].axes[0].get_lines()]
    assert ("just after pruning" in labels) == (accuracy is not None)


def test_without_epochs_and_pruned_layers_there_is_nothing_to_draw(tmp_path):
    assert figures_of(report_of([]), RunFolder(tmp_path)) == {}
    assert figures_of(report_of([]), None) == {}


def one_round(accuracy: float | None) -> RoundReport:
    return RoundReport(1, 0, 0, 0.5, 0.5, 0.5, accuracy, accuracy)


def report_of(rounds: list[RoundReport]) -> RunReport:
    model = ModelReport(0.9, 0.3, 10, 10, 10, 40)
    return RunReport(
        finished=True,
        is_best=True,
        sparsity=SparsityReport(0.5, 0.4, {}),
        base=model,
        pruned=model,
        rounds=rounds,
        shrunk=ShrinkReport(0),
        formats={},
        verification=Verification(0.0, 4, 8),
        environment=Environment({}, "cpu", "vitprune fit", 42),
    )
