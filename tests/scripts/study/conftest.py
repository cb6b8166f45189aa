"""A small study on the digits."""

import sys

import pytest

from scripts.study import run, study, tables

DIGITS = ["--model", "digits", "--source", "digits", "--images", "64", "--threads", "1"]


@pytest.fixture
def run_rows(monkeypatch, tmp_path):
    """Return a function that runs rows with four learning rates and returns both tables."""
    monkeypatch.setattr(study, "LEARNING_RATES", (1e-6, 1e-5, 1e-4, 1e-3))

    def run_rows(*rows, sparsity=0.5, seeds=1, options=()):
        monkeypatch.setitem(tables.TABLES, "small", (tables.Part(rows, (sparsity,), seeds),))
        arguments = ["small", "--results", str(tmp_path), "--epochs", "4", *DIGITS, *options]
        monkeypatch.setattr(sys, "argv", ["run", *arguments])
        run.main()
        journal = run.Journal(tmp_path / "64x4")
        return journal.trained.read(), journal.scored.read()

    return run_rows
