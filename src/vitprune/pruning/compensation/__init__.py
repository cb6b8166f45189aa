"""What happens to the rest? Compensation: what remains takes over what pruned groups computed."""

from vitprune.pruning.compensation.compensation import Compensation
from vitprune.pruning.compensation.mean import Mean
from vitprune.pruning.compensation.ridge import Ridge

__all__ = ["Compensation", "Mean", "Ridge"]
