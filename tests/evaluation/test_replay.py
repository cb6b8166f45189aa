"""Replayed stages give the logits of the whole model."""

import pytest
import torch
from transformers import AutoConfig

from tests.conftest import tiny_net, tiny_swin
from tests.evaluation.scanning import METHODS, one_batch
from vitprune.evaluation.one_shot import pruned
from vitprune.evaluation.replay import record, replay
from vitprune.model.anatomy.layers import find_layers
from vitprune.model.anatomy.stages import find_stages, stages_before
from vitprune.model.loading import net_from_config


class TestReplay:
    @pytest.mark.parametrize("family", ["vit", "deit", "dinov2", "beit"])
    def test_every_start_gives_the_logits_of_the_whole_model(self, family):
        """Bit for bit: stages before the changed layer come from memory, the rest is computed."""
        net, images = tiny_net(family, num_hidden_layers=3), one_batch()
        stages = find_stages(net)
        assert len(stages) == 4
        with torch.no_grad():
            record(net, list(stages.values()), images)
            starts = set()
            for layer in find_layers(net):
                start = stages_before(layer, stages)
                starts.add(start)
                with pruned([layer], 0.5, METHODS[0], 0):
                    whole = net(pixel_values=images.images).logits
                    assert torch.equal(replay(net, list(stages.values()), images, start), whole)
        assert starts == {0, 1, 2, 3, 4}

    def test_blocks_of_several_stages(self):
        net, images = tiny_swin(), one_batch()
        stages = find_stages(net)
        assert len(stages) == 4
        with torch.no_grad():
            record(net, list(stages.values()), images)
            for layer in find_layers(net):
                with pruned([layer], 0.5, METHODS[0], 0):
                    whole = net(pixel_values=images.images).logits
                    start = stages_before(layer, stages)
                    assert torch.equal(replay(net, list(stages.values()), images, start), whole), (
                        layer.name
                    )

    def test_outputs_that_the_model_changes_in_place(self):
        """As the residual sums of ResNet do: each replay needs the values before."""
        torch.manual_seed(0)
        widths = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 2]}
        config = AutoConfig.for_model("resnet", layer_type="basic", num_labels=10, **widths)
        net, images = net_from_config(config).eval(), one_batch()
        stages = find_stages(net)
        with torch.no_grad():
            record(net, list(stages.values()), images)
            for layer in find_layers(net):
                with pruned([layer], 0.5, METHODS[0], 0):
                    whole = net(pixel_values=images.images).logits
                    start = stages_before(layer, stages)
                    again = replay(net, list(stages.values()), images, start)
                    assert torch.equal(again, whole), layer.name

    def test_the_stages_before_are_not_computed(self):
        net, images, calls = tiny_net(num_hidden_layers=3), one_batch(), []
        stages = list(find_stages(net).values())
        record(net, stages, images)
        net.vit.layers[0].attention.register_forward_hook(lambda *_: calls.append(0))
        net.vit.layers[1].attention.register_forward_hook(lambda *_: calls.append(1))
        replay(net, stages, images, start=2)
        assert calls == [1]
        net(pixel_values=images.images)
        assert calls == [1, 0, 1]
