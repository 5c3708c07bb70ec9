"""Tasks for MTEB of a few rows, as a user would write them beside a study."""

from typing import Any

from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskBitextMining, AbsTaskClassification, AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata

SENTENCES = {
    "deu_Latn": ["der hund", "die katze", "das haus", "der baum"],
    "eng_Latn": ["the dog", "the cat", "the house", "the tree"],
    "tha_Thai": ["สุนัข", "แมว", "บ้าน", "ต้นไม้"],
}


def about(name: str, kind: str, languages: Any, main: str, **facts: Any) -> TaskMetadata:
    return TaskMetadata(
        **{
            **{"name": name, "type": kind, "eval_langs": languages, "main_score": main},
            **{"description": name, "dataset": {"path": "made/here", "revision": "7"}},
            **{"category": "t2t", "modalities": ["text"], "eval_splits": ["test"]},
            **facts,
        }
    )


class Parallel(AbsTaskBitextMining):
    """Sentences in columns by language."""

    metadata = about(
        "Parallel",
        "BitextMining",
        {
            "deu_Latn-eng_Latn": ["deu-Latn", "eng-Latn"],
            "tha_Thai-eng_Latn": ["tha-Thai", "eng-Latn"],
            "deu_Latn-tha_Thai": ["deu-Latn", "tha-Thai"],
        },
        "f1",
    )
    parallel_subsets = True

    def load_data(self, **_: Any) -> None:
        self.dataset = DatasetDict({"test": Dataset.from_dict(SENTENCES)})
        self.data_loaded = True


class Alone(AbsTaskBitextMining):
    """One pair, in no language's name."""

    metadata = about("Alone", "BitextMining", ["deu-Latn", "eng-Latn"], "f1")

    def load_data(self, **_: Any) -> None:
        first, second, _ = SENTENCES.values()
        sides = {"sentence1": first, "sentence2": second}
        self.dataset = DatasetDict({"test": Dataset.from_dict(sides)})
        self.data_loaded = True


def subset(queries: list[str], passages: list[str]) -> dict[str, Any]:
    return {
        "queries": Dataset.from_list([{"id": f"q{i}", "text": t} for i, t in enumerate(queries)]),
        "corpus": Dataset.from_list(
            [{"id": f"p{i}", "title": "", "text": t} for i, t in enumerate(passages)]
        ),
        "relevant_docs": {f"q{i}": {f"p{i}": 1 + i % 2} for i in range(len(queries))},
        "top_ranked": None,
    }


class PassagesFirst(AbsTaskRetrieval):
    """As in Belebele, a subset names the passages' language first."""

    metadata = about(
        "PassagesFirst",
        "Retrieval",
        {
            "en-en": ["eng-Latn", "eng-Latn"],
            "en-de": ["eng-Latn", "deu-Latn"],
            "de-th": ["deu-Latn", "tha-Thai"],
        },
        "ndcg_at_10",
    )

    def load_data(self, **_: Any) -> None:
        german, english, thai = SENTENCES.values()
        data = {
            "en-en": subset(english, english),
            "en-de": subset(german, english),
            "de-th": subset(german, thai),
        }
        self.dataset = {name: {"test": data[name]} for name in self.hf_subsets}
        self.data_loaded = True


class Domains(AbsTaskRetrieval):
    """Two subsets and two splits in one language."""

    metadata = about(
        "Domains",
        "Retrieval",
        {"law": ["eng-Latn"], "art": ["eng-Latn"]},
        "map_at_5",
        eval_splits=["dev", "test"],
    )

    def load_data(self, **_: Any) -> None:
        english = SENTENCES["eng_Latn"]
        splits = {"dev": subset(english[:2], english), "test": subset(english, english)}
        self.dataset = {name: dict(splits) for name in self.hf_subsets}
        self.data_loaded = True


class Mapped(Domains):
    """Its corpus is made by `map`, as that of many a task, for which datasets draws a bar."""

    def load_data(self, **_: Any) -> None:
        super().load_data()
        split = self.dataset["law"]["test"]
        split["corpus"] = split["corpus"].map(lambda row: row | {"title": "t"})


class OwnScore(Domains):
    """Its main score is none that follows from values by query."""

    metadata = about("OwnScore", "Retrieval", {"law": ["eng-Latn"], "art": ["eng-Latn"]}, "luck")

    def load_data(self, **_: Any) -> None:
        english = SENTENCES["eng_Latn"]
        self.dataset = {name: {"test": subset(english, english)} for name in self.hf_subsets}
        self.data_loaded = True

    def task_specific_scores(self, *_: Any, **__: Any) -> dict[str, float]:
        return {"luck": 0.25}


class Kinds(AbsTaskClassification):
    metadata = about("Kinds", "Classification", ["eng-Latn"], "accuracy")


class NoData(Domains):
    metadata = about("NoData", "Retrieval", ["eng-Latn"], "ndcg_at_10")

    def load_data(self, **_: Any) -> None:
        raise OSError("no network\nat all")


NOTHING = 7
