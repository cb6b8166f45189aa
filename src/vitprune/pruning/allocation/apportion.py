"""Shares to whole increments: the arithmetic behind the allocations by shares."""

from collections.abc import Callable, Sequence

from vitprune.pruning.allocation.demand import Demand

HALVINGS = 100


def apportion(
    shares: Callable[[float], Sequence[float]], sizes: Sequence[int], demand: Demand
) -> list[int]:
    """Round shares to whole increments that sum to the demand (largest remainder).

    Source: Hamilton's method.

    Args:
        shares: Returns the increments of each candidate as a function that rises with a number
            x > 0. x is chosen such that the increments, within their bounds, sum to the demand;
            x = 1 is tried first.
        sizes: Size of an increment of each candidate.
        demand: What to prune together, and the bounds of each candidate.

    Returns:
        The increments of each candidate. They sum to the demand, or come as near as the bounds and
        sizes allow.

    Examples:
        >>> demand = Demand(size=5, lower=[0, 0, 0], upper=[4, 4, 1])
        >>> apportion(lambda x: [1.4 * x, 1.6 * x, 2.0 * x], [1, 1, 1], demand)
        [2, 2, 1]

    """

    def bounded(x: float) -> list[float]:
        return [
            min(max(share, low), high)
            for share, low, high in zip(shares(x), demand.lower, demand.upper, strict=True)
        ]

    def total(counts: Sequence[float]) -> float:
        return sum(count * size for count, size in zip(counts, sizes, strict=True))

    exact = bounded(_solve(lambda x: total(bounded(x)), demand.size))
    counts = [int(value + 1e-6) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    left = demand.size - total(counts)
    for i in by_remainder:
        if counts[i] < demand.upper[i] and 2 * left >= sizes[i]:
            counts[i] += 1
            left -= sizes[i]
    return counts


def _solve(total: Callable[[float], float], target: int) -> float:
    """Find the x at which a rising function reaches the target; 1 is tried before bisection."""
    if abs(total(1.0) - target) < 0.5:
        return 1.0
    low = 0.0
    high = 1.0
    while total(high) < target and high < 1e12:
        high *= 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if total(middle) < target:
            low = middle
        else:
            high = middle
    return high
