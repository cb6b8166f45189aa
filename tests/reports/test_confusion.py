"""What only the pruned model confuses."""

from tests.conftest import tiny_net
from vitprune.reports.confusion import Comparison, Confusion
from vitprune.reports.confusion_section import confusions
from vitprune.reports.page import Page
from vitprune.runs.run_config import RunConfig


def test_models_of_other_classes_are_not_compared():
    page = Page("", "")
    config = RunConfig(model={}, data={"source": "digits"}, trainer={})
    confusions(page, config, tiny_net(classes=10), tiny_net(classes=7), images=10)
    assert "has other classes, so training started with a new classifier" in page.html()


def test_confusion_counts_only_what_pruning_did():
    found = Comparison([0, 0, 0, 1, 1], [0, 0, 1, 1, 0], [1, 1, 1, 1, 1], ["cat", "dog"])
    assert [(c.name, c.images, c.dense, c.pruned) for c in found.class_changes()] == [
        ("cat", 3, 2 / 3, 0.0),
        ("dog", 2, 0.5, 1.0),
    ]
    assert found.new_confusions() == [Confusion("cat", "dog", 2)]
