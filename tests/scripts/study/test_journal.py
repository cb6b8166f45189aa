"""The files of a budget."""

from dataclasses import replace

import pytest

from scripts.study.conditions import Conditions
from scripts.study.journal import Journal
from scripts.study.lines import Key, Score, Training

KEY = Key("SparseGPT, distillation", 0.5, 1e-4, 0)
CONDITIONS = Conditions(
    model="digits",
    weights="1234",
    source="digits",
    subset=None,
    images=64,
    epochs=4,
    batch_size=16,
    precision="32-true",
    device="cpu",
    threads=1,
)


def test_results_under_other_conditions_are_not_extended(tmp_path):
    Journal(tmp_path).open(CONDITIONS)
    Journal(tmp_path).open(CONDITIONS)
    with pytest.raises(SystemExit, match="other conditions: images is 65 and was 64. Set"):
        Journal(tmp_path).open(replace(CONDITIONS, images=65))


def test_a_training_is_claimed_once(tmp_path):
    with Journal(tmp_path).claim(KEY) as mine, Journal(tmp_path).claim(KEY) as others:
        assert (mine, others) == (True, False)
    with Journal(tmp_path).claim(KEY) as mine:
        assert mine


def test_lines_are_read_as_they_were_written(tmp_path):
    journal = Journal(tmp_path)
    training = Training(KEY, 256, 12, 0.500001, 1000, 0.25, "abc+")
    other = replace(training, key=replace(KEY, learning_rate=3e-5), chosen=0.3)
    for line in (training, other):
        journal.trained.append(line)
    journal.scored.append(Score(KEY, 0.75))
    assert journal.trained.read() == [training, other]
    assert journal.training(KEY) == training
    assert journal.score(KEY) == Score(KEY, 0.75)
    assert journal.best_rate(KEY.row, KEY.sparsity) == 3e-5
    assert journal.trained.path.read_text().splitlines() == [
        "row,sparsity,learning_rate,seed,images_seen,seconds,reached,parameters,chosen,code",
        '"SparseGPT, distillation",0.5,0.0001,0,256,12,0.500001,1000,0.25,abc+',
        '"SparseGPT, distillation",0.5,3e-05,0,256,12,0.500001,1000,0.3,abc+',
    ]
