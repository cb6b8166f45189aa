"""The position of training in its data, and what a checkpoint stores of it."""

from types import SimpleNamespace

import pytest

from vitprune.data.position import DataPosition, Position
from vitprune.data.stream_state import StreamState, WorkerState
from vitprune.errors import UsageError


def trainer_at(epoch, batches, of=5, ranks=1):
    """Return what a position reads of a trainer in the middle of training."""
    batch_progress = SimpleNamespace(current=SimpleNamespace(processed=batches))
    return SimpleNamespace(
        fit_loop=SimpleNamespace(
            epoch_progress=SimpleNamespace(current=SimpleNamespace(ready=epoch + 1)),
            epoch_loop=SimpleNamespace(batch_progress=batch_progress),
        ),
        num_training_batches=of,
        world_size=ranks,
        global_rank=0,
    )


@pytest.mark.parametrize(
    ("epoch", "batches", "position"),
    [(0, 0, Position(0, 0)), (2, 4, Position(2, 4)), (2, 5, Position(3, 0))],
)
def test_the_end_of_an_epoch_is_the_start_of_the_next(epoch, batches, position):
    assert Position.of(trainer_at(epoch, batches)) == position


def test_a_position_is_restored():
    state = DataPosition(8).state_dict(trainer_at(2, 4, ranks=2))
    assert state == {"epoch": 2, "batches": 4, "images_at_a_time": 16}
    restored = DataPosition(16)
    restored.load_state_dict(state, trainer_at(0, 0))
    assert restored.start == Position(2, 4)
    restored.reset()
    assert restored.start == Position()


def test_batches_of_another_size_are_refused_within_an_epoch_only():
    restored = DataPosition(8)
    restored.load_state_dict({"epoch": 1, "batches": 0, "images_at_a_time": 16}, None)
    with pytest.raises(UsageError, match="batches of 16 images.*but this run has 8. Resume with"):
        restored.load_state_dict({"epoch": 1, "batches": 3, "images_at_a_time": 16}, None)
    assert restored.start == Position(1, 0)


def test_a_stream_of_other_processes_is_refused():
    state = {"epoch": 1, "batches": 0, "streams": [{}, {}]}
    with pytest.raises(UsageError, match="was read by 2 processes, but this run has 1"):
        DataPosition(8).load_state_dict(state, trainer_at(0, 0))


def test_the_state_of_a_stream_in_plain_types_and_back():
    state = StreamState()
    state.advance(1, 2, WorkerState({"shard": 3}, 4, 5))
    plain = state.state_dict()
    assert plain == {
        "used": 1,
        "workers": 2,
        "states": {1: {"rows": {"shard": 3}, "block": 4, "served": 5}},
    }
    assert StreamState.from_state_dict(plain, 2) == state
    with pytest.raises(UsageError, match="read by 2 workers, but this run has 3"):
        StreamState.from_state_dict(plain, 3)
