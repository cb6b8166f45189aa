"""The table of pruning rounds."""

import pytest

from vitprune.runs.rounds import RoundReport, round_table


@pytest.mark.parametrize(("count", "most"), [(0, 0), (1, 1), (20, 20), (4500, 21)])
def test_of_many_rounds_the_table_has_some_and_the_last(count, most):
    rounds = [RoundReport(n, 0, 0, 0.5, 0.5, 0.5, None, None) for n in range(1, count + 1)]
    _, *rows = round_table(rounds)
    assert len(rows) <= most
    assert [row[0] for row in (rows[:1] + rows[-1:])] == ["1", str(count)][: 2 * bool(count)]


def test_what_is_left_of_a_budget_has_its_own_column():
    done = RoundReport(1, 0, 0, 0.5, 0.4, 0.51, None, None, left={"FLOPs": 1.25e9})
    header, row = round_table([done])
    assert header[-1] == "FLOPs"
    assert row[-1] == "1.25 G"
    assert row[2:4] == ("50.00%", "51.00%")
