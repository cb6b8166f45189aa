"""The verbs beside Lightning's own that measure what pruning does."""

from typing import Any

from lightning import Trainer

from vitprune.analysis import sensitivity, sweep
from vitprune.analysis.one_shot import Method
from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.model import ViTClassifier
from vitprune.pruning import IterativePruning, OneShot
from vitprune.study import Study

MEASURING = ("sensitivity", "sweep")
TENTHS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


class MeasuringTrainer(Trainer):
    """Lightning's trainer, with verbs that prune a model, look, and leave it as it was."""

    def sensitivity(
        self,
        model: ViTClassifier,
        datamodule: ImageData,
        by: str = "layer",
        sparsities: list[float] = TENTHS,
        images_in_memory: int = 256,
        output: str | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Prune one layer, block or role at a time, without retraining, and score the model on the validation images.

        Criterion, granularity, layers and seed are those of `pruning`. An interrupted scan goes on when the same command is
        given again.

        Args:
            model: The model.
            datamodule: Has the validation images; `data.max_images` takes a fixed part of them.
            by: What is pruned at a time: `layer`, `block` or `role`.
            sparsities: Of what is pruned at a time, each in (0, 1).
            images_in_memory: Images whose hidden states at every block are kept at a time.
            output: Folder of the results; by default `sensitivity` in the folder of the checkpoint's run or in a new one.
            ckpt_path: A training checkpoint whose weights are scanned, in place of the pretrained ones.

        """
        sparsities = sensitivity.check_sparsities(sparsities)
        pruning = self._pruning()
        method = Method(pruning.criterion, pruning.granularity, pruning.allocation)
        layers = pruning.selection.select(model, method.granularity.roles)
        method.check(layers, sparsities)
        groups = sensitivity.group_layers(layers, by, method.granularity)
        plan = sensitivity.plan(groups, sparsities, method, pruning.seed)
        settings: dict[str, Any] = {"by": by, "sparsities": sparsities, "layers": [layer.name for layer in layers]}
        settings |= {"method": method.describe(), "seed": pruning.seed}
        study = Study(self, "sensitivity", model, datamodule, settings, images_in_memory, output, ckpt_path)
        method.learn(model, datamodule, layers, pruning.calibration_images, pruning.seed)
        scores = study.measure(list(plan.values()))
        if study.fabric.is_global_zero:
            result = sensitivity.summarize(groups, plan, scores, study.settings)
            study.show(sensitivity.save(result, study.folder))

    def sweep(
        self,
        model: ViTClassifier,
        datamodule: ImageData,
        methods: dict[str, Method] | None = None,
        sparsities: list[float] = TENTHS,
        seeds: int = 3,
        images_in_memory: int = 1024,
        output: str | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Prune the whole model at once by several methods, without fine-tuning, and score it on the validation images.

        Layers and seed are those of `pruning`. An interrupted sweep goes on when the same command is given again.

        Args:
            model: The model.
            datamodule: Has the validation images; `data.max_images` takes a fixed part of them.
            methods: Criterion, granularity and allocation by name; by default random and L1, unstructured and structured.
            sparsities: Of the prunable weights, each in (0, 1).
            seeds: How many seeds a random method is measured with.
            images_in_memory: Images that are kept at a time.
            output: Folder of the results; by default `sweep` in the folder of the checkpoint's run or in a new one.
            ckpt_path: A training checkpoint whose weights are pruned, in place of the pretrained ones.

        """
        if seeds < 1:
            raise UsageError(f"sweep needs at least one seed, not {seeds}.")
        methods = methods or sweep.usual_methods()
        sparsities = sensitivity.check_sparsities(sparsities)
        pruning = self._pruning()
        layers = {name: pruning.selection.select(model, m.granularity.roles) for name, m in methods.items()}
        used = list(range(pruning.seed, pruning.seed + seeds))
        plan = sweep.plan(methods, sparsities, layers, used)
        settings: dict[str, Any] = {"sparsities": sparsities, "seeds": used}
        settings["layers"] = {name: [layer.name for layer in chosen] for name, chosen in layers.items()}
        settings["methods"] = {name: method.describe() for name, method in methods.items()}
        study = Study(self, "sweep", model, datamodule, settings, images_in_memory, output, ckpt_path)
        for name, method in methods.items():
            method.learn(model, datamodule, layers[name], pruning.calibration_images, pruning.seed)
        scores = study.measure(list(plan.values()))
        if study.fabric.is_global_zero:
            study.show(sweep.save(sweep.summarize(plan, scores, study.settings), study.folder))

    def _pruning(self) -> IterativePruning:
        """Return the callback, whose schedule plays no part here."""
        return next((c for c in self.callbacks if isinstance(c, IterativePruning)), IterativePruning(OneShot(0.5)))
