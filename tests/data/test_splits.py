"""The splits of a source: which there are, and how many images they have."""

import pytest

from tests.data.files import module
from vitprune.errors import UsageError


def test_the_largest_number_of_images_is_a_fixed_choice(processor):
    first = module("digits", processor, max_images={"train": 50})
    again = module("digits", processor, max_images={"train": 50})
    assert first.splits["train"]["image"] == again.splits["train"]["image"]
    assert len(first.splits["train"]) == 50
    assert len(first.splits["validation"]) == 300


def test_a_source_without_a_test_split_says_so(image_folder, processor):
    with pytest.raises(UsageError, match=r"no test split; it has \['train', 'validation'\]"):
        module(image_folder, processor).setup("test")
