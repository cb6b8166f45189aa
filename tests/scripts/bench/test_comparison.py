"""The table of docs/methods.md."""

from dataclasses import replace
from pathlib import Path

from scripts.bench.methods.comparison import Comparison, Result
from scripts.bench.methods.equal_steps import EQUAL_STEPS

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_shows_what_was_measured():
    page = (DOCS / "methods.md").read_text()
    lines = EQUAL_STEPS.table(DOCS / "methods.csv", epochs=8).splitlines()
    assert all(line in page for line in lines[2:])
    assert lines[2].startswith("| Random | 11.1 ± 1.2 | 49.2 ± 6.5 |")


def test_what_is_there_is_not_trained_again(tmp_path):
    trained = []

    def run(setting):
        trained.append(setting)
        return [Result(replace(setting, column="before"), 0.1), Result(setting, 0.25)]

    comparison = Comparison(["Random"], [0.8], ["before", "after"], ["after"], 8, run)
    path = tmp_path / "results" / "methods.csv"
    for _ in range(2):
        comparison.complete(path, epochs=8, seeds=2)
    assert [setting.seed for setting in trained] == [0, 1]
    assert comparison.table(path, epochs=8).splitlines() == [
        "| criterion | 80% before | 80% after |",
        "| --- | --- | --- |",
        "| Random | 10.0 ± 0.0 | 25.0 ± 0.0 |",
    ]
