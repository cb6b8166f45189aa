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
from vitprune.runs.trials import Trial, Trials


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


def test_a_search_is_drawn_over_its_trials_and_rates(tmp_path):
    run = RunFolder(tmp_path)
    even = {"heads": 1.0, "neurons": 1.0, "evenness": 0.0}
    tried = [Trial(even, 2.0), Trial(even | {"neurons": 3.0}, 1.5), Trial(even, None)]
    for number in (1, 2):
        Trials(tried).write(run.search(number))
    figures = figures_of(report_of([]), run)
    assert list(figures) == ["search", "search_2"]
    order, rate = figures["search"].axes[:2]
    assert [list(line.get_ydata()) for line in order.get_lines()][1] == [2.0, 1.5, 1.5]
    assert rate.get_xlabel() == "neurons"
    figures["search"].savefig(tmp_path / "search.png")


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
