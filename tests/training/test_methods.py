"""What happens between the rounds: weights that come back, that are rewound, and schedules that watch the metric."""

import pytest
import torch
from lightning import Callback

from tests.conftest import Regression, quiet_trainer, regression_loader
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.pruning import (
    LAMP,
    AccuracyGuarded,
    Cubic,
    IterativePruning,
    LearningRate,
    Levels,
    Linear,
    Movement,
    Neuron,
    NofM,
    OneShot,
    RigL,
    Row,
    SparseGPT,
    Weights,
    masks,
)
from vitprune.training.pruning.search import Search


class Every(Callback):
    """Call a function before every batch (after the rounds), and keep what it returns."""

    def __init__(self, look):
        self.look, self.seen = look, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.append(self.look(trainer, pl_module))


def fit(tmp_path, pruning, module=None, look=lambda trainer, module: None, **options):
    torch.manual_seed(0)
    module, every = module or Regression(), Every(look)
    trainer = quiet_trainer(tmp_path, callbacks=[pruning, every], **{"max_epochs": 5, **options})
    trainer.fit(module, regression_loader(), regression_loader())
    return module, every.seen, trainer


def keeps(trainer, module):
    return torch.cat([masks.read(layer).flatten() for layer in trainer.callbacks[0].layers])


class TestMovement:
    def test_the_score_is_the_sum_of_minus_weight_times_gradient(self, tmp_path):
        expected = torch.zeros(16, 8)

        class Sums(Callback):
            def on_before_optimizer_step(self, trainer, pl_module, optimizer):
                if trainer.current_epoch == 0:
                    weight = pl_module.first.parametrizations.weight.original
                    expected.sub_((weight * weight.grad).detach())

        pruning = IterativePruning(OneShot(0.5, begin=1), Movement(), monitor=None)
        module = Regression(torch.optim.SGD)
        trainer = quiet_trainer(
            tmp_path, callbacks=[Sums(), pruning], max_epochs=2, limit_train_batches=3
        )
        trainer.fit(module, regression_loader(), regression_loader())
        keep = masks.read(pruning.layers[0])
        assert keep.sum() == 64
        assert expected[keep].min() >= expected[~keep].max()

    def test_masked_weights_are_zero_forward_and_learn_all_the_same(self, tmp_path):
        pruning = IterativePruning(Levels([0.3, 0.4], begin=1), Movement(), monitor=None)
        gradients = []

        class Gradients(Regression):
            def on_before_optimizer_step(self, optimizer):
                gradients.append(self.first.parametrizations.weight.original.grad.clone())

        module, seen, _ = fit(tmp_path, pruning, Gradients(), look=keeps)
        assert seen[5].float().mean() == pytest.approx(0.7, abs=0.01)
        assert seen[-1].float().mean() == pytest.approx(0.6, abs=0.01)
        assert (~seen[5] & seen[-1]).any()  # some came back
        dropped = ~masks.read(pruning.layers[0])
        assert not module.first.weight[dropped].any()
        assert gradients[-1][dropped].any()

    def test_there_must_be_something_to_learn_from(self, tmp_path):
        with pytest.raises(UsageError, match="begin to 1 or more"):
            fit(tmp_path, IterativePruning(OneShot(0.5), Movement(), monitor=None))

    def test_a_round_at_every_step_is_not_logged_every_time(self, tmp_path, capsys):
        pruning = IterativePruning(
            Cubic(0.5, begin=1, end=12, every=1, unit="step"), Movement(), monitor=None
        )
        fit(tmp_path, pruning)
        assert len(pruning.state.rounds) == 12
        assert [
            line.split()[1]
            for line in capsys.readouterr().out.splitlines()
            if line.startswith("round")
        ] == ["12/12"]


class Decaying(Regression):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 20)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate(trainer, module):
    return trainer.optimizers[0].param_groups[0]["lr"]


def test_the_learning_rate_starts_again_in_every_round(tmp_path):
    pruning = IterativePruning(
        Levels([0.2, 0.4], begin=1, every=2), monitor=None, rewind=LearningRate()
    )
    _, seen, _ = fit(tmp_path, pruning, Decaying(), rate)
    expected = [1 - i / n for n in (4, 8, 8) for i in range(n)]  # epochs 0, 1 to 2, and 3 to 4
    assert seen == pytest.approx([1e-2 * factor for factor in expected])


def test_the_learning_rate_starts_again_in_every_epoch_where_rounds_are_not_known(tmp_path):
    guarded = AccuracyGuarded(step=0.2, max_drop=9, max_sparsity=0.9, begin=2)
    _, seen, _ = fit(
        tmp_path,
        IterativePruning(guarded, monitor="val/score", rewind=LearningRate()),
        Decaying(),
        rate,
    )
    expected = [1 - i / n for n in (8, 4, 4, 4) for i in range(n)]
    assert seen == pytest.approx([1e-2 * factor for factor in expected])


def test_a_rate_that_cannot_be_stretched_is_refused(tmp_path):
    class ByEpoch(Decaying):
        def configure_optimizers(self):
            return {
                **(both := super().configure_optimizers()),
                "lr_scheduler": both["lr_scheduler"]["scheduler"],
            }

    with pytest.raises(UsageError, match="interval 'step'"):
        fit(
            tmp_path,
            IterativePruning(Linear(0.5, end=2), monitor=None, rewind=LearningRate()),
            ByEpoch(),
        )


def test_rounds_a_step_apart_leave_a_rate_nowhere_to_go(tmp_path):
    every_step = Linear(0.5, begin=4, end=12, every=1, unit="step")
    with pytest.raises(UsageError, match="more than one step between two rounds"):
        fit(tmp_path, IterativePruning(every_step, monitor=None, rewind=LearningRate()), Decaying())


def test_surviving_weights_go_back_to_an_early_value(tmp_path):
    def parameters(trainer, module):
        return {name: value.detach().clone() for name, value in module.named_parameters()}

    pruning = IterativePruning(
        Levels([0.4, 0.6], begin=1, every=2), monitor=None, rewind=Weights(step=2)
    )
    module, seen, _ = fit(tmp_path, pruning, look=parameters)
    for first_batch in (4, 12):
        for name, early in seen[2].items():
            assert torch.equal(seen[first_batch][name], early)
    assert not torch.equal(seen[3]["first.bias"], seen[2]["first.bias"])
    assert float((module.first.weight == 0).float().mean()) == pytest.approx(0.6, abs=0.01)


def test_weights_must_be_kept_before_the_first_round(tmp_path):
    with pytest.raises(UsageError, match="after step 9, but the first round is due after step 4"):
        fit(tmp_path, IterativePruning(OneShot(0.5, begin=1), monitor=None, rewind=Weights(step=9)))


class TestRegrowth:
    def look(self, trainer, module):
        layer = trainer.callbacks[0].layers[0]
        state = trainer.optimizers[0].state.get(masks.original(layer), {})
        return {
            "keep": masks.read(layer).clone(),
            "weight": masks.original(layer).detach().clone(),
            "momentum": state["exp_avg"].clone() if state else torch.zeros_like(layer.weight),
        }

    def test_weights_return_as_zeros_with_no_past(self, tmp_path):
        pruning = IterativePruning(Levels([0.5] * 4), monitor=None, regrow=RigL(0.5))
        _, seen, _ = fit(tmp_path, pruning, look=self.look)
        exchanged = []
        for round in range(1, 4):
            old, new = seen[4 * round - 1], seen[4 * round]
            assert new["keep"].sum() == old["keep"].sum() == 64
            back, gone = new["keep"] & ~old["keep"], old["keep"] & ~new["keep"]
            assert back.sum() == gone.sum()
            assert not new["weight"][back].any()
            assert not new["momentum"][back | gone].any()
            exchanged.append(int(back.sum()))
        assert exchanged[0] > exchanged[2] == 0  # the fraction falls to nothing in the last round

    def test_those_with_the_largest_gradients_return(self, tmp_path):
        gradients = []

        class Dense(Callback):
            def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
                if trainer.current_epoch == 1 and batch_idx == 0:
                    weight = pl_module.first.weight.detach().clone().requires_grad_()
                    x, y = regression_loader(batch_size=32).dataset.tensors
                    out = pl_module.second(
                        torch.nn.functional.linear(x, weight, pl_module.first.bias).relu()
                    )
                    torch.nn.functional.mse_loss(out, y).backward()
                    gradients.append(weight.grad.abs())

        pruning = IterativePruning(Levels([0.5] * 3), monitor=None, regrow=RigL(0.5))
        before = Every(self.look)
        trainer = quiet_trainer(
            tmp_path, callbacks=[before, Dense(), pruning, after := Every(self.look)], max_epochs=4
        )
        before.look = after.look = lambda trainer, module: masks.read(pruning.layers[0]).clone()
        torch.manual_seed(0)
        trainer.fit(Regression(), regression_loader(), regression_loader())
        old, new = before.seen[4], after.seen[4]
        back = new & ~old
        assert back.any()
        assert gradients[0][back].min() >= gradients[0][~old & ~new].max()

    @pytest.mark.parametrize(
        ("schedule", "options", "message"),
        [
            (AccuracyGuarded(), {"regrow": RigL()}, "does not know how many"),
            (OneShot(0.5), {"regrow": RigL()}, "several rounds, known beforehand; OneShot has one"),
            (Levels([0.5, 0.6]), {"regrow": RigL(), "criterion": SparseGPT()}, "already"),
            (
                Levels([0.5, 0.6], begin=1),
                {"regrow": RigL(), "criterion": Movement()},
                "already",
            ),
            (
                Levels([0.5, 0.6], begin=1),
                {"allocation": LAMP(), "criterion": Movement()},
                "use Global",
            ),
            (AccuracyGuarded(), {"rewind": Weights()}, "restores weights itself. Use LearningRate"),
            (
                AccuracyGuarded(),
                {"monitor": None},
                "better when higher. Set pruning.monitor to one, not None",
            ),
            (
                AccuracyGuarded(),
                {"monitor": "val/loss"},
                "better when higher. Set pruning.monitor to one, not 'val/loss'",
            ),
            (
                Levels([0.5, 0.6]),
                {"rewind": Weights(), "criterion": SparseGPT()},
                "undoes the weight updates of SparseGPT",
            ),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, schedule, options, message):
        with pytest.raises(UsageError, match=message):
            IterativePruning(schedule, **options)

    def test_groups_too_few_to_exchange_are_refused(
        self, tmp_path
    ):  # 16 of them, in rounds of cos(pi / 2) and cos(pi)
        few = IterativePruning(
            Levels([0.5, 0.5]), granularity=Row(), regrow=RigL(0.05), monitor=None
        )
        with pytest.raises(
            UsageError,
            match="at most 1.2% of a layer's groups, and these layers have at most 16 groups",
        ):
            fit(tmp_path, few)

    def test_groups_that_do_not_stand_alone_are_refused(self, tmp_path):
        with pytest.raises(UsageError, match="pruned independently"):
            fit(
                tmp_path,
                IterativePruning(Levels([0.5, 0.5]), granularity=NofM(2, 4), regrow=RigL()),
            )

    def test_units_of_several_layers_have_no_gradient_to_return_by(self):
        model = ViTClassifier("digits", labels=[str(d) for d in range(10)])
        pruning = IterativePruning(
            Levels([0.5, 0.5]), granularity=Neuron(), regrow=RigL(), monitor=None
        )
        with pytest.raises(UsageError, match="groups of a single layer"):
            pruning.check(None, model, "validate")


class TestAccuracyGuarded:
    def test_decisions(self):
        search = Search(AccuracyGuarded(step=0.2, max_drop=0.01, patience=2, min_step=0.05))
        assert search.sparsity(1) == 0.2
        assert search.observe(0.90, dense=0.90)
        assert search.sparsity(2) == pytest.approx(0.4)

        assert not search.observe(0.88, dense=0.90)
        assert (search.retreating, search.rounds_due(5)) == (False, 2)  # it may recover yet
        assert search.observe(0.891, dense=0.90)
        assert search.sparsity(3) == pytest.approx(0.6)

        assert not search.observe(0.5, dense=0.9)
        assert not search.observe(0.5, dense=0.9)
        assert search.retreating
        assert search.sparsity(4) == pytest.approx(0.5)  # half the step from the last good one

        assert not search.observe(0.5, dense=0.9)
        assert not search.observe(0.5, dense=0.9)
        assert search.sparsity(5) == pytest.approx(0.45)

        assert not search.observe(0.5, dense=0.9)
        assert not search.observe(0.5, dense=0.9)
        assert search.ended

    def test_a_round_has_no_total_where_none_is_known(self, tmp_path, capsys):
        fit(
            tmp_path,
            IterativePruning(
                AccuracyGuarded(step=0.4, max_drop=9, max_sparsity=0.7), monitor="val/score"
            ),
        )
        lines = capsys.readouterr().out.splitlines()
        assert [line.split("  ")[0] for line in lines if line.startswith("round")] == [
            "round 1",
            "round 2",
        ]

    def test_it_ends_where_nothing_is_left_to_gain(self):
        search = Search(AccuracyGuarded(step=0.4, max_sparsity=0.7))
        assert search.observe(1, dense=1)
        assert (search.ended, search.sparsity(2)) == (False, 0.7)
        assert search.observe(1, dense=1)
        assert search.ended

    def test_a_run_finds_its_limit_and_keeps_the_last_good_state(self, tmp_path):
        """The metric says how much was pruned, so that the limit is known: a drop of 0.55 allows a sparsity of 0.55."""

        class Counting(Regression):
            def validation_step(self, batch, batch_idx):
                weights = torch.cat([self.first.weight.flatten(), self.second.weight.flatten()])
                self.log("val/score", 1 - (weights == 0).float().mean(), batch_size=len(batch[0]))

        schedule = AccuracyGuarded(step=0.2, max_drop=0.555, patience=2, min_step=0.04)
        pruning = IterativePruning(schedule, monitor="val/score")

        def look(trainer, module):
            return round(1 - float(keeps(trainer, module).float().mean()), 2), masks.original(
                pruning.layers[0]
            ).detach().clone()

        _, seen, trainer = fit(tmp_path, pruning, Counting(), look, max_epochs=30)
        sparsities = [sparsity for sparsity, _ in seen[::4]]
        assert sparsities == [0.2, 0.4, 0.6, 0.6, 0.5, 0.6, 0.6, 0.55, 0.6, 0.6]
        assert trainer.current_epoch == 10
        assert 1 - float(keeps(trainer, None).float().mean()) == pytest.approx(0.55, abs=0.01)

    def test_weights_go_back_with_the_masks(self, tmp_path):
        class Failing(Regression):
            def validation_step(self, batch, batch_idx):
                self.log("val/score", -float(self.trainer.current_epoch > 0), batch_size=8)

        pruning = IterativePruning(
            AccuracyGuarded(step=0.4, patience=1, min_step=0.1), monitor="val/score"
        )
        pruned = []

        class Look(Callback):
            def on_validation_end(self, trainer, pl_module):
                pruned.append(pl_module.first.bias.detach().clone())

        class Before(Every):
            def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
                if batch_idx == 0:
                    self.seen.append(pl_module.first.bias.detach().clone())

        trainer = quiet_trainer(
            tmp_path, callbacks=[pruning, Look(), before := Before(None)], max_epochs=6
        )
        trainer.fit(Failing(), regression_loader(), regression_loader())
        assert torch.equal(
            before.seen[2], pruned[0]
        )  # the good state after epoch 0, not that of the failed epoch 1
        assert not torch.equal(before.seen[2], pruned[1])

    def test_the_dense_model_counts_as_it_is_when_the_first_round_comes(self, tmp_path):
        """Trained before the first round, it is better than at the start; so the drop is measured from there."""

        class Improving(Regression):
            def validation_step(self, batch, batch_idx):
                pruned = float((self.first.weight == 0).float().mean()) > 0
                epoch = (
                    0 if self.trainer.state.stage == "sanity_check" else self.trainer.current_epoch
                )
                self.log(
                    "val/score", torch.tensor(0.5 if pruned else 0.1 + 0.4 * epoch), batch_size=8
                )

        pruning = IterativePruning(
            AccuracyGuarded(0.4, patience=1, min_step=0.3, begin=3), monitor="val/score"
        )
        fit(tmp_path, pruning, Improving(), max_epochs=6)
        assert pruning.state.dense["val/score"] == pytest.approx(0.9)
        assert [round.target for round in pruning.state.rounds] == [0.4]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"step": 0.0}, "min_step <= step"),
            ({"max_drop": -1}, "max_drop >= 0"),
            ({"patience": 0}, "patience >= 1"),
        ],
    )
    def test_impossible_settings(self, options, message):
        with pytest.raises(UsageError, match=message):
            AccuracyGuarded(**options)


@pytest.mark.parametrize(
    "build", [lambda: {"rewind": Weights(0)}, lambda: {"schedule": AccuracyGuarded(step=0.3)}]
)
def test_a_callback_forgets_the_model_before(tmp_path, build):
    pruning = IterativePruning(
        **{"schedule": OneShot(0.5, begin=1), "monitor": "val/score", **build()}
    )
    fit(tmp_path, pruning, max_epochs=2)
    first = [round.sparsity for round in pruning.state.rounds]
    module = Regression(lr=0.0)
    start = module.first.bias.detach().clone()
    fit(tmp_path, pruning, module, max_epochs=2)
    assert pruning.state.rounds[0].sparsity == first[0]
    assert torch.equal(module.first.bias, start)
