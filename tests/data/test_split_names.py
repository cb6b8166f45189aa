"""The names of splits, as people spell them."""

import pytest

from vitprune.data.split_names import find_split, looks_like_split, split_named


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (["train", "Training", "TRAIN", "train_images", "seg_train", "train2017"], "train"),
        (["trainImages", "Training Set", "trainset", "ILSVRC2012_img_train"], "train"),
        (["val", "Valid", "dev", "valid_images", "validation-data", "Validate"], "validation"),
        (["Test", "TESTING", "test1", "test.v2", "eval", "Evaluation"], "test"),
        (["trainval", "train_val", "train-test", "fold1", "holdout"], None),
        (["trainer", "latest", "Testudo", "valley", "developers", "2017", ""], None),
    ],
)
def test_a_name_says_which_split_it_is_or_none(names, split):
    assert {name: split_named(name) for name in names} == dict.fromkeys(names, split)


def test_some_names_look_like_splits_and_do_not_say_which():
    assert all(map(looks_like_split, ["trainval", "train_val", "fold1", "holdout", "Test"]))
    assert not any(map(looks_like_split, ["trainer", "latest", "Testudo", "valley", "cat"]))


def test_sources_call_splits_by_names_of_any_case():
    assert find_split(["Train", "VAL", "extra"], "validation") == "VAL"
    assert find_split(["Train", "train"], "train") == "train"
    assert find_split(["train", "extra"], "test") is None
