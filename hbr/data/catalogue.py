"""What is known of every named data set: languages, size, licence, source, how it is measured.

An empty field was not found out; what a reader makes of a set stands in the reader.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """A data set as it is published.

    `languages` is "11: ar de …", a number, or "any"; `protocol` is that of the evaluation, or what
    a question to train on is paired with; `source` is a hub id or a place on the web.
    """

    title: str
    languages: str
    size: str
    licence: str
    source: str
    protocol: str


OWN = "your own files"  # a layout, not a data set
EMBEDDED = "none needed"
CC_BY_SA, APACHE = "CC BY-SA 4.0", "Apache-2.0"
MARCO = "Apache-2.0, MS MARCO"  # as its card says, and the terms of what was translated
LAREQA = "github.com/google-research-datasets/lareqa"
LASER = "github.com/facebookresearch/LASER, data/tatoeba/v1"
BEIR, BEIR_PROTOCOL = "github.com/beir-cellar/beir", "nDCG@10"
MEWSLI = (
    "github.com/google-research/google-research, dense_representations_for_entity_retrieval/mel"
)
SQUAD_LANGUAGES = "en, and translations"
TYDI_LANGUAGES = "11: ar bn en fi id ja ko ru sw te th"
MARCO_LANGUAGES = "14: ar de en es fr hi id it ja nl pt ru vi zh"
SHIFTS = "github.com/modestyachts/squadshifts-website"

# fmt: off
# ruff: noqa: E501
TASKS = {
    "embedded": Entry("synthetic in-vitro languages", "10", "3,290 queries", EMBEDDED, "made on the spot", "LAReQA"),
    "xquad-r": Entry("XQuAD-R", "11: ar de el en es hi ru th tr vi zh", "1,190 × 11 / 13,014", CC_BY_SA, LAREQA, "LAReQA"),
    "mlqa-r": Entry("MLQA-R", "7: ar de en es hi vi zh", "4,199 / 20,534", "CC BY-NC 4.0", LAREQA, "LAReQA"),
    "lareqa": Entry("any folder in LAReQA's layout", "any", "", OWN, LAREQA, "LAReQA"),
    "miracl": Entry("MIRACL dev", "18: ar bn de en es fa fi fr hi id ja ko ru sw te th yo zh", "en 32,893,221 passages", APACHE, "miracl/miracl, miracl/miracl-corpus", "nDCG@10"),
    "tatoeba": Entry("Tatoeba, XTREME's languages", "36", "31,692 pairs", "CC BY 2.0 FR", LASER, "accuracy@1"),
    "tatoeba-112": Entry("Tatoeba, all of LASER's", "112", "88,877 pairs", "CC BY 2.0 FR", LASER, "accuracy@1"),
    "bucc": Entry("BUCC 2018, mined", "5: de en fr ru zh", "35,000 gold pairs", "not stated", "comparable.limsi.fr/bucc2018", "F1"),
    "xm3600": Entry("Crossmodal-3600, captions", "36", "261,375 captions", "CC BY 4.0", "google.github.io/crossmodal-3600", "like LAReQA"),
    "mewsli-x": Entry("Mewsli-X test", "11", "14,624 / 1,003,893", "not stated", MEWSLI, "mAP@20"),
    "mewsli-x-dev": Entry("Mewsli-X dev", "11", "2,991 / 1,003,893", "not stated", MEWSLI, "mAP@20"),
    "beir": Entry("any folder in BEIR's layout", "en, and queries in any", "", "differs by set", BEIR, BEIR_PROTOCOL),
    "beir/arguana": Entry("ArguAna, as BEIR has it", "en", "1,406 / 8.67 k", "", BEIR, BEIR_PROTOCOL),
    "beir/climate-fever": Entry("Climate-FEVER, as BEIR has it", "en", "1,535 / 5.42 M", "", BEIR, BEIR_PROTOCOL),
    "beir/dbpedia-entity": Entry("DBpedia-Entity, as BEIR has it", "en", "400 / 4.63 M", "", BEIR, BEIR_PROTOCOL),
    "beir/fever": Entry("FEVER, as BEIR has it", "en", "6,666 / 5.42 M", "", BEIR, BEIR_PROTOCOL),
    "beir/fiqa": Entry("FiQA-2018, as BEIR has it", "en", "648 / 57 k", "", BEIR, BEIR_PROTOCOL),
    "beir/hotpotqa": Entry("HotpotQA, as BEIR has it", "en", "7,405 / 5.23 M", "", BEIR, BEIR_PROTOCOL),
    "beir/nfcorpus": Entry("NFCorpus, as BEIR has it", "en", "323 / 3.6 k", "", BEIR, BEIR_PROTOCOL),
    "beir/nq": Entry("Natural Questions, as BEIR has it", "en", "3,452 / 2.68 M", "", BEIR, BEIR_PROTOCOL),
    "beir/quora": Entry("Quora's duplicate questions, as BEIR has it", "en", "10,000 / 523 k", "", BEIR, BEIR_PROTOCOL),
    "beir/scidocs": Entry("SCIDOCS, as BEIR has it", "en", "1,000 / 25 k", "", BEIR, BEIR_PROTOCOL),
    "beir/scifact": Entry("SciFact, as BEIR has it", "en", "300 / 5 k", "", BEIR, BEIR_PROTOCOL),
    "beir/webis-touche2020": Entry("Touché-2020, as BEIR has it", "en", "49 / 382 k", "", BEIR, BEIR_PROTOCOL),
    "beir/trec-covid": Entry("TREC-COVID, as BEIR has it", "en", "50 / 171 k", "", BEIR, BEIR_PROTOCOL),
    "mr-tydi": Entry("Mr. TyDi test", TYDI_LANGUAGES, "", APACHE, "castorini/mr-tydi", "MRR@100"),
    "mr-tydi-dev": Entry("Mr. TyDi dev", TYDI_LANGUAGES, "", APACHE, "castorini/mr-tydi", "MRR@100"),
    "mmarco-dev": Entry("mMARCO v2 small dev", MARCO_LANGUAGES, "6,980 / 8.84 M, each × 14", MARCO, "unicamp-dl/mmarco", "MRR@10"),
    "mmarco-v1-dev": Entry("mMARCO v1 small dev", "", "", MARCO, "unicamp-dl/mmarco", "MRR@10"),
    "parallel": Entry("parallel rows as JSON lines", "any", "", OWN, "", "like LAReQA"),
}
ROWS = {
    "embedded": Entry("synthetic in-vitro languages", "8", "3,248 rows", EMBEDDED, "made on the spot", "sentence"),
    "embedded-validation": Entry("the same, for validation", "8", "333 rows", EMBEDDED, "made on the spot", "sentence"),
    "mmarco": Entry("mMARCO v2", MARCO_LANGUAGES, "39,780,811 triples", MARCO, "unicamp-dl/mmarco", "passage + negative"),
    "mmarco-v1": Entry("mMARCO v1", "", "39,780,811 triples", MARCO, "unicamp-dl/mmarco", "passage + negative"),
    "joined": Entry("one file a language, joined by id", "any", "", OWN, "", "passage"),
    "squad": Entry("SQuAD v1.1, with translations", SQUAD_LANGUAGES, "87,599 questions", CC_BY_SA, "rajpurkar.github.io/SQuAD-explorer", "sentence"),
    "squad-context": Entry("the same, with paragraphs", SQUAD_LANGUAGES, "87,599 questions", CC_BY_SA, "rajpurkar.github.io/SQuAD-explorer", "sentence + context"),
    "squadshifts": Entry("SQuADShifts, for validation", "en", "", "", SHIFTS, "sentence"),
    "squadshifts-context": Entry("the same, with paragraphs", "en", "", "", SHIFTS, "sentence + context"),
    "mr-tydi-train": Entry("Mr. TyDi, English training set", "en", "3,547 rows", APACHE, "castorini/mr-tydi", "passage + negatives"),
    "nq": Entry("Natural Questions, as DPR has it", "en", "58,880 questions", "", "github.com/facebookresearch/DPR", "passage + negatives"),
    "entity-questions": Entry("EntityQuestions, with passages retrieved", "en", "questions alone", "", "github.com/princeton-nlp/EntityQuestions", "passage + negatives"),
    "dpr": Entry("any files in DPR's layout", "en", "", OWN, "github.com/facebookresearch/DPR", "passage + negatives"),
    "mfaq": Entry("MFAQ, English training set", "en", "3,567,659 pairs", "CC0-1.0", "clips/mfaq", "answer"),
    "duorc": Entry("DuoRC, SelfRC", "en", "60,721 questions", "", "github.com/duorc/duorc", "sentence"),
    "duorc-paraphrase": Entry("DuoRC, ParaphraseRC", "en", "", "", "github.com/duorc/duorc", "sentence"),
    "newsqa": Entry("NewsQA", "en", "~76,000 questions", "Maluuba, research", "github.com/Maluuba/newsqa", "paragraph"),
    "wikiqa": Entry("WikiQA", "en", "1,473 answers", "MSR Data License", "www.microsoft.com/en-us/download/details.aspx?id=52419", "sentence + negatives"),
    "yahoo-qa": Entry("Yahoo's non-factoid questions, nfL6", "en", "87,361 questions", "Webscope, research", "ciir.cs.umass.edu/downloads/nfL6", "answer"),
    "bitext": Entry("line-parallel files, as Moses has them", "any", "", OWN, "", "translation"),
}
# fmt: on

KINDS = {"evaluate": TASKS, "train": ROWS}
