"""Every shipped study parses, claims what its cells can show, and runs end to end when it is small.

Small: tiny encoders, two steps, and few texts in the upstream layouts in place of the real data.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hbr.compare.claims import Claim
from hbr.compare.comparisons import Comparison, comparisons
from hbr.compare.evidence import Evidence
from hbr.compare.results import CENTER, word_of
from hbr.core.config import merge, nested
from hbr.core.errors import UserError
from hbr.core.languages import group
from hbr.core.registry import names
from hbr.data.readers.lareqa import MLQA_R_FILES, XQUAD_R_FILES
from hbr.data.readers.mmarco import TRIPLES
from hbr.data.readers.mmarco_dev import LANGUAGES as MMARCO
from hbr.data.readers.squad import SHIFTS
from hbr.data.readers.tatoeba import FILES, XTREME, XTREME_R
from hbr.data.readers.wikiqa import HEADER
from hbr.experiments.cells import Cell
from hbr.experiments.study import Study, configs, read_study
from hbr.experiments.work import work
from tests.support import beside, finished, hbr

STUDIES = sorted(Path("experiments").glob("*.yaml"))
ROWS = 6  # of every training set
TINY = {
    **{"xlm-r": "xlm-r-tiny", "labse": "labse-tiny", "mbert": "mbert-tiny"},
    "e5-small": "xlm-r-tiny",
}
SQUAD = ("ar", "de", "el", "es", "hi", "ru", "th", "tr", "vi", "zh")
# each as long as several of the others, which do the like
LONG = ["beir-robustness", "robustness", "xm3600-adversarial", "xquad-adapters", "xquad-negatives"]
LOW = ("aym", "mri", "xho")  # codes of Tatoeba; the middle one is not in LASER's, but is low
SMALL = {
    "data.languages": None,
    "train.max_steps": 2,
    "train.batch_size": 4,
    "train.precision": "fp32",
    "train.eval_steps": 1,
    "encoder.query_max_seq_length": 16,
    "encoder.passage_max_seq_length": 16,
    "encode.token_budget": 4096,
}


def every(function: Any) -> Any:
    return pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)(function)


@every
def test_a_shipped_study_says_what_it_asks_and_what_it_needs(path: Path) -> None:
    head = [line for line in path.read_text().splitlines() if line.startswith("# ")]
    study = read_study(path)
    assert study.name == path.stem
    assert study.title
    assert study.claims
    assert "?" in " ".join(head)
    if needed := {*trained_on(study), *(item.dataset for item in study.evaluate)} - {"embedded"}:
        assert "HBR_DATA" in path.read_text()
        assert all(name in "\n".join(head) for name in needed), needed


@pytest.mark.parametrize(
    "path", [p for p in STUDIES if p.stem != "embedded"], ids=lambda path: path.stem
)
def test_a_shipped_study_says_what_it_claims_what_refutes_it_and_what_its_seeds_decide(
    path: Path,
) -> None:
    study = read_study(path)
    seeds = {3: "three", 4: "four", 5: "five"}[
        len({seed for grid in study.grids for seed in grid["seed"]})
    ]
    lines = [line for line in path.read_text().splitlines() if line.startswith("#")]
    head = " ".join(line.removeprefix("#").strip() for line in lines)
    for words in ("Data", "Claims", "Refuted if", f"Seeds: {seeds} a cell"):
        assert words in head, words
    assert f"Of {sum(len(found) for _, found in compared(study))} comparisons" in head


def test_low_resource_languages_are_chosen_by_the_table() -> None:
    low = {name[8:11] for name in FILES if group("resource", name[8:11], None) == "low"}
    head = Path("experiments/mbert-low-resource.yaml").read_text()
    assert f"these are {len(low)}, each to and\n# from English: {2 * len(low)} pairs" in head


@every
def test_the_data_of_a_shipped_study_are_known_by_name(path: Path) -> None:
    assert trained_on(read_study(path)) <= set(names("training data"))


@every
def test_the_claims_of_a_shipped_study_name_cells_that_it_has(path: Path) -> None:
    study = read_study(path)
    evaluated = set(map(str, study.targets))
    for claim, found in compared(study):
        assert set(claim.dataset or ()) <= evaluated, claim.id
        assert found, claim.id
        assert not [one.missing for one in found if one.missing], claim.id
        assert all(condition.weights for one in found for condition in one.conditions), claim.id


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.slow if path.stem in LONG else ())
        for path in STUDIES
        if path.stem != "embedded"
    ],
    ids=lambda path: path.stem,
)
def test_a_shipped_study_runs_end_to_end_when_it_is_small(
    path: Path, world: Path, upstream: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HBR_DATA", str(upstream))
    monkeypatch.setattr("hbr.experiments.sweep._outcomes", in_this_process)
    whole = yaml.safe_load(path.read_text())
    place = upstream.parent / path.name
    place.write_text(yaml.safe_dump(narrowed(cut(whole))))
    study = read_study(place)
    folder = beside(world, runs / "embedded") if trained_on(study) == {"embedded"} else runs
    said = hbr("sweep", place, "--limit", ROWS, "--output-dir", folder)
    assert said.code == 0, said.err
    trial = folder / f"limit-{ROWS}"
    report = json.loads((trial / "studies" / study.name / "report.json").read_text())
    assert "LIMITED to 6 concepts" in json.dumps(report)
    judged = {one["id"]: one for one in claims_of(report)}
    assert list(judged) == [claim.id for claim in read_study(path).claims]
    notes = " ".join(finding["note"] for one in judged.values() for finding in one["findings"])
    assert "not evaluated" not in notes
    assert "not measured" not in notes  # every claim's setting, metric and languages are there


def compared(study: Study) -> Iterator[tuple[Claim, list[Comparison]]]:
    """Yield the claims of a study with their comparisons, once for each target they speak of."""
    evidence = Evidence((), tuple(configs(study, {})))
    cells = [cell.settings for cell in evidence.cells]
    varied = {"encoder", *evidence.varied}
    if any(item.center_languages for item in study.evaluate):
        cells += [{**cell, CENTER: True, word_of(CENTER): True} for cell in cells]
        varied.add(CENTER)
    figures = [1 / (2 + i) for i in range(len(cells))]
    for claim in study.claims:
        for target in study.targets:
            if claim.concerns(target) and not target.center_languages:  # which stand beside it
                yield claim, list(comparisons(claim, cells, figures, varied))


def in_this_process(
    todo: list[Cell], logs: Path, _jobs: int, _progress: object
) -> Iterator[tuple[Cell, str | None, float]]:
    """Do cells without worker processes, which import torch for seconds: others test those."""
    yield from ((cell, work(cell, logs, wait=True)) for cell in todo)


def trained_on(study: Study) -> set[str]:
    return {name for config in configs(study, {}) for name in config.data.train}


def cut(study: dict[str, Any]) -> dict[str, Any]:
    """Return a study with tiny encoders, all samplers and objectives, one value of other axes."""
    grids = study["grid"] if isinstance(study["grid"], list) else [study["grid"]]
    grids = [cut_grid(grid) for grid in grids]
    study["evaluate"] = [study["evaluate"][0], *map(plain, study["evaluate"][1:])]
    small = SMALL | {"train.learning_rate": None}  # the encoder's own
    own = study.get("base") or {}
    if "xquad-r:train" in own.get("data", {}).get("train", ()):
        del small["data.languages"]  # the languages left out are unseen
    base = merge(nested(own), nested(small))
    first = study["evaluate"][0]
    perturbed = first["dataset"] if isinstance(first, dict) else first
    for claim in study.get("claims") or ():
        if isinstance(claim, dict) and "~" in str(claim.get("dataset")):  # the others are plain now
            named = claim["dataset"]
            named = [named] if isinstance(named, str) else named
            claim["dataset"] = [name for name in named if name.partition("~")[0] == perturbed]
    return study | {"grid": grids, "base": base}


def cut_grid(whole: dict[str, list[Any]]) -> dict[str, list[Any]]:
    grid = {key: values[:1] for key, values in whole.items()}
    grid["sampler"] = whole["sampler"]
    if "objective" in whole:
        grid["objective"] = whole["objective"][:3]
    if "encoder" in whole:
        grid["encoder"] = [TINY.get(name, name) for name in grid["encoder"]]
    return grid


def narrowed(value: Any, key: str = "") -> Any:
    """Return settings with vectors cut as far as tiny encoders, a sixth as wide, allow."""
    if isinstance(value, dict):
        return {key: narrowed(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [narrowed(inner, key) for inner in value]
    if isinstance(value, str):
        return re.sub(r"\b\d+(?=d\b)", lambda found: str(int(found[0]) // 6), value)
    return value // 6 if key == "matryoshka_dims" and value else value


def plain(evaluation: Any) -> Any:
    """Leave out the perturbations of all but the first data set."""
    named = isinstance(evaluation, dict)
    return {k: v for k, v in evaluation.items() if k != "perturb"} if named else evaluation


def claims_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    return report["claims"]


@pytest.fixture(scope="module")
def runs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs with the tiny encoders that all tests share, and prepared data of their own."""
    folder = tmp_path_factory.mktemp("studies")
    (world / "encoders").mkdir(exist_ok=True)
    (folder / "encoders").symlink_to(world / "encoders")
    return folder


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few texts of every data set of the studies, as upstream lays them out: `$HBR_DATA`."""
    root = tmp_path_factory.mktemp("upstream") / "data"
    write_parallel_training(root)
    write_english_training(root)
    lareqa = {"xquad-r": XQUAD_R_FILES, "mlqa-r": MLQA_R_FILES}
    for name, files in lareqa.items():
        for file in files:
            save(root / name / file, squad_of(file.removesuffix(".json"), breaks=True))
    write_miracl(root / "miracl")
    write_pairs(root)
    for name in ("scifact", "nfcorpus", "fiqa", "arguana", "scidocs"):
        write_beir(root / "beir" / name)
    write_bucc(root / "bucc")
    for code in ("src.eng", "ref.amh", "ref.yor"):
        save(
            root / "ntrex" / f"newstest2019-{code}.txt",
            "".join(f"{answer(code, n)}\n" for n in range(ROWS)),
        )
    return root


def save(path: Path, content: Any) -> None:
    """Write text as it is, records as JSON lines, and a mapping as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, list):
        content = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in content)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def question(language: str, number: int) -> str:
    return f"{language} what is thing {number}?"


def answer(language: str, number: int) -> str:
    return f"{language} thing {number} is this."


def squad_of(language: str, breaks: bool = False) -> dict[str, Any]:
    """Return a document of SQuAD's layout: an article of two sentences a question."""
    paragraphs: list[dict[str, Any]] = []
    for number in range(ROWS):
        first = answer(language, number)
        asked = {"id": f"q{number}", "question": question(language, number)}
        context = f"{first} It rained on day {number}."
        answers = [{"answer_start": 0, "text": "x"}]
        qas = [asked | {"answers": answers}]
        if breaks:  # and another question, which the second sentence answers
            more = {"id": f"r{number}", "question": f"{language} what of day {number}?"}
            qas.append(more | {"answers": [{"answer_start": len(first) + 1, "text": "x"}]})
        own = {"context": context, "qas": qas}
        ends = [[0, len(first)], [len(first) + 1, len(context)]]
        paragraphs.append(own | ({"sentence_breaks": ends} if breaks else {}))
    articles = [{"title": f"t{n}", "paragraphs": [one]} for n, one in enumerate(paragraphs)]
    return {"data": articles, "version": "1.1"}


def tsv(lines: Iterable[Iterable[object]]) -> str:
    return "".join("\t".join(map(str, line)) + "\n" for line in lines)


def write_parallel_training(root: Path) -> None:
    save(root / "squad" / "train-v1.1.json", squad_of("en"))
    for language in SQUAD:
        file = f"squad.translate.train.en-{language}.json"
        save(root / "squad" / "translate-train" / file, squad_of(language))
    for file in SHIFTS:
        save(root / "squadshifts" / file, squad_of("en"))
    for name in ("squad", "squadshifts"):
        (root / f"{name}-context").symlink_to(name)
    for language in ("ar", "de", "en", "es", "hi", "ru", "zh"):
        base, word = root / "mmarco" / "google", MMARCO[language]
        told = tsv((n, answer(language, n)) for n in range(ROWS))
        asked = tsv((n, question(language, n)) for n in range(ROWS))
        save(base / "collections" / f"{word}_collection.tsv", told)
        save(base / "queries" / "train" / f"{word}_queries.train.tsv", asked)
    save(root / "mmarco" / TRIPLES, tsv((n, n, (n + 1) % ROWS) for n in range(ROWS)))


def write_english_training(root: Path) -> None:
    """Write the paper's other sets."""
    texts = [(question("en", n), answer("en", n)) for n in range(ROWS)]
    passages = [[{"title": "T", "text": told}] for _, told in texts]
    tydi = [
        {"query_id": q, "query": q, "positive_passages": told, "negative_passages": told}
        for (q, _), told in zip(texts, passages, strict=True)
    ]
    save(root / "mr-tydi-train" / "train.jsonl", tydi)
    pairs = [{"question": q, "answer": a} for q, a in texts]
    save(root / "mfaq" / "train.jsonl", [{"id": 1, "qa_pairs": pairs}])
    films = [
        {"plot": a, "qa": [{"id": q, "question": q, "answers": [a], "no_answer": False}]}
        for q, a in texts
    ]
    save(root / "duorc" / "SelfRC_train.json", json.dumps(films))
    dpr = [
        {"question": q, "positive_ctxs": told, "hard_negative_ctxs": []}
        for (q, _), told in zip(texts, passages, strict=True)
    ]
    for place in ("nq/biencoder-nq-train.json", "entity-questions/P17.train.json"):
        save(root / place, json.dumps(dpr))
    asked = [(q, a, [{"q": q, "consensus": {"s": 0}}]) for q, a in texts]
    news = [{"storyId": q, "text": a, "type": "train", "questions": one} for q, a, one in asked]
    save(root / "newsqa" / "combined-newsqa-data-v1.json", {"data": news, "version": "1"})
    marked = [(f"Q{n}", q, f"D{n}", "T", f"D{n}-0", a, 1) for n, (q, a) in enumerate(texts)]
    save(root / "wikiqa" / "WikiQA.tsv", HEADER + "\n" + tsv(marked))
    best = [{"id": str(n), "question": q, "answer": a} for n, (q, a) in enumerate(texts)]
    save(root / "yahoo-qa" / "nfL6.json", json.dumps(best))


def write_miracl(root: Path) -> None:
    for language in ("ja", "yo"):
        name = f"miracl-v1.0-{language}"
        topics = tsv((n, question(language, n)) for n in range(ROWS))
        save(root / name / "topics" / f"topics.{name}-dev.tsv", topics)
        judged = tsv((n, "Q0", f"{n}#0", 1) for n in range(ROWS))
        save(root / name / "qrels" / f"qrels.{name}-dev.tsv", judged)
        docs = [{"docid": f"{n}#0", "title": "T", "text": answer(language, n)} for n in range(ROWS)]
        save(root / f"miracl-corpus-v1.0-{language}" / "docs-0.jsonl", docs)


def write_pairs(root: Path) -> None:
    """Write Tatoeba, Crossmodal-3600 and Mewsli-X."""
    of_laser = ("deu", "jpn", *LOW)
    sets = {"tatoeba": XTREME, "tatoeba-xtreme-r": XTREME_R, "tatoeba-112": of_laser}
    for name, codes in sets.items():
        for code in codes:
            file = f"tatoeba.{code}-eng"
            save(root / name / f"{file}.{code}", "".join(f"{answer(code, n)}\n" for n in range(2)))
            save(root / name / f"{file}.eng", "".join(f"{answer('eng', n)}\n" for n in range(2)))
    images = [
        {
            "image/key": f"i{n}",
            **{
                language: {"caption": [question(language, n), answer(language, n)]}
                for language in ("de", "en", "id", "ja", "mi", "quz", "te")
            },
        }
        for n in range(ROWS)
    ]
    save(root / "xm3600" / "captions.jsonl", images)
    entities, articles = [], []
    for n, language in enumerate(("de", "ja", "ta", "uk") * 2):
        text = answer(language, n)
        spans = [{"start": 0, "end": len(text)}]
        entity = {"entity_id": f"Q{n}", "description": text, "description_language": language}
        entities.append(entity | {"sentence_spans": spans})
        mention = {"start": 3, "end": 8, "text": text[3:8]}
        meant = [{"example_id": f"m{n}", "mention_span": mention, "entity_id": f"Q{n}"}]
        context = {"language": language, "text": text, "sentence_spans": spans}
        articles.append({"context": context, "mentions": meant})
    save(root / "mewsli-x" / "candidate_set_entities.jsonl", entities)
    save(root / "mewsli-x" / "wikinews_mentions-test.jsonl", articles)


def write_bucc(root: Path) -> None:
    """Write two pairs of languages, all of whose sentences have a translation."""
    for language, part in itertools.product(("de", "zh"), ("sample", "training")):
        base = root / f"{language}-en" / f"{language}-en.{part}"
        for code in (language, "en"):
            told = tsv((f"{code}-{n}", answer(code, n)) for n in range(ROWS))
            save(base.with_name(f"{base.name}.{code}"), told)
        gold = tsv((f"{language}-{n}", f"en-{n}") for n in range(ROWS))
        save(base.with_name(f"{base.name}.gold"), gold)


def write_beir(root: Path) -> None:
    corpus = [{"_id": f"d{n}", "title": "T", "text": answer("en", n)} for n in range(ROWS)]
    save(root / "corpus.jsonl", corpus)
    queries = [{"_id": f"q{n}", "text": question("en", n)} for n in range(ROWS)]
    save(root / "queries.jsonl", queries)
    translated = [{"_id": f"q{n}", "text": question("de", n)} for n in range(ROWS)]
    save(root / "queries.de.jsonl", translated)
    judged = tsv((f"q{n}", f"d{n}", 1) for n in range(ROWS))
    save(root / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\n" + judged)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("perturb: {typo: 0.3}", "is no list of names, such as"),
        ("perturb: [typo: 0.3]", "is no list of names, such as"),
        ("perturb: 5", "evaluate"),
        ("compress: 64", "evaluate"),
    ],
)
def test_what_is_no_list_of_names_is_a_mistake_in_the_study(tmp_path, words, message):
    path = tmp_path / "study.yaml"
    path.write_text(f"grid: {{seed: [0]}}\nevaluate: [{{dataset: embedded, {words}}}]\n")
    with pytest.raises(UserError, match=message):
        read_study(path)


def test_results_that_were_made_with_other_settings_are_not_the_studys(tmp_path):
    study = tmp_path / "study.yaml"
    study.write_text(
        "base: {sampler: hybrid}\ngrid: {encoder: [xlm-r-tiny], seed: [0, 1]}\n"
        "evaluate: [embedded]\n"
    )
    one, other = (finished(tmp_path, "hybrid", {"mono map": 0.5}, seed=n) for n in (0, 1))
    words = ("compare", "--study", study, "--output-dir", tmp_path)
    assert hbr(*words).code == 0
    manifest = other / "manifest.json"
    content = json.loads(manifest.read_text())
    content["stages"]["evaluate/embedded"]["settings"] = {"passage": "sentence+context"}
    manifest.write_text(json.dumps(content))
    said = hbr("-v", *words)
    assert said.code == 0
    assert f"{other.name}: evaluated on embedded with passage sentence+context" in said.err
    assert one.name not in said.err


def study_of(folder: Path, text: str) -> Study:
    path = folder / "study.yaml"
    path.write_text(f"evaluate: [embedded]\n{text}\n")
    return read_study(path)


@pytest.mark.parametrize(
    "grid",
    [
        "{encoder.pooling: [mean, cls], encoder: [xlm-r-tiny]}",
        "{encoder: [{name: xlm-r-tiny, pooling: mean}, {name: xlm-r-tiny, pooling: cls}]}",
    ],
)
def test_each_encoder_of_the_grid_has_an_untrained_run(grid: str, tmp_path: Path) -> None:
    every = configs(study_of(tmp_path, f"grid: [{grid}, {{seed: [1, 2]}}]"), {}, tmp_path)
    untrained = [config.encoder for config in every if not config.is_trained]
    assert [one.pooling for one in untrained] == ["mean", "cls", None]
    assert len(every) == 2 + 2 + 3  # with the default encoder of the second grid


@pytest.mark.parametrize(
    "text",
    [
        "grid: {alpha: [0.2, 0.4], sampler.alpha: [0.6]}",
        "base: {train: {max_steps: 3}, max-steps: 4}\ngrid: {seed: [1]}",
    ],
)
def test_two_spellings_of_a_setting_are_a_mistake(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is said twice, the second time by"):
        configs(study_of(tmp_path, text), {}, tmp_path)


def test_a_file_of_claims_without_any_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("claim: [{id: first}]\n")
    with pytest.raises(UserError, match=r"mine\.yaml: has no `claims:`"):
        study_of(tmp_path, "claims: mine.yaml\ngrid: {seed: [1]}")
