"""Functions take turns."""

from vitprune.exports.turns import WARM_UP, time_in_turns


def test_each_round_starts_with_another_function():
    order = []
    seconds = time_in_turns([lambda: order.append("a"), lambda: order.append("b")], repeats=2)
    assert "".join(order) == "abba" * 2
    assert WARM_UP == 2
    assert [len(each) for each in seconds] == [2, 2]
