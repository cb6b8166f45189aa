"""The best checkpoint is the sparsest one; of equally sparse ones, that with the best metric."""

from vitprune.training.best import Best


def test_better_is_sparser_then_higher():
    best = Best()
    assert best.improve(0.9, 0.5)
    assert not best.improve(0.9, 0.5)  # the first of two equal ones stays
    assert best.improve(0.91, 0.5)
    assert best.improve(0.2, 0.6)
    assert not best.improve(0.99, 0.5)
    assert best == Best(0.2, 0.6)


def test_the_state_is_restored_and_reset():
    best = Best(0.9, 0.5)
    restored = Best()
    restored.load_state_dict(best.state_dict())
    assert restored == best
    best.reset()
    assert best == Best()
