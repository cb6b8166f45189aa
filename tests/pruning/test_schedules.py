import pytest

from vitprune.errors import UsageError
from vitprune.pruning import Cubic, Geometric, Levels, Linear, OneShot

EVERY_SCHEDULE = [
    Linear(0.8, end_epoch=8),
    Linear(0.8, begin_epoch=2, end_epoch=8, every_n_epochs=3),
    Cubic(0.8, end_epoch=8),
    Cubic(0.99, begin_epoch=1, end_epoch=7, every_n_epochs=2, initial_sparsity=0.5),
    Cubic(0.9, begin_step=10, end_step=1010, every_n_steps=100),
    Geometric(0.8, end_epoch=4),
    Geometric(0.9, end_step=7, every_n_steps=1),
    OneShot(0.7, epoch=3),
    OneShot(0.0),
    OneShot(0.5, step=12),
    Levels([0.2, 0.4, 0.4, 0.8], begin_epoch=1, every_n_epochs=2),
    Levels([0.3, 0.6], begin_step=5, every_n_steps=7),
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
        (Linear(0.8, end_epoch=3), [0.2, 0.4, 0.6, 0.8]),
        (Linear(0.8, end_epoch=1, initial_sparsity=0.4), [0.6, 0.8]),
        (Cubic(0.8, end_epoch=3), [0.4625, 0.7, 0.7875, 0.8]),
        (Geometric(0.9375, end_epoch=3), [0.5, 0.75, 0.875, 0.9375]),
        (Levels([0.1, 0.5, 0.6]), [0.1, 0.5, 0.6]),
    ],
)
def test_value_table(schedule, expected):
    assert [schedule.sparsity(r + 1) for r in range(len(expected))] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Linear(1.5, end_epoch=3), r"final_sparsity must lie in \[0, 1\), not 1.5"),
        (lambda: Linear(1.0, end_epoch=3), "final_sparsity"),
        (lambda: Cubic(-0.1, end_epoch=3), "final_sparsity"),
        (lambda: Cubic(0.5, end_epoch=3, initial_sparsity=0.6), "initial_sparsity"),
        (lambda: Linear(0.5), "either end_epoch or end_step"),
        (lambda: Linear(0.5, end_epoch=3, end_step=3), "either end_epoch or end_step"),
        (lambda: Linear(0.5, begin_epoch=4, end_epoch=3), "begin_epoch 4"),
        (lambda: Linear(0.5, end_epoch=8, every_n_epochs=3), "divide end_epoch - begin_epoch = 8"),
        (lambda: Linear(0.5, end_step=8, every_n_steps=0), "every_n_steps 0"),
        (lambda: Linear(0.5, end_step=8), "needs every_n_steps"),
        (
            lambda: Cubic(0.5, end_step=8, every_n_steps=4, every_n_epochs=2),
            "every_n_epochs 2 counts epochs.*to 1",
        ),
        (
            lambda: Cubic(0.5, end_epoch=8, every_n_steps=100),
            "every_n_steps 100 counts steps.*to 1",
        ),
        (lambda: Levels([0.1, 0.4], begin_step=5), "begin_step 5 counts steps.*to 0"),
        (lambda: OneShot(0.4, epoch=3, step=5), "epoch 3 counts epochs"),
        (lambda: Levels([0.5, 0.4]), "rising sparsities"),
        (lambda: Levels([]), "rising sparsities"),
        (lambda: Levels([0.5, 1.0]), "rising sparsities"),
        (lambda: OneShot(1.0), "final_sparsity"),
    ],
)
def test_impossible_values_are_refused(build, message):
    with pytest.raises(UsageError, match=message):
        build()
