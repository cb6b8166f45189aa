import pytest

from vitprune.errors import UsageError
from vitprune.pruning import Cubic, Geometric, Levels, Linear, OneShot

EVERY_SCHEDULE = [
    Linear(0.8, end=8),
    Linear(0.8, begin=2, end=8, every=3),
    Cubic(0.8, end=8),
    Cubic(0.99, begin=1, end=7, every=2, initial_sparsity=0.5),
    Cubic(0.9, begin=10, end=1010, every=100, unit="step"),
    Geometric(0.8, end=4),
    Geometric(0.9, end=7, every=1, unit="step"),
    OneShot(0.7, begin=3),
    OneShot(0.0),
    OneShot(0.5, begin=12, unit="step"),
    Levels([0.2, 0.4, 0.4, 0.8], begin=1, every=2),
    Levels([0.3, 0.6], begin=5, every=7, unit="step"),
]


@pytest.mark.parametrize("schedule", EVERY_SCHEDULE, ids=lambda s: f"{type(s).__name__}-{s.unit}")
class TestEverySchedule:
    def test_ends_exactly(self, schedule):
        assert schedule.sparsity(schedule.rounds) == schedule.final_sparsity
        assert schedule.rounds_due(schedule.end) == schedule.rounds
        assert schedule.rounds_due(schedule.end - 1) == schedule.rounds - 1

    def test_holds_past_the_end(self, schedule):
        assert schedule.rounds_due(schedule.end + 1000) == schedule.rounds

    def test_never_falls_and_stays_in_range(self, schedule):
        sparsities = [schedule.sparsity(r) for r in range(1, schedule.rounds + 1)]
        assert sparsities == sorted(sparsities)
        assert all(schedule.initial_sparsity <= s <= schedule.final_sparsity for s in sparsities)

    def test_nothing_is_due_before_it_begins(self, schedule):
        assert schedule.rounds_due(schedule.begin - 1) == 0
        assert schedule.rounds_due(schedule.begin) == 1

    def test_rounds_are_a_regular_interval_apart(self, schedule):
        first_due = [
            next(p for p in range(2000) if schedule.rounds_due(p) >= r)
            for r in range(1, schedule.rounds + 1)
        ]
        assert first_due == [schedule.begin + i * schedule.every for i in range(schedule.rounds)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Linear(0.8, end=3), [0.2, 0.4, 0.6, 0.8]),
        (Linear(0.8, end=1, initial_sparsity=0.4), [0.6, 0.8]),
        (Cubic(0.8, end=3), [0.4625, 0.7, 0.7875, 0.8]),
        (Geometric(0.9375, end=3), [0.5, 0.75, 0.875, 0.9375]),
        (Levels([0.1, 0.5, 0.6]), [0.1, 0.5, 0.6]),
    ],
)
def test_value_table(schedule, expected):
    assert [schedule.sparsity(r + 1) for r in range(len(expected))] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Linear(1.5, end=3), r"final_sparsity must lie in \[0, 1\), not 1.5"),
        (lambda: Linear(1.0, end=3), "final_sparsity"),
        (lambda: Cubic(-0.1, end=3), "final_sparsity"),
        (lambda: Cubic(0.5, end=3, initial_sparsity=0.6), "initial_sparsity"),
        (lambda: Linear(0.5, end=4.0), r"begin, end and every must be whole.*\(0, 4.0, 1\)"),
        (lambda: Linear(0.5, begin=4, end=3), r"begin 4 must lie in \[0, end 3\]"),
        (lambda: Linear(0.5, begin=-1, end=3), "begin -1"),
        (lambda: Linear(0.5, end=8, every=3), "every 3 .* divide end - begin = 8.*at epoch 8"),
        (lambda: Linear(0.5, end=8, every=0), "every 0 must be at least 1"),
        (lambda: Linear(0.5, end=8, every=3, unit="step"), "due at step 8"),
        (lambda: Linear(0.5, end=8, unit="step"), "in steps needs `every`"),
        (lambda: Linear(0.5, end=8, unit="steps"), "unit must be epoch or step, not 'steps'"),
        (lambda: Levels([0.1, 0.4], begin=5, unit="step"), "in steps needs `every`"),
        (lambda: Levels([0.1, 0.4], every=0), "every 0 must be at least 1"),
        (lambda: OneShot(0.4, begin=-1), "begin -1"),
        (lambda: Levels([0.5, 0.4]), "increasing sparsities"),
        (lambda: Levels([]), "increasing sparsities"),
        (lambda: Levels([0.5, 1.0]), "increasing sparsities"),
        (lambda: OneShot(1.0), "final_sparsity"),
    ],
)
def test_impossible_values_are_refused(build, message):
    with pytest.raises(UsageError, match=message):
        build()
