"""A task of one's own for MTEB: questions and answers in two languages, alone and across."""

from datasets import Dataset
from mteb.abstasks import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata

WORDS = {
    "de": ["rot", "blau", "grün", "gelb", "schwarz", "weiß"],
    "en": ["red", "blue", "green", "yellow", "black", "white"],
}
TAGS = {"de": "deu-Latn", "en": "eng-Latn"}
PAIRS = {"de": ("de", "de"), "en": ("en", "en"), "de-en": ("de", "en")}


class Colours(AbsTaskRetrieval):
    """Line n of every language is question n; in `de-en` German ones have English answers."""

    metadata = TaskMetadata(
        name="Colours",
        description="Questions about colours.",
        dataset={"path": "made/here", "revision": "1"},
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs={
            name: [TAGS[code] for code in dict.fromkeys(pair)] for name, pair in PAIRS.items()
        },
        main_score="ndcg_at_10",
    )

    def load_data(self, **_):
        """Make what MTEB's retrieval tasks hold: queries, a corpus and judgements."""
        self.dataset = {
            name: {
                "test": {
                    "queries": _texts(query, "q", "what is {}?"),
                    "corpus": _texts(passage, "p", "{} is a colour."),
                    "relevant_docs": {f"q{n}": {f"p{n}": 1} for n in range(len(WORDS["de"]))},
                    "top_ranked": None,
                }
            }
            for name, (query, passage) in PAIRS.items()
            if name in self.hf_subsets
        }
        self.data_loaded = True


def _texts(language, prefix, form):
    words = enumerate(WORDS[language])
    return Dataset.from_list([{"id": f"{prefix}{n}", "text": form.format(w)} for n, w in words])
