"""The files of predictions."""

import csv
import json

import pytest

from vitprune.training.predictions import Prediction, write_csv, write_json_lines, writer_for

ROWS = [Prediction("images/1.png", "tench, fish", 0.5), Prediction("=cmd()|A1.png", "@home", 1.0)]


def test_what_a_spreadsheet_would_run_is_text_in_csv(tmp_path):
    write_csv(ROWS, tmp_path / "p.csv")
    rows = list(csv.reader((tmp_path / "p.csv").read_text().splitlines()))
    assert rows == [
        ["file", "label", "probability"],
        ["images/1.png", "tench, fish", "0.500000"],
        ["'=cmd()|A1.png", "'@home", "1.000000"],
    ]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_every_beginning_of_a_formula(start, tmp_path):
    write_csv([Prediction(f"{start}1", "a", 0.1)], tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        assert list(csv.reader(file))[1][0] == f"'{start}1"


def test_json_lines_hold_names_as_they_are(tmp_path):
    write_json_lines(ROWS, tmp_path / "p.jsonl")
    lines = (tmp_path / "p.jsonl").read_text().splitlines()
    assert [Prediction(**json.loads(line)) for line in lines] == ROWS


def test_the_name_of_the_file_tells_its_format(tmp_path):
    assert writer_for(tmp_path / "p.jsonl") is write_json_lines
    assert writer_for(tmp_path / "p.csv") is writer_for(tmp_path / "p.txt") is write_csv
