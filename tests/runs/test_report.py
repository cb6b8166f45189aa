"""`report.json` as a dataclass: what is written is read back, and damage is named."""

import json
from dataclasses import replace

import pytest

from vitprune.errors import UsageError
from vitprune.runs.benchmark_report import BenchmarkReport, Speed
from vitprune.runs.format_report import FormatReport
from vitprune.runs.report import Environment, ModelReport, RunReport, SparsityReport, Verification
from vitprune.runs.rounds import MOST_ROUNDS, RoundReport, round_table
from vitprune.runs.shrink_report import ShrinkReport

SPEED = Speed("dense", 1.0, 0.1, 100.0, 1.0, 1.0, 1.0, 200, 10, 40)
REPORT = RunReport(
    finished=True,
    is_best=True,
    sparsity=SparsityReport(0.5, 0.4, {"net.fc": 0.5}),
    base=ModelReport(None, None, 10, None, 200, 40),
    pruned=ModelReport(0.9, 0.1, 10, 6, 200, 40, images=50),
    rounds=[RoundReport(1, 0, 0, 0.5, 0.5, 0.5, 0.8, None)],
    shrunk=ShrinkReport(0, reason="not asked for"),
    formats={"pt2": FormatReport(bytes=50, largest_logit_difference=0.0)},
    verification=Verification(0.0, 4, 8),
    environment=Environment({"torch": "2"}, "cpu", "vitprune fit", 42),
)


def test_a_report_is_read_as_it_was_written(tmp_path):
    REPORT.write(tmp_path / "report.json")
    assert RunReport.read(tmp_path / "report.json") == REPORT


def test_unknown_keys_are_ignored(tmp_path):
    path = tmp_path / "report.json"
    REPORT.write(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "of_a_later_version": 1}))
    assert RunReport.read(path) == REPORT


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{}", '{"finished": tr', "\0", '{"finished": "perhaps"}']
)
def test_a_damaged_report_is_one_line_that_names_the_file(tmp_path, content):
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"report.json is damaged or from another version") as info:
        RunReport.read(path)
    assert "\n" not in str(info.value)


def test_a_missing_report_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"report.json cannot be read: No such file"):
        RunReport.read(tmp_path / "report.json")


def test_the_speed_of_the_export_itself():
    report = BenchmarkReport(1, 1, "cpu", 1, "float32", False, "2", [SPEED], "dense")
    assert report.of_export() == SPEED
    assert replace(report, export="gone").of_export() is None


def test_of_many_rounds_the_table_has_some_and_the_last():
    rounds = [RoundReport(n, n, n, n / 100, 0.1, n / 100, None, 0.5) for n in range(1, 91)]
    _, *rows = round_table(rounds)
    assert len(rows) <= MOST_ROUNDS
    assert [rows[0][0], rows[-1][0]] == ["1", "90"]
    assert rows[-1] == ("90", "90", "90.00%", "90.00%", "-", "50.00%")
    assert [row[0] for row in round_table(rounds[:3])[1:]] == ["1", "2", "3"]
    assert round_table([])[1:] == []


def test_the_conditions_of_a_benchmark_are_beside_its_result(tmp_path):
    benchmark = BenchmarkReport(1, 1, "cpu", 1, "float32", False, "2", [SPEED], "dense")
    replace(REPORT, benchmark=benchmark).write(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())["benchmark"]
    assert written.keys() == {
        *("batch_size", "repeats", "device", "threads", "dtype", "compile", "torch"),
        *("export", "models"),
    }
    assert RunReport.read(tmp_path / "report.json").benchmark == benchmark
