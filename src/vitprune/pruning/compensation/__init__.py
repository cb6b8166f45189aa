"""What happens to the rest? Compensation: the remaining weights compensate for pruned groups."""

from vitprune.pruning.compensation.compensation import Compensation
from vitprune.pruning.compensation.mean import Mean
from vitprune.pruning.compensation.ridge import Ridge

__all__ = ["Compensation", "Mean", "Ridge"]
