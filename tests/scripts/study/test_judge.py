"""The halves of the validation images."""

import pytest

from scripts.study.budget import Budget
from scripts.study.judge import Judge


@pytest.mark.filterwarnings("ignore")
def test_the_half_that_chooses_is_not_reported():
    budget = Budget("digits", "digits", 64, 4)
    halves = [data.splits["validation"] for data, _ in Judge(budget).halves.values()]
    pixels = [{str(image) for image in half["image"]} for half in halves]
    assert len(halves[0]) + len(halves[1]) == len(budget.data().splits["validation"])
    assert not pixels[0] & pixels[1]
