"""The path of one run: which stage needs which, and when one is up to date.

Stages fill folders and know nothing of one another; here their settings and inputs become keys.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hbr.core import distributed
from hbr.core.config import read_yaml, resolve_config
from hbr.core.errors import UserError, first_line
from hbr.core.registry import get, near
from hbr.core.settings import MINING, RANKING, Config, short_name
from hbr.core.store import Store, fingerprint, write_atomic
from hbr.core.target import EvaluationTarget, folder_name
from hbr.data import prepare
from hbr.data.contamination import overlap
from hbr.data.perturb import Dictionary, PerturbationSpec
from hbr.data.perturb.dictionary import row_dictionary
from hbr.data.rows import Rows
from hbr.data.tasks import Task
from hbr.evaluation.perturbed_queries import perturb_queries, write_perturbed_queries
from hbr.models.presets import preset
from hbr.models.sources import encoder_folder, encoder_id
from hbr.training.schedule import BatchSchedule

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
DIAGNOSIS = 1  # raise it when the diagnostics change
PERTURBATIONS = 1  # raise it when perturbations or attacks change


class StaleError(Exception):
    """Something is not up to date, found by a pipeline that may not do it."""


def complete(config: Config) -> Config:
    """Fill in what depends on other settings: the learning rate and the validation set."""
    rate = config.train.learning_rate or preset(config.encoder.name).learning_rate
    validation = config.data.validation
    if validation == "auto":
        validation = prepare.validation_name(config.data.train)
    return config.model_copy(
        update={
            "train": config.train.model_copy(update={"learning_rate": rate}),
            "data": config.data.model_copy(update={"validation": validation}),
        }
    )


def slug(config: Config) -> str:
    """Return the readable name of a run's directory; its end tells runs of one name apart."""
    sampler, encoder = config.sampler, config.encoder
    words = [config.method.replace(":", ".")]
    uses_alpha = config.is_trained and get("sampler", sampler.name).uses_alpha
    if uses_alpha and sampler.alpha != type(sampler)().alpha:
        alpha = sampler.alpha if isinstance(sampler.alpha, tuple) else (sampler.alpha,)
        words.append("a" + "to".join(f"{a:g}" for a in alpha))
    words.append(short_name(encoder.name))
    if config.is_trained:
        words.append(f"s{config.seed}")
    return "-".join([*words, fingerprint(config.identity(), 6)])


def make_plan(config: Config, rows: list[Rows]) -> BatchSchedule:
    """Return the batch plan of a config over its prepared rows."""
    if config.data.languages:
        known = {language for data in rows for language in data.languages}
        _check_languages(config.data.languages, known, "the training data have", "data.languages")
        rows = [data.only(config.data.languages) for data in rows]
    return BatchSchedule(
        rows,
        get("sampler", config.sampler.name).mix(config.sampler.alpha),
        batch_size=config.train.batch_size,
        seed=config.seed,
        steps=config.train.max_steps * config.train.gradient_accumulation_steps,
        size_exponent=config.data.size_exponent,
    )


def open_run(path: Path) -> tuple[Store, Config]:
    """Open a run that exists, with its config. Raises UserError where it is none."""
    if not (path / "config.yaml").exists():
        raise UserError(f"{path} is no run: it holds no config.yaml; `hbr train` makes one")
    return Store(path), resolve_config(read_yaml(path / "config.yaml"))


@dataclass
class Pipeline:
    """One run's stages, each done unless it is up to date; `force` names stages to do again.

    `config` must be complete. With `dry`, no stage of the run is done and StaleError is raised
    instead.
    """

    config: Config
    runs: Path
    device: str = "auto"
    force: frozenset[str] = frozenset()
    fresh: bool = False  # do not go on with what a killed attempt left
    dry: bool = False
    path: Path | None = None  # of an existing run; else it follows from the config
    done: list[str] = field(default_factory=list)  # stages that this pipeline did
    tasks: dict[str, tuple[Store, Task]] = field(default_factory=dict)

    @cached_property
    def run(self) -> Store:
        """The run's directory."""
        return Store(self.path or self.runs / slug(self.config))

    def train(self) -> bool:
        """Train the encoder, and publish `train/` and `model/`; say whether it was done."""
        if self.dry and "train" not in self.run.entries():
            raise StaleError
        sources, validation, folder = self._main_first(
            lambda: (
                self._sources(),
                self._validation(),
                encoder_folder(self.runs, self.config.encoder.name, self.config.encoder.revision),
            )
        )
        named = zip(self.config.data.train, sources, strict=bool(sources))  # none if untrained
        inputs = {f"rows {name}": store.completion("rows") for name, (store, _) in named}
        if validation:
            inputs["validation"] = validation[0].completion("rows")
        inputs["encoder"] = encoder_id(folder)

        def make(partial: Path) -> Mapping[str, Any]:
            return self._fit(partial, folder, sources, validation)

        built = self._build_on_ranks("train", make, self.config.identity(), inputs, ("model",))
        if self.is_main and not self.dry:
            # the best weights stand in model/ now; and evaluation may have other settings
            (self.run.path / "train" / "best.safetensors").unlink(missing_ok=True)
            self._write_config()
            if built:
                self.write_card()
        return built

    @property
    def is_main(self) -> bool:
        """Whether this process speaks for the run: rank 0 does."""
        return distributed.rank() == 0

    def torch_device(self) -> "torch.device":
        """Return the device: this rank's own GPU, or the CPU, unless one was named."""
        import os

        import torch

        if self.device == "auto":
            cuda = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
            return torch.device(cuda if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise UserError(f"--device {self.device}: {first_line(error)}") from error
        return device

    def task(self, name: str, source: Path | None = None) -> tuple[Store, Task]:
        """Prepare an evaluation task; a perturbed one is its clean one."""
        dataset = EvaluationTarget.parse(name).dataset
        if dataset not in self.tasks:
            chosen = self.config.evaluate
            self.tasks[dataset] = self._main_first(
                lambda: prepare.task(
                    self.runs,
                    dataset,
                    source,
                    chosen.passage,
                    limit=chosen.limit,
                    ready=self.dry,
                )
            )
        return self.tasks[dataset]

    def encode(self, dataset: str, source: Path | None = None) -> bool:
        """Bring the vectors of a task up to date; say whether that took anything.

        Of `DATASET~PERTURBATION` that is those of the perturbed queries alone.
        """
        store, task = self.task(dataset, source)
        self._need("train")
        target = EvaluationTarget.parse(dataset)
        clean, spec = target.dataset, target.perturbation
        change = PerturbationSpec.parse(spec) if spec else None
        attacked = change is not None and change.entry.needs_encoder
        if attacked:
            self.encode(clean, source)
        dictionary = self._dictionary(change) if change else None

        def make(folder: Path) -> Mapping[str, Any]:
            from hbr.evaluation.encode import encode

            given = folder, self.run.path / "model", self.config, task, self.torch_device()
            if change is None:
                return encode(*given)
            if attacked:
                return self._attack(folder, task, clean, change) if self.is_main else {}
            words = dictionary[1] if dictionary else None
            texts, told = perturb_queries(task, change, self.config.evaluate.seed, words)
            if self.is_main:
                write_perturbed_queries(folder, task, texts)
            return {**encode(*given, texts), "perturbation": told}

        settings = {
            **self.config.encode.model_dump(mode="json", exclude={"unpadded"}),
            "encoder": self.config.identity()["encoder"],
        }
        inputs = {"task": store.completion("task"), "train": self.run.completion("train")}
        if spec:
            more = {"perturbation": spec, "seed": self.config.evaluate.seed}
            settings |= {**more, "version": PERTURBATIONS}
        if attacked:
            inputs["clean"] = self.run.completion(self.encode_stage(clean))
        if dictionary:
            inputs["dictionary"] = dictionary[0]
        return self._build_on_ranks(self.encode_stage(dataset), make, settings, inputs)

    def index(self, dataset: str, source: Path | None = None) -> bool:
        """Bring the faiss indexes of a task up to date; say whether that took anything."""
        if self.task(dataset, source)[1].mining:
            raise UserError(f"{dataset} is mined, not ranked: an index serves nothing")
        self.encode(dataset, source)
        if not self.is_main:
            return False
        _, task = self.task(dataset, source)

        def make(folder: Path) -> Mapping[str, Any]:
            from hbr.evaluation.index import index

            return index(folder, self.config, task, *self._vectors(dataset))

        settings = self.config.index.model_dump(mode="json", exclude={"top_k"})
        inputs = {"encode": self.run.completion(self.encode_stage(dataset))}
        return self._build(self.index_stage(dataset), make, settings, inputs)

    def use_built_index(self, dataset: str) -> None:
        """Take the parameters that the index of a task was built with, if there is one."""
        entry = self.run.entries().get(self.index_stage(dataset))
        if entry:
            index = self.config.index.model_copy(update=entry["settings"])
            self.config = self.config.model_copy(update={"index": index})

    @staticmethod
    def encode_stage(dataset: str) -> str:
        """Return the name of the stage that holds a task's vectors."""
        return f"encode/{folder_name(dataset)}"

    def index_stage(self, dataset: str) -> str:
        """Return the name of the stage that holds a task's index of the kind in the config."""
        return f"index/{folder_name(dataset)}@{self.config.index.kind}"

    def evaluate(
        self,
        dataset: str,
        source: Path | None = None,
        *,
        trec: bool = False,
        indexed: bool = False,
    ) -> Path:
        """Bring the metrics of a task up to date, exact or by index; give their folder.

        Those of `DATASET~PERTURBATION` stand beside those of the clean queries, which come first.
        """
        target = EvaluationTarget.parse(dataset)
        clean, spec = target.dataset, target.perturbation
        if trec and indexed:
            raise UserError("--trec writes the exact ranking; leave out --index")
        if spec and (trec or indexed):
            raise UserError("--perturb measures by exact search; leave out --trec and --index")
        store, task = self.task(dataset, source)
        if task.mining and (trec or indexed or spec):
            told = "leave out --trec, --index and --perturb"
            raise UserError(f"{clean} is mined, not ranked; {told}")
        if spec:
            self.evaluate(clean, source)
        decisive = MINING if task.mining else RANKING
        settings = self.config.evaluate.model_dump(mode="json", include=decisive)
        if indexed:
            self.index(dataset, source)
            needed, kind = self.index_stage(dataset), f"@{self.config.index.kind}"
            settings["top_k"] = self.config.index.top_k
        else:
            self.encode(dataset, source)
            needed, kind = self.encode_stage(dataset), ""
        stage = f"evaluate/{folder_name(dataset)}{kind}"
        folder = self.run.path / stage
        if not self.is_main:
            return folder

        def make(folder: Path) -> Mapping[str, Any]:
            from hbr.evaluation import evaluate

            vectors = self._vectors(dataset)
            perturbed = self._perturbed(dataset) if spec else None
            negatives = self.config.objective.num_negatives > 0
            training = overlap(self._trained_on(), (store, task), negatives=negatives)
            if task.mining:
                from hbr.evaluation.bitext_mining import mine_bitext

                device = self.torch_device()
                mine_bitext(folder, self.config, task, vectors, training, device=device)
            elif indexed:
                indexes = self._indexes(dataset, task)
                evaluate.evaluate_index(folder, self.config, task, vectors, training, indexes)
            else:
                device = self.torch_device()
                evaluate.evaluate(
                    folder,
                    self.config,
                    task,
                    vectors,
                    training,
                    device=device,
                    trec=trec,
                    perturbed=perturbed,
                )
            return {"dataset": dataset}

        inputs = {
            "task": store.completion("task"),
            needed.partition("/")[0]: self.run.completion(needed),
        }
        if spec:
            inputs["clean"] = self.run.completion(f"evaluate/{folder_name(clean)}")
        before = self.run.entries().get(stage)
        if before and before["inputs"]["task"] != inputs["task"] and not self.dry:
            logger.info(f"the results on {dataset} from other files are replaced")
        lacking = trec and not (folder / "run.trec.gz").exists()
        if self._build(stage, make, settings, inputs, force=lacking):
            self.write_card()
        return folder

    def diagnose(self, dataset: str, source: Path | None = None) -> Path:
        """Bring the diagnostics of a task's vectors up to date; give their folder."""
        _, task = self.task(dataset, source)
        if task.mining:
            raise UserError(f"{dataset} is mined: its vectors cannot be diagnosed")
        self.encode(dataset, source)
        stage = f"diagnose/{folder_name(dataset)}"
        if not self.is_main:
            return self.run.path / stage

        def make(folder: Path) -> None:
            from hbr.evaluation.diagnostics import write_diagnostics

            write_diagnostics(folder, task, self._vectors(dataset))

        inputs = {"encode": self.run.completion(self.encode_stage(dataset))}
        self._build(stage, make, {"version": DIAGNOSIS}, inputs)
        return self.run.path / stage

    def write_card(self) -> None:
        """Write `model/README.md`: how the run was made and what it scores, as far as is known."""
        from hbr.report.card import card, pooling_of

        self._need("train")
        entries, model = self.run.entries(), self.run.path / "model"
        text = card(
            self.config.model_dump(mode="json"),
            entries["train"],
            self.results(),
            base_model=base_model(self.config, entries["train"]),
            pooling=pooling_of(model),
        )
        write_atomic(model / "README.md", text)

    def results(self) -> list[dict[str, Any]]:
        """Return the metrics of all evaluations of this run that are not stale."""
        entries = self.run.entries()
        clean = (s for s in entries if s.startswith("evaluate/") and "~" not in s)
        stages = [s for s in clean if _is_fresh(entries, s)]
        return [json.loads((self.run.path / s / "metrics.json").read_text()) for s in stages]

    def is_current(self, tasks: Mapping[str, Path | None], diagnosed: Collection[str] = ()) -> bool:
        """Return whether the run is trained and these tasks are evaluated, all up to date."""
        look = Pipeline(self.config, self.runs, dry=True, path=self.path)
        try:
            look.train()
            for dataset, source in tasks.items():
                look.evaluate(dataset, source)
                if dataset in diagnosed:
                    look.diagnose(dataset, source)
        except (StaleError, UserError):  # a mistake is told by the run that makes it
            return False
        return True

    def _build(
        self,
        stage: str,
        make: Callable[[Path], Mapping[str, Any] | None],
        settings: Mapping[str, Any],
        inputs: Mapping[str, str],
        products: tuple[str, ...] = (),
        force: bool = False,
    ) -> bool:
        if self.dry:
            if not self.run.is_current(stage, settings, inputs):
                raise StaleError(stage)
            return False
        built = self.run.build(
            stage,
            make,
            settings=settings,
            inputs=inputs,
            products=products,
            force=force or self._is_forced(stage),
            fresh=self.fresh,
        )
        if built:
            self.done.append(stage)
        return built

    def _need(self, stage: str) -> None:
        if stage not in self.run.entries():
            if self.dry:
                raise StaleError(stage)
            raise UserError(
                f"{self.run.path} is not trained yet; go on with "
                f"`hbr train -C {self.run.path / 'config.yaml'}`"
            )

    def _sources(self) -> list[tuple[Store, Rows]]:
        if not self.config.is_trained:
            return []
        data = self.config.data
        return [
            prepare.rows(self.runs, name, languages=data.languages, limit=data.limit)
            for name in data.train
        ]

    def _trained_on(self) -> list[tuple[Store, Rows]]:
        """Return the training rows with the languages that were drawn from alone."""
        chosen = self.config.data.languages
        english = get("sampler", self.config.sampler.name).pivot_only
        return [
            (store, rows.only([rows.pivot or ""] if english else chosen or rows.languages))
            for store, rows in self._sources()
        ]

    def _validation(self) -> tuple[Store, Rows] | None:
        if not self.config.is_trained or self.config.data.validation is None:
            return None
        data = self.config.data
        return prepare.rows(self.runs, str(data.validation), limit=data.limit)

    def _fit(
        self,
        partial: Path,
        folder: Path,
        sources: list[tuple[Store, Rows]],
        validation: tuple[Store, Rows] | None,
    ) -> dict[str, Any]:
        from hbr.models.loading import load
        from hbr.models.tokenization import tokenize_rows
        from hbr.training import trainer

        config = self.config
        if self.is_main:
            self._write_config()  # first, so that a killed run can be gone on with from it
        encoder = load(
            folder,
            pooling=config.encoder.pooling,
            fallback=preset(config.encoder.name).pooling,
            normalize=config.encoder.normalize,
        )
        plan = make_plan(config, [rows for _, rows in sources]) if sources else None
        fed = [
            trainer.Source(rows, tokenize_rows(store, rows, encoder, config.encoder))
            for store, rows in sources
        ]
        checked = None
        if validation:
            store, rows = validation
            prepared = tokenize_rows(store, rows, encoder, config.encoder)
            checked = trainer.Validation(rows, prepared, _validation_languages(config, rows))
        said = trainer.train(partial, config, encoder, plan, fed, checked, self.torch_device())
        return {**said, "started_from": str(folder)}  # a hub snapshot's folder names its commit

    def _write_config(self) -> None:
        write_atomic(self.run.path / "config.yaml", self.config.to_yaml())

    def _main_first(self, prepared: Callable[[], T]) -> T:
        """Do something on rank 0, and then on the others, which find it done."""
        distributed.init_process_group(
            cuda=distributed.world_size() > 1 and self.torch_device().type == "cuda"
        )
        if not self.is_main:
            distributed.broadcast(None)
        found = prepared()
        if self.is_main:
            distributed.broadcast(None)
        return found

    def _build_on_ranks(
        self,
        stage: str,
        make: Callable[[Path], Mapping[str, Any]],
        settings: Mapping[str, Any],
        inputs: Mapping[str, str],
        products: tuple[str, ...] = (),
    ) -> bool:
        """Build a stage that all ranks work on, in one folder that rank 0 publishes."""
        if distributed.world_size() == 1:
            return self._build(stage, make, settings, inputs, products)
        todo = None
        if self.is_main:
            current = self.run.is_current(stage, settings, inputs, products=products)
            todo = self._is_forced(stage) or not current
        if not distributed.broadcast(todo):
            return False
        if self.is_main:
            self._build(stage, make, settings, inputs, products)
        else:
            make(self.run.partial(stage))
        distributed.broadcast(None)  # what comes next reads what rank 0 published
        return True

    def _is_forced(self, stage: str) -> bool:
        return stage.partition("/")[0] in self.force and stage not in self.done

    def _vectors(self, dataset: str) -> tuple[Any, Any]:
        from hbr.evaluation.encode import load_vectors

        clean = EvaluationTarget.parse(dataset).dataset
        asked, told = (self.run.path / self.encode_stage(name) for name in (dataset, clean))
        return load_vectors(asked, "queries"), load_vectors(told, "passages")

    def _attack(
        self, folder: Path, task: Task, clean: str, change: PerturbationSpec
    ) -> Mapping[str, Any]:
        from hbr.evaluation.attack import attack
        from hbr.evaluation.encode import write_queries

        model, vectors = self.run.path / "model", self._vectors(clean)
        found, told = attack(model, self.config, task, vectors, change, self.torch_device())
        write_queries(folder, self.config, task, found)
        return {"perturbation": told}

    def _perturbed(self, dataset: str) -> Any:
        from hbr.evaluation.drops import PerturbedQueries

        about = self.run.entries()[self.encode_stage(dataset)]["perturbation"]
        return PerturbedQueries(
            about, self.run.path / "evaluate" / EvaluationTarget.parse(dataset).clean.folder
        )

    def _dictionary(self, perturbation: PerturbationSpec) -> tuple[str, Dictionary] | None:
        """Return the dictionary of the training rows, where a perturbation wants one."""
        if not perturbation.entry.needs_dictionary:
            return None
        data = self.config.data
        store, rows = prepare.rows(
            self.runs, data.train[0], languages=data.languages, limit=data.limit
        )
        if self.dry and "dictionary" not in store.entries():
            raise StaleError
        id, words = row_dictionary(store, rows)
        chosen = set(data.languages or rows.languages)
        return id, {language: own for language, own in words.items() if language in chosen}

    def _indexes(self, dataset: str, task: Task) -> dict[str, Any]:
        from hbr.evaluation.index import POOL, load_index

        folder = self.run.path / self.index_stage(dataset)
        return {name: load_index(folder, name) for name in (*task.languages, POOL)}


def base_model(config: Config, train: Mapping[str, Any]) -> str | None:
    """Return the hub id of the encoder that training started from, if it came from the hub."""
    from_hub = "/snapshots/" in train.get("started_from", "")
    return preset(config.encoder.name).source if from_hub else None


def _is_fresh(entries: Mapping[str, Any], stage: str) -> bool:
    """Return whether a stage was made from what stands there now, all the way back to training."""
    dataset = stage.partition("/")[2]
    before = {"index": f"index/{dataset}", "encode": f"encode/{dataset.partition('@')[0]}"}
    before["train"] = "train"
    needed = {before[k]: id for k, id in entries[stage]["inputs"].items() if k in before}
    return all(
        s in entries and entries[s]["id"] == id and _is_fresh(entries, s)
        for s, id in needed.items()
    )


def _validation_languages(config: Config, rows: Rows) -> tuple[str, ...]:
    if config.data.validation_languages:
        wanted = config.data.validation_languages
        _check_languages(wanted, rows.languages, f"{rows.name} has", "data.validation_languages")
        return config.data.validation_languages
    return (rows.pivot,) if rows.pivot else rows.languages


def _check_languages(wanted: Iterable[str], known: Collection[str], who: str, setting: str) -> None:
    for language in wanted:
        if language not in known:
            raise UserError(f"{setting}: {who} no language {language!r}{near(language, known)}")
