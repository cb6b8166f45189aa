"""Time functions in turns, so that other load on the machine affects all of them."""

import time
from collections.abc import Callable, Sequence

WARM_UP = 2  # rounds


def time_in_turns(calls: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Return the seconds of each call: for each function, those of all rounds.

    Each round starts with another function.

    Args:
        calls: Functions to time.
        repeats: Number of rounds after the warm-up, in each of which every function runs once.

    """
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(WARM_UP + repeats):
        for place in range(len(calls)):
            i = (turn + place) % len(calls)
            start = time.perf_counter()
            calls[i]()
            elapsed = time.perf_counter() - start
            if turn >= WARM_UP:
                seconds[i].append(elapsed)
    return seconds
