"""Collections of ir_datasets become tasks, and hbr's own readers agree with the library's."""

import gzip
import json
import sys
import zipfile
from pathlib import Path

import pytest

from hbr.core.errors import UserError
from hbr.data.readers import irds
from hbr.data.readers.beir import BEIR
from hbr.data.readers.files import LEFT_OUT
from hbr.data.readers.miracl import MIRACL
from hbr.data.readers.mmarco_dev import MMARCO_DEV
from hbr.data.readers.mr_tydi import MR_TYDI
from hbr.data.tasks import EvaluationData, Query
from tests.support import beside, hbr

CORPUS = [
    {"_id": "d1", "title": "Albedo", "text": "Snow is bright.", "metadata": {}},
    {"_id": "d2", "title": "", "text": "Soot is dark.", "metadata": {}},
]
QUERIES = [
    {"_id": "q1", "text": "what is bright?", "metadata": {}},
    {"_id": "q2", "text": "what is loud?", "metadata": {}},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n"


def save(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def jsonl(records: list[dict]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory) -> Path:
    """Each set in its own layout, and all of them where the library keeps what it downloaded."""
    root, home = tmp_path_factory.mktemp("upstream"), tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IR_DATASETS_HOME", str(home))
        for name in [name for name in sys.modules if name.partition(".")[0] == "ir_datasets"]:
            patch.delitem(sys.modules, name)
        beir(root / "beir", home / "beir" / "scifact" / "source.zip")
        miracl(root / "miracl", home / "miracl" / "v1.0" / "yo")
        mr_tydi(root / "mr-tydi", home / "mr-tydi" / "sw.data")
        mmarco(root / "mmarco", home / "mmarco")
        yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "ir_datasets"]:
        del sys.modules[name]


def beir(root: Path, archive: Path) -> None:
    files = {"corpus.jsonl": jsonl(CORPUS), "queries.jsonl": jsonl(QUERIES)}
    files |= {"qrels/test.tsv": QRELS, "qrels/train.tsv": QRELS}
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as packed:
        for name, text in files.items():
            packed.write(save(root / name, text), f"scifact/{name}")


def miracl(root: Path, home: Path) -> None:
    docs = [
        {"docid": "7#0", "title": "Ìràwọ̀", "text": "Ní ojú ọ̀run."},
        {"docid": "7#1", "title": "Oòrùn", "text": "Iná."},
    ]
    own = root / "miracl-v1.0-yo"
    for place in (
        root / "miracl-corpus-v1.0-yo" / "docs-0.jsonl.gz",
        home / "docs/docs-1.jsonl.gz",
    ):
        save(place, jsonl(docs))
    for place in (own / "topics" / "topics.miracl-v1.0-yo-dev.tsv", home / "dev" / "topics.tsv"):
        save(place, "3\tKí ni ìràwọ̀?\n4\tKí ni?\n")
    for place in (own / "qrels" / "qrels.miracl-v1.0-yo-dev.tsv", home / "dev" / "qrels.tsv"):
        save(place, "3\tQ0\t7#0\t1\n3\tQ0\t7#1\t0\n")


def mr_tydi(*places: Path) -> None:
    texts = {"7#0": "Nyota\n\nAngani.", "7#1": "Jua\n\nMoto."}
    docs = [{"id": id, "contents": text} for id, text in texts.items()]
    for place in places:
        own = place / "mrtydi-v1.0-swahili"
        save(own / "collection" / "docs.jsonl.gz", jsonl(docs))
        for split in ("", ".train", ".dev", ".test"):
            save(own / f"topic{split}.tsv", "1\tNyota ni nini?\n")
            save(own / f"qrels{split}.txt", "1 Q0 7#0 1\n")


def mmarco(root: Path, home: Path) -> None:
    collection, asked = "0\tnull\n1\teins\n", "20\twas ist eins?\n30\twas?\n"
    judged = "20\t0\t1\t1\n"
    save(root / "google" / "collections" / "german_collection.tsv", collection)
    save(root / "google" / "queries" / "dev" / "german_queries.dev.small.tsv", asked)
    save(home / "v2" / "german_collection.tsv", collection)
    save(home / "v2" / "german.queries.dev.tsv", asked)
    for place in (root, home):
        save(place / "qrels.dev.small.tsv", judged)


def whole(draft: EvaluationData) -> dict[str, list]:
    """Return what a task is made of; concepts are numbered, as names differ."""
    passages = [(p.id, p.language, " ".join(p.text.split())) for p in draft.passages]
    answers = [[(*answer, 1)[:3] for answer in draft.relevant[q.concept]] for q in draft.queries]
    queries = [(q.id, q.language, q.text) for q in draft.queries]
    return {"queries": queries, "passages": passages, "answers": answers}


@pytest.mark.parametrize(
    ("own", "name", "folder"),
    [
        (BEIR, "beir/scifact/test", "beir"),
        (MIRACL, "miracl/yo/dev", "miracl"),
        (MR_TYDI, "mr-tydi/sw/test", "mr-tydi"),
        (MMARCO_DEV, "mmarco/v2/de/dev/small", "mmarco"),
    ],
)
def test_our_readers_agree_with_the_librarys(upstream, own, name, folder):
    theirs = irds.reader(f"irds:{name}").read(None, "sentence")
    ours = own.read(upstream / folder, "sentence")
    assert theirs.queries
    assert whole(ours) == whole(theirs)


def test_gains_are_kept_and_queries_without_an_answer_are_counted(upstream):
    draft = irds.reader("irds:beir/scifact/test").read(None, "sentence")
    assert draft.queries == [Query("q1", "en", "q1", "what is bright?")]
    assert draft.relevant == {"q1": [("en", "d1", 2)]}
    assert draft.settings == ("mono",)
    assert irds.reader("irds:miracl/yo/dev").read(None, "sentence").notes == {LEFT_OUT: 1}


def test_an_id_is_prepared_and_evaluated_under_its_own_name(upstream, world, tmp_path):
    runs = beside(world, tmp_path / "runs")
    said = hbr("train", "--sampler", "untrained", "--output-dir", runs)
    assert said.code == 0, said.err
    said = hbr("evaluate", "--dataset", "irds:beir/scifact/test", "--output-dir", runs)
    assert said.code == 0, said.err
    run = runs / (runs / "latest").resolve().name
    metrics = json.loads((run / "evaluate/irds-beir-scifact-test/metrics.json").read_text())
    assert metrics["dataset"] == "irds:beir/scifact/test"
    said = hbr("compare", run, "--output-dir", runs)
    assert said.code == 0, said.err
    assert "irds:beir/scifact/test" in said.out


def test_an_unknown_id_is_named_with_those_like_it(upstream):
    with pytest.raises(UserError, match=r"no 'beir/scifct/test'; did you mean .*beir/scifact/test"):
        irds.reader("irds:beir/scifct/test").read(None, "sentence")


def test_an_id_without_judgements_says_so(upstream):
    with pytest.raises(UserError, match="miracl/yo has no queries and no qrels: name a split"):
        irds.reader("irds:miracl/yo").read(None, "sentence")


def test_files_that_cannot_be_had_are_one_line(upstream, monkeypatch):
    import ir_datasets

    def refuse(*_):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(ir_datasets.util.Download, "stream", refuse)
    monkeypatch.setattr(ir_datasets.util.Download, "path", refuse)
    with pytest.raises(UserError, match="cannot give beir/nfcorpus/test: no route to host") as told:
        irds.reader("irds:beir/nfcorpus/test").read(None, "sentence")
    assert told.value.exit_code == 1
