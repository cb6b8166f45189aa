"""The figure of a comparison."""

from dataclasses import replace

from vitprune.figures.comparison import ComparedModel, plot_comparison


def test_models_that_were_not_measured_just_after_pruning_have_no_hollow_marker():
    row = ComparedModel("run", "one-shot", 1, "digits", 0.5, 0.4, 0.9, 0.5, 0.8, 10, 1.0)
    figure = plot_comparison([row, replace(row, sparsity=0.8, accuracy_pruned=None)])
    before = next(
        line for line in figure.axes[0].lines if line.get_label() == "run: just after pruning"
    )
    assert before.get_xydata().tolist() == [[50, 50]]
