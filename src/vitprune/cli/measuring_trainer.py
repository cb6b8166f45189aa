"""The verbs beside Lightning's own that measure what pruning does."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning import Trainer

from vitprune.data import ImageData
from vitprune.errors import UsageError
from vitprune.evaluation import histograms, sensitivity, sweep
from vitprune.evaluation.measuring import Measuring, find_folder, load_weights, show
from vitprune.evaluation.one_shot import check, learn, pruned
from vitprune.evaluation.tables import print_table
from vitprune.model import ViTClassifier
from vitprune.model.anatomy.layers import find_layers
from vitprune.pruning import IterativePruning, LayerSelection, Method, OneShot
from vitprune.training.pruning.settings import PruningSettings

MEASURING = ("sensitivity", "sweep", "histograms")
CLASSIFIER = ["*classifier"]
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
        """Prune one layer, block or role at a time, without retraining, and score the model on the
        validation images.

        Criterion, granularity, layers and seed are those of `pruning`. An interrupted scan goes on
        when the same command is given again.

        Args:
            model: The model.
            datamodule: Has the validation images; `data.max_images` takes a fixed part of them.
            by: What is pruned at a time: `layer`, `block` or `role`.
            sparsities: Of what is pruned at a time, each in (0, 1).
            images_in_memory: Images whose hidden states at every block are kept at a time.
            output: Folder of the results; by default `sensitivity` in the folder of the
                checkpoint's run or in a new one.
            ckpt_path: A training checkpoint whose weights are scanned, in place of the pretrained
                ones.

        """
        sparsities = sensitivity.check_sparsities(sparsities)
        pruning = self._pruning()
        method = Method(
            pruning.method.criterion, pruning.method.granularity
        )  # divided alike, where there are several layers
        layers = pruning.layers.select(model, method.granularity.roles)
        check(method, layers, sparsities)
        groups = sensitivity.group_layers(layers, by, method.granularity)
        settings: dict[str, Any] = {
            "by": by,
            "sparsities": sparsities,
            "layers": [layer.name for layer in layers],
        }
        settings |= {
            "method": method.describe(),
            "seed": pruning.seed,
            **calibration(pruning, [method]),
        }
        measuring = Measuring(
            self, "sensitivity", model, datamodule, settings, images_in_memory, output, ckpt_path
        )
        statistics = learn(
            method.criterion, model, datamodule, layers, pruning.calibration_images, pruning.seed
        )
        plan = sensitivity.plan(groups, sparsities, method, pruning.seed, statistics)
        scores = measuring.measure(list(plan.values()))
        if measuring.fabric.is_global_zero:
            result = sensitivity.summarize(groups, plan, scores, measuring.settings)
            print_table(sensitivity.most_sensitive(result))
            measuring.show(sensitivity.save(result, measuring.folder))

    def sweep(
        self,
        model: ViTClassifier,
        datamodule: ImageData,
        methods: dict[str, Method] | list[str] | None = None,
        sparsities: list[float] = TENTHS,
        seeds: int = 3,
        images_in_memory: int = 1024,
        output: str | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Prune the whole model at once by several methods, without fine-tuning, and score it on
        the validation images.

        Layers and seed are those of `pruning`. An interrupted sweep goes on when the same command
        is given again.

        Args:
            model: The model.
            datamodule: Has the validation images; `data.max_images` takes a fixed part of them.
            methods: Criterion, granularity and allocation by name; or names among
                random_unstructured, l1_unstructured, random_structured and l1_structured, which are
                the default.
            sparsities: Of the prunable weights, each in (0, 1).
            seeds: How many seeds a random method is measured with.
            images_in_memory: Images that are kept at a time.
            output: Folder of the results; by default `sweep` in the folder of the checkpoint's run
                or in a new one.
            ckpt_path: A training checkpoint whose weights are pruned, in place of the pretrained
                ones.

        """
        if seeds < 1:
            raise UsageError(f"sweep needs at least one seed, not {seeds}.")
        chosen = sweep.choose(methods)
        sparsities = sensitivity.check_sparsities(sparsities)
        pruning = self._pruning()
        layers = {
            name: pruning.layers.select(model, m.granularity.roles) for name, m in chosen.items()
        }
        used = list(range(pruning.seed, pruning.seed + seeds))
        sweep.check_names(chosen)
        for name, method in chosen.items():
            check(method, layers[name], sparsities)
        settings: dict[str, Any] = {"sparsities": sparsities, "seeds": used}
        settings["layers"] = {name: [layer.name for layer in mine] for name, mine in layers.items()}
        settings["methods"] = {name: method.describe() for name, method in chosen.items()}
        settings |= calibration(pruning, chosen.values())
        measuring = Measuring(
            self, "sweep", model, datamodule, settings, images_in_memory, output, ckpt_path
        )
        statistics = {
            name: learn(
                m.criterion,
                model,
                datamodule,
                layers[name],
                pruning.calibration_images,
                pruning.seed,
            )
            for name, m in chosen.items()
        }
        plan = sweep.plan(chosen, sparsities, layers, used, statistics)
        scores = measuring.measure(list(plan.values()))
        if measuring.fabric.is_global_zero:
            result = sweep.summarize(plan, scores, measuring.settings)
            print_table(sweep.table(result))
            measuring.show(sweep.save(result, measuring.folder))

    def histograms(
        self,
        model: ViTClassifier,
        datamodule: ImageData,
        names: list[str] = CLASSIFIER,
        sparsity: float = 0.5,
        methods: dict[str, Method] | list[str] | None = None,
        finetuned: str | None = None,
        output: str | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Draw the weights of some layers before pruning, after each method at one sparsity, and
        after fine-tuning.

        Args:
            model: The model.
            datamodule: Gives the classes, and what a criterion learns from.
            names: The layers, by name; `*` stands for anything. These are pruned and drawn, a
                figure for each.
            sparsity: Of these layers, in (0, 1).
            methods: Criterion, granularity and allocation by name; or names among
                random_unstructured, l1_unstructured, random_structured and l1_structured, which are
                the default.
            finetuned: Folder of the same model after pruning and fine-tuning, the export of a run,
                say.
            output: Folder of the results; by default `histograms` in the folder of the checkpoint's
                run or in a new one.
            ckpt_path: A training checkpoint whose weights are drawn, in place of the pretrained
                ones.

        """
        sensitivity.check_sparsities([sparsity])
        chosen = sweep.choose(methods)
        if ckpt_path:
            load_weights(model, ckpt_path)
        layers = LayerSelection(names=names).select(model)
        after = (
            {layer.name: layer for layer in find_layers(ViTClassifier(finetuned))}
            if finetuned
            else {}
        )
        states = {layer.name: {"before": layer.weight.detach().clone()} for layer in layers}
        pruning = self._pruning()
        for name, method in chosen.items():
            check(method, layers, [sparsity])
            statistics = learn(
                method.criterion,
                model,
                datamodule,
                layers,
                pruning.calibration_images,
                pruning.seed,
            )
            with pruned(layers, sparsity, method, pruning.seed, statistics):
                for layer in layers:
                    states[layer.name][name] = layer.weight.detach().clone()
        for name in states:
            if name in after:
                states[name]["after fine-tuning"] = after[name].weight.detach()
        folder = find_folder("histograms", {}, Path(self.default_root_dir), output, ckpt_path)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"pruned and drawn: {', '.join(states)} (--names chooses others)")
        show(
            folder,
            "histograms",
            histograms.save({name: histograms.count(s) for name, s in states.items()}, folder),
        )

    def _pruning(self) -> PruningSettings:
        """Return the pruning settings; the schedule is not used here."""
        given = [c for c in self.callbacks if isinstance(c, IterativePruning)]
        return (given or [IterativePruning(OneShot(0.5))])[0].settings


def calibration(pruning: PruningSettings, methods: Iterable[Method]) -> dict[str, int]:
    """Return how many images the criteria learn from, among the settings, if any learns from images."""
    return (
        {"calibration_images": pruning.calibration_images}
        if any(m.criterion.calibrated for m in methods)
        else {}
    )
