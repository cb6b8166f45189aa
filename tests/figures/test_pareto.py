"""Accuracy against latency and size."""

from vitprune.figures.pareto import Tradeoff, pareto_front, plot_pareto

SLOW, FAST = Tradeoff("slow", 9.0, 0.9, 22.0), Tradeoff("fast", 3.0, 0.8, 11.0)
INT8 = Tradeoff("int8", 2.0, 0.8, 3.0)
WORSE = Tradeoff("worse", 4.0, 0.7, 5.0)


def test_the_front_has_no_model_that_another_one_beats():
    assert pareto_front([SLOW, FAST, INT8, WORSE]) == [INT8, SLOW]
    assert pareto_front([FAST]) == [FAST]


def test_every_model_is_numbered_and_larger_ones_have_larger_bubbles():
    figure = plot_pareto([SLOW, FAST, INT8, WORSE])
    [axes] = figure.axes
    assert figure.get_suptitle().splitlines() == [
        "1  int8, 3 MB",
        "2  fast, 11 MB",
        "3  worse, 5 MB",
        "4  slow, 22 MB",
    ]
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3", "4"]
    sizes = [bubbles.get_sizes()[0] for bubbles in axes.collections]
    assert sizes == sorted(sizes, key=lambda size: [3, 11, 5, 22].index(round(size / 900 * 22)))
    assert axes.get_xlabel() == "latency of one image (ms)"
