"""Tables, pages and figures of results."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.study import report
from scripts.study.journal import Journal
from scripts.study.lines import Key, Score, Training
from scripts.study.markdown import fill
from scripts.study.rows.article import Article
from scripts.study.rows.ours import Ours
from scripts.study.tables import Part
from scripts.study.teacher import HIDDEN_STATES
from vitprune.pruning import SparseGPT

ROOT = Path(__file__).parents[3]
RECIPE = Ours(criterion=SparseGPT, teacher=HIDDEN_STATES)
OTHERS = (Article(rounds=1), Article(rounds=4))


def test_the_report_shows_what_was_chosen(tmp_path, monkeypatch, capsys):
    tables = {"some": (Part((RECIPE,), (0.9,), 3),), "none": (Part((RECIPE,), (0.8,)),)}
    monkeypatch.setattr(report, "TABLES", tables)
    journal = Journal(tmp_path / "64x4")
    journal.folder.mkdir()
    at_90 = [(0.9, 1e-4, 0, 0.7), (0.9, 1e-4, 2, 0.1), (0.9, 3e-4, 0, 0.8), (0.9, 3e-4, 1, 0.9)]
    for sparsity, rate, seed, accuracy in [*at_90, (0.5, 1e-4, 0, 0.9), (0.6, 1e-4, 0, 0.9)]:
        key = Key(RECIPE.name, sparsity, rate, seed)
        others = OTHERS if (sparsity, rate, seed) == (0.9, 1e-4, 0) else ()
        for row in (RECIPE, *others):  # a search was continued after the first evaluation
            line = replace(key, row=row.name)
            journal.trained.append(Training(line, 256, 120, sparsity, 1, accuracy, ""))
            journal.scored.append(Score(line, accuracy))
    arguments = ["report", "--results", str(tmp_path), "--figures", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    report.main()
    printed = capsys.readouterr().out
    assert "none 64x4" not in printed
    assert f"| {RECIPE.name} | 90% |  | 70.0 | 80.0 |  |  |" in printed  # the search
    assert f"| {RECIPE.name} | 85.0 ± 7.1 (2) | 256 | 0.0003 | 2 |" in printed
    for figure in ("peers", "sparsities"):
        assert (tmp_path / f"{figure}_64x4.png").stat().st_size > 1000


def test_the_page_shows_what_was_measured():
    tables = {
        name: text
        for budget in report.budgets_of(ROOT / "docs" / "study").items()
        for name, text in report.tables_of(*budget).items()
    }
    page = (ROOT / "docs" / "study.md").read_text()
    assert "<!-- table: peers 2000x4 -->" in page
    assert fill(page, tables) == page
    in_the_readme = re.findall(r"\d\d\.\d ± \d\.\d", (ROOT / "README.md").read_text())
    assert len(in_the_readme) > 5
    assert all(number in tables["peers 2000x4"] for number in in_the_readme)


def test_every_result_belongs_to_a_row():
    names = {row.name for row in report_rows()}
    for folder in report.budgets_of(ROOT / "docs" / "study").values():
        assert {line.key.row for line in Journal(folder).trained.read()} <= names


def report_rows():
    return [row for parts in report.TABLES.values() for part in parts for row in part.rows]


def test_a_page_gets_the_tables_that_it_names():
    page = "before\n<!-- table: some 64x4 -->\nold\n<!-- end -->\nafter\n"
    new = {"some 64x4": "| new |"}
    filled = fill(page, new)
    assert filled == page.replace("\nold\n", "\n\n| new |\n\n") == fill(filled, new)
    with pytest.raises(SystemExit, match=r"names the table some 64x4.*with results: peers 64x4"):
        fill(page, {"peers 64x4": ""})
