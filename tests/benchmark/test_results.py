"""The table of a benchmark and its files."""

import csv
import json
from dataclasses import asdict, replace

from PIL import Image

from vitprune.benchmark.results import add_to_reports, print_speeds, save
from vitprune.runs.benchmark_report import Conditions, Speed
from vitprune.runs.report import RunReport

CONDITIONS = Conditions(16, 10, "CPU x86_64", 1, "float32", False, "2.14")
DENSE = Speed("dense", 12.345, 0.5, 80.0, 1.0, 1.0, 1.0, 2_500_000_000, 5_700_000, None)
PRUNED = replace(DENSE, name="export", measured_speedup=1.9, bytes=22_000_000)


def test_the_table_has_medians_spreads_and_conditions(capsys):
    print_speeds([DENSE, PRUNED], CONDITIONS)
    out = capsys.readouterr().out
    for text in ("12.35 ± 0.50", "80.0 ± 1.0", "1.90", "2.500", "5.70", "22.0", "threads 1"):
        assert text in out


def test_files(tmp_path):
    out = tmp_path / "out"
    assert save([DENSE, PRUNED], CONDITIONS, out) == [
        "benchmark.csv",
        "benchmark.json",
        "benchmark.png",
    ]
    rows = list(csv.DictReader((tmp_path / "out" / "benchmark.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["dense", "export"]
    assert rows[1]["measured_speedup"] == "1.9"
    picture = Image.open(tmp_path / "out" / "benchmark.png").convert("L")
    assert len(picture.getcolors(1 << 20)) > 10  # not blank
    result = json.loads((out / "benchmark.json").read_text())
    assert result["models"] == [asdict(DENSE), asdict(PRUNED)]
    assert result.items() >= asdict(CONDITIONS).items()


def test_accuracy_is_drawn_against_latency_where_it_is_known(tmp_path, capsys):
    speeds = [DENSE, replace(PRUNED, accuracy=0.912)]
    assert "pareto.png" in save(speeds, CONDITIONS, tmp_path)
    assert (tmp_path / "pareto.png").is_file()
    print_speeds(speeds, CONDITIONS)
    assert "91.20" in capsys.readouterr().out


def test_the_report_of_an_export_gets_the_result(export):
    before = RunReport.read(export.report)
    add_to_reports([DENSE, PRUNED], CONDITIONS, {export: "export"})
    after = RunReport.read(export.report)
    assert after.benchmark.of_export() == PRUNED
    assert asdict(after.benchmark).items() >= asdict(CONDITIONS).items()
    assert replace(after, benchmark=None) == before
