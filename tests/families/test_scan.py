"""Scans in every family: what is replayed from the middle gives the logits of the whole model."""

import torch

from tests.families.expectations import expected, families
from tests.families.families import logits
from tests.families.runs import net_of_run
from vitprune.evaluation.one_shot import pruned
from vitprune.evaluation.replay import Batch, record, replay
from vitprune.model.anatomy.layers import find_layers
from vitprune.model.anatomy.stages import find_stages, stages_before
from vitprune.pruning import Method


@families("scan")
def test_every_replay_is_exact(family, tmp_path):
    """Bit for bit, whichever layer is pruned."""
    batch = Batch(family.images(), family.labels())
    with expected("scan", family):
        net = net_of_run(family, tmp_path)
        stages = find_stages(net)
        with torch.no_grad():
            record(net, list(stages.values()), batch)
            starts = set()
            for layer in find_layers(net):
                start = stages_before(layer, stages)
                starts.add(start)
                with pruned([layer], 0.5, Method(), seed=0):
                    whole = logits(net, batch.images)
                    again = replay(net, list(stages.values()), batch, start)
                assert torch.equal(again, whole), layer.name
        assert len(starts) >= 3  # something is reused
