"""States of metrics within an epoch, so that those of a resumed epoch cover all of it."""

from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric

from vitprune.training.lightning_internals import set_update_count

UPDATES = "updates"


def metric_states(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Return the states of the metrics that were updated since their last reset, by name."""
    return {
        name: {UPDATES: metric.update_count, **metric.metric_state}
        for name, metric in module.named_modules()
        if isinstance(metric, Metric) and metric.update_called
    }


def restore_metrics(module: nn.Module, states: dict[str, dict[str, Any]]) -> None:
    """Set metrics to saved states; metrics that the module does not have are left out."""
    metrics = {name: one for name, one in module.named_modules() if isinstance(one, Metric)}
    for name in states.keys() & metrics.keys():
        metric = metrics[name]
        metric.reset()
        for key in states[name].keys() & metric.metric_state.keys():
            setattr(metric, key, _on_device(states[name][key], metric))
        set_update_count(metric, states[name][UPDATES])


def _on_device(state: Any, metric: Metric) -> Any:
    if isinstance(state, Tensor):
        return state.to(metric.device)
    return [part.to(metric.device) for part in state]
