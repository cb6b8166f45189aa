"""The page about model families in the documentation."""

from tests.families.page import FILE, page


def test_the_page_is_up_to_date():
    assert FILE.read_text() == page(), "run `python -m tests.families.page`"
