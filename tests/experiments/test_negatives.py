"""`hbr mine`, and training with what it found."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hbr.core.config import resolve_config
from hbr.core.errors import UserError
from hbr.data import prepare
from hbr.data.contamination import open_hashes, row_hashes
from hbr.data.rows import ROLES
from hbr.data.sameness import same_labels
from hbr.evaluation import mining
from hbr.evaluation.mining import open_mined
from hbr.evaluation.retriever import Retriever
from hbr.experiments import teachers
from hbr.experiments.negatives import Miner
from hbr.experiments.run_data import RunData
from hbr.experiments.run_spec import RunSpec, complete
from hbr.models.sources import encoder_folder
from tests.support import beside, hbr, log_of

LANGUAGES = ("de", "en", "th")
RANKS = [*(sys.executable, "-m", "torch.distributed.run", "--standalone"), "--nproc-per-node", "3"]
RANKS += ["-m", "hbr"]


def row(number: int, **changed: object) -> dict:
    topic = ["moon", "river", "bread", "iron"][number % 4]
    said = {
        "id": f"r{number}",
        "query": {lang: f"{lang} which {topic} has number {number}?" for lang in LANGUAGES},
        "passage": {lang: f"{lang} the {topic} of number {number}." for lang in LANGUAGES},
    }
    return said | changed


MADE = [row(number) for number in range(20)]
MADE[4] |= {"group": "g"}
MADE[8] |= {"group": "g"}  # a moon, too
MADE[5] |= {"passage": dict.fromkeys(LANGUAGES, "EN the river of number 9 .")}
MADE[9] |= {"passage": dict.fromkeys(LANGUAGES, "en the river of number 9 .")}
MADE[7] |= {"query": MADE[3]["query"]}  # two irons answer one question
SMALL = ["--batch-size", "8", "--steps", "6", "--set", "validation=null", "--device", "cpu"]


def mined_by(file: Path, runs: Path, **settings: object):
    """Mine the rows of a file; return them, with what was found."""
    given = {"data": {"train": [str(file)], "validation": None}, "mine": settings}
    run = RunSpec(complete(resolve_config(given), runs), runs, "cpu")
    ((store, rows),) = prepare.training_rows(run.config.data, runs)
    _, stage, _ = Miner(run).build(store, rows)
    return rows, open_mined(store.path / stage), store.entries()[stage]


@pytest.mark.parametrize("pool", ["own", "pivot", "all"])
@pytest.mark.parametrize("miner", ["bm25", None])
def test_what_says_the_same_is_never_mined(world, tmp_path, rows_file, pool, miner):
    runs = beside(world, tmp_path / "runs")
    rows, mined, entry = mined_by(
        rows_file(MADE), runs, pool=pool, miner=miner, num_negatives=12, range_max=12
    )
    found = {
        r: [int(i) for i in mined.negative[mined.negatives_of[r] : mined.negatives_of[r + 1]]]
        for r in range(20)
    }
    assert all(len(set(items)) == len(items) == 12 for items in found.values())
    assert entry["rows_by_number"] == {"12": 20}
    for one, other in [(4, 8), (5, 9), (3, 7), *((r, r) for r in range(20))]:
        assert rows.passage_of[other] not in found[one]
        assert rows.passage_of[one] not in found[other]
    pairs = {pair.split("->")[0] == pair.split("->")[1] for pair in entry["languages"]}
    assert pairs == {"own": {True}, "pivot": {True}}.get(pool, pairs)
    if pool == "pivot":
        assert entry["languages"].keys() == {"en->en"}
    assert sum(entry["languages"].values()) == entry["negatives"] == 240


def test_labels_join_what_says_the_same_by_any_way(world, tmp_path, rows_file):
    runs = beside(world, tmp_path / "runs")
    config = resolve_config({"data": {"train": [str(rows_file(MADE))]}})
    ((store, rows),) = prepare.training_rows(config.data, runs)
    folder = row_hashes(store, rows)
    labels, items = same_labels(rows, {role: open_hashes(folder, role) for role in ROLES})
    assert (labels == items[rows.passage_of]).all()
    assert labels[4] == labels[8]
    assert labels[5] == labels[9]
    assert labels[3] == labels[7]
    assert len(set(labels.tolist())) == 17


def test_a_killed_mining_goes_on_and_ends_in_the_same_bytes(
    world, tmp_path, rows_file, monkeypatch
):
    monkeypatch.setattr(mining, "ROWS", 6)
    file, write = rows_file(MADE), mining._write_part
    _, whole, _ = mined_by(file, beside(world, tmp_path / "whole"), miner="bm25")
    parts = []

    def killed(path: Path, *rest: object) -> None:
        parts.append(path.name)
        if len(parts) == 3:
            raise KeyboardInterrupt
        write(path, *rest)

    other = rows_file([*MADE[:-1], row(19, group="other")], name="other.jsonl")
    monkeypatch.setattr(mining, "_write_part", killed)
    runs = beside(world, tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        mined_by(other, runs, miner="bm25")
    _, broken, _ = mined_by(other, runs, miner="bm25")
    assert parts == [f"part-{n:06d}.npz" for n in (0, 1, 2, 2, 3)]
    for one, again in zip(whole, broken, strict=True):
        assert np.array_equal(one, again, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["mine", "score"])
def test_killed_again_and_again_a_command_ends_in_the_same_bytes(
    world, tmp_path, rows_file, command
):
    file = rows_file([row(number) for number in range(9000)])
    (world / "encoders").mkdir(exist_ok=True)

    def words(name: str) -> list[str]:
        runs = tmp_path / name  # with data of its own
        runs.mkdir()
        (runs / "encoders").symlink_to(world / "encoders")
        settings = ["--set", "validation=null", "--set", "encode.shard_size=1000"]
        settings += ["--set", "hard_negatives=mined"] if command == "score" else []
        paths = ["--output-dir", str(runs), "--output", str(tmp_path / f"{name}.jsonl")]
        return [sys.executable, "-m", "hbr", command, "--data", str(file), *settings, *paths]

    subprocess.run(words("whole"), check=True, capture_output=True)
    broken, kills = words("broken"), 0
    while kills < 50:
        with subprocess.Popen(broken, stderr=subprocess.PIPE) as process:
            try:
                _, said = process.communicate(timeout=4 + kills)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
    assert process.returncode == 0, said.decode()
    assert kills
    assert (tmp_path / "broken.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.slow
def test_three_ranks_mine_what_one_process_does(world, tmp_path, rows_file):
    file = rows_file([row(number) for number in range(9000)])  # three parts, nine shards
    words = ["mine", "--data", file, "--device", "cpu", "--set", "validation=null"]
    words += ["--set", "encode.shard_size=6000", "--set", "mine.pool=all"]
    runs = [beside(world, tmp_path / name) for name in ("one", "three")]
    assert hbr(*words, "--output-dir", runs[0], "--output", tmp_path / "one.jsonl").code == 0
    command = [*RANKS, *words, "--output-dir", runs[1], "--output", tmp_path / "three.jsonl"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "three.jsonl").read_bytes()
    made = [sorted(folder.glob("data/*/*/*.npy")) for folder in runs]
    assert [p.parts[-3:] for p in made[0]] == [p.parts[-3:] for p in made[1]]
    assert len(made[0]) > 10
    for one, other in zip(*made, strict=True):
        assert one.read_bytes() == other.read_bytes(), other


def test_mined_negatives_train_and_their_number_and_language_are_settings(
    world, tmp_path, rows_file
):
    runs, file = beside(world, tmp_path / "runs"), rows_file(MADE)
    data = ["--data", file, "--output-dir", runs]
    said = hbr("mine", *data, "--miner", "bm25", "--json")
    assert said.code == 0, said.err
    (entry,) = json.loads(said.out).values()
    assert entry["rows_by_number"] == {"3": 20}
    names = []
    for number, language in ((1, "passage"), (3, "passage"), (3, "any")):
        words = [f"objective.num_negatives={number}", f"negative_language={language}"]
        sets = [w for word in ("hard_negatives=mined", *words) for w in ("--set", word)]
        done = hbr("train", *SMALL, *data, "--set", "mine.miner=bm25", *sets)
        assert done.code == 0, done.err
        assert "mining" not in done.err  # it was done
        names.append(done.out.strip())
    losses = [log_of(Path(name))[0]["loss"] for name in names]
    assert len(set(names)) == len(set(losses)) == 3
    assert losses[0] < losses[1]  # more negatives, a harder task


def test_negatives_are_written_and_read_again_by_the_ids_of_rows(world, tmp_path, rows_file):
    runs, file, out = beside(world, tmp_path / "runs"), rows_file(MADE), tmp_path / "out.jsonl"
    said = hbr("mine", "--data", file, "--output-dir", runs, "--miner", "bm25", "--output", out)
    assert said.code == 0, said.err
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"r{n}" for n in range(20)]
    _, first, _ = mined_by(file, runs, miner="bm25")
    _, again, _ = mined_by(file, runs, miner=str(out))
    assert first.negative.tolist() == again.negative.tolist()


def test_rows_with_few_negatives_in_a_file_are_counted_as_mined_ones_are(
    world, tmp_path, rows_file, caplog
):
    """`hbr mine --output` writes what it found, which may be few."""
    runs, file = beside(world, tmp_path / "runs"), rows_file(MADE)
    lines = [{"id": "r0", "negatives": ["r2", "r3", "r6"]}, {"id": "r1", "negatives": ["r2"]}]
    _, mined, _ = mined_by(file, runs, miner=str(rows_file(lines, name="few.jsonl")))
    assert np.diff(mined.negatives_of).tolist() == [3, 1, *[0] * 18]
    assert "19 of 20 rows have fewer than 3 negatives" in caplog.text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": "r1", "negatives": ["r2", "nobody", "r3"]}, "has no row 'nobody'"),
        ({"id": "r0", "negatives": ["r2", "r4", "r3"]}, "row 'r0' stands there twice"),
        ({"id": "r1", "negatives": "r2"}, '"negatives" '),
    ],
)
def test_a_bad_line_of_negatives_is_named(world, tmp_path, rows_file, line, message):
    runs, file = beside(world, tmp_path / "runs"), rows_file(MADE)
    bad = rows_file([{"id": "r0", "negatives": ["r2", "r3", "r6"]}, line], name="bad.jsonl")
    said = hbr("mine", "--data", file, "--output-dir", runs, "--miner", bad)
    assert said.code == 2
    assert f"{bad}:2: " in said.err
    assert message in said.err
    assert sum(line.startswith("hbr: ") for line in said.err.splitlines()) == 1
    ((store, _),) = prepare.training_rows(
        resolve_config({"data": {"train": [str(file)]}}).data, runs
    )
    assert set(store.entries()) == {"rows"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["objective.num_negatives=5"], "more than are mined: --set mine.num_negatives=5, now 3"),
        (["mine.max_score=-9"], "nothing was mined; `hbr mine` shows what was passed over"),
        (["mine.miner=nowhere.jsonl"], "nowhere.jsonl: there is no such file"),
        (["mine.miner=nothing"], "there is no encoder 'nothing'"),
        (["train.start_from=nothing"], "nothing is no run in"),
        (["mine.range_min=3", "mine.range_max=4"], "num_negatives 3 do not fit between"),
    ],
)
def test_what_cannot_be_mined_is_said_in_one_line(world, tmp_path, rows_file, words, message):
    runs, file = beside(world, tmp_path / "runs"), rows_file(MADE)
    sets = [w for word in ("hard_negatives=mined", *words) for w in ("--set", word)]
    said = hbr("-q", "train", *SMALL, "--data", file, "--output-dir", runs, *sets)
    assert said.code == 2
    assert message in said.err
    assert said.err.splitlines()[-1].startswith("hbr: ")
    assert said.err.count("hbr: ") == 1
    assert not list(runs.glob("*/model"))


def test_a_run_mines_and_another_starts_from_it(world, tmp_path, rows_file):
    runs, data = beside(world, tmp_path / "runs"), ["--data", rows_file(MADE)]
    first = hbr("train", *SMALL, *data, "--output-dir", runs).out.strip()
    again = ["--set", f"start_from={Path(first).name}", "--set", "hard_negatives=mined"]
    second = hbr("train", *SMALL, *data, "--output-dir", runs, *again)
    assert second.code == 0, second.err
    entry = json.loads((Path(second.out.strip()) / "manifest.json").read_text())["stages"]["train"]
    done = json.loads((Path(first) / "manifest.json").read_text())["stages"]["train"]
    assert entry["started_from"] == str(Path(first) / "model")
    assert entry["inputs"]["encoder"] == entry["inputs"]["miner"] != done["inputs"]["encoder"]


@pytest.mark.slow
def test_ranks_evaluate_a_run_with_mined_negatives(world, tmp_path, rows_file):
    runs, data = beside(world, tmp_path / "runs"), ["--data", rows_file(MADE)]
    mined = ("--set", "hard_negatives=mined")
    run = hbr("train", *SMALL, *data, *mined, "--output-dir", runs).out.strip()
    words = ("evaluate", "--run-dir", run, "--device", "cpu", "--set", "evaluate.limit=5")
    done = subprocess.run([*RANKS, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    training = json.loads((Path(run) / "evaluate/embedded/metrics.json").read_text())["training"]
    assert training["languages"] == dict.fromkeys(LANGUAGES, 20)


# Teachers


def cross_encoder(folder: Path, longest: int = 64) -> Path:
    """Save a small cross-encoder over letters, with weights from a seed."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    letters = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"] + [chr(code) for code in range(32, 127)]
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=longest, sep_token="[SEP]", **names
    )
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(letters), intermediate_size=16, num_labels=1, **sizes)
    config.initializer_range = 1.0  # so that scores differ
    BertForSequenceClassification(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def scored_by(file: Path, runs: Path, reads: str = "pivot", **teacher: object):
    """Mine by BM25 and score; return the rows."""
    given = {"data": {"train": [str(file)], "validation": None}, "mine": {"miner": "bm25"}}
    given |= {"train": {"hard_negatives": "mined"}, "teacher": {"reads": reads, **teacher}}
    run = RunSpec(complete(resolve_config(given), runs), runs, "cpu")
    return RunData(run).scored_rows[0]


@pytest.mark.parametrize("reads", ["pivot", "all"])
def test_a_cross_encoder_s_scores_are_sentence_transformers_own(world, tmp_path, rows_file, reads):
    from sentence_transformers import CrossEncoder

    folder = cross_encoder(tmp_path / "teacher", 256)
    rows = scored_by(rows_file(MADE), beside(world, tmp_path / "runs"), reads, name=str(folder))
    oracle = CrossEncoder(str(folder), device="cpu")
    languages = ["en"] if reads == "pivot" else LANGUAGES
    row_of = {int(item): number for number, item in enumerate(rows.passage_of)}
    for number in (0, 3, 8):
        some = slice(int(rows.negatives_of[number]), int(rows.negatives_of[number + 1]))
        others = [number, *(row_of[int(item)] for item in rows.negative[some])]
        found = [rows.positive_score[number], *rows.negative_score[some]]
        for other, score in zip(others, found, strict=True):
            pairs = [
                (MADE[number]["query"][lang], MADE[other]["passage"][lang]) for lang in languages
            ]
            assert score == pytest.approx(oracle.predict(pairs).mean(), abs=1e-6)
    assert np.std(rows.negative_score) > 1e-4


def test_a_killed_scoring_goes_on_and_ends_in_the_same_bytes(
    world, tmp_path, rows_file, monkeypatch
):
    monkeypatch.setattr(teachers, "PAIRS", 32)
    name, file = str(cross_encoder(tmp_path / "teacher", 256)), rows_file(MADE)
    whole = scored_by(file, beside(world, tmp_path / "whole"), name=name)
    shutil.rmtree(world / "data" / whole.folder.parent.name)  # which both would share
    calls, mean = [], teachers.Teacher._mean_scores

    def killed(*words: object) -> np.ndarray:
        calls.append(words)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return mean(*words)

    monkeypatch.setattr(teachers.Teacher, "_mean_scores", killed)
    runs = beside(world, tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        scored_by(file, runs, name=name)
    broken = scored_by(file, runs, name=name)
    assert len(calls) == 4  # of 20 passages and 60 negatives, the first part once
    assert whole.positive_score.tolist() == broken.positive_score.tolist()
    assert whole.negative_score.tolist() == broken.negative_score.tolist()


def test_a_cross_encoder_s_pairs_are_measured_before_any_is_scored(
    world, tmp_path, rows_file, monkeypatch
):
    monkeypatch.setattr(teachers, "PAIRS", 32)
    monkeypatch.setattr(teachers.Teacher, "_mean_scores", None)
    name = str(cross_encoder(tmp_path / "teacher", 20))
    with pytest.raises(UserError, match="80 pairs are longer than the 20 tokens"):
        scored_by(rows_file(MADE), beside(world, tmp_path / "runs"), name=name)


def test_a_teacher_whose_scores_are_not_finite_is_refused(world, tmp_path, rows_file):
    from safetensors.torch import load_file, save_file

    folder = cross_encoder(tmp_path / "teacher", 256)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"][:] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    runs = beside(world, tmp_path / "runs")
    before = sorted(runs.glob("data/*/scores-*"))
    with pytest.raises(UserError, match="a negative of row r0 of rows is not finite"):
        scored_by(rows_file(MADE), runs, name=str(folder))
    assert sorted(runs.glob("data/*/scores-*")) == before


def test_a_bi_encoder_s_scores_are_those_of_its_pivot_vectors(world, tmp_path, rows_file):
    runs, file = beside(world, tmp_path / "runs"), rows_file(MADE)
    rows = scored_by(file, runs, name="xlm-r-tiny")
    mean = scored_by(file, runs, "all", name="xlm-r-tiny")
    config = complete(resolve_config({}), runs)
    folder = encoder_folder(runs, "xlm-r-tiny", None)
    retriever = Retriever.open(folder, config)

    def vectors(number: int, lang: str) -> tuple[np.ndarray, np.ndarray]:
        texts = [MADE[number][role][lang] for role in ("query", "passage")]
        return retriever.encode_queries(texts[:1])[0], retriever.encode_passages(texts[1:])[0]

    for number in (0, 5):
        query, passage = vectors(number, "en")
        assert rows.positive_score[number] == pytest.approx(query @ passage, abs=1e-5)
        every = np.mean([vectors(number, lang) for lang in LANGUAGES], axis=0)
        assert mean.positive_score[number] == pytest.approx(every[0] @ every[1], abs=1e-5)


DISTILLING = {
    "distill-kl": ["hard_negatives=mined"],
    "margin-mse": ["hard_negatives=mined", "objective.infonce_weight=0.5", "mini_batch_size=3"],
    "embedding-mse": [],
    "infonce": ["hard_negatives=mined", "guide=relative", "guide_margin=0.01"],
}


@pytest.mark.parametrize("objective", DISTILLING)
def test_every_way_to_follow_a_teacher_trains(world, tmp_path, rows_file, objective):
    runs, data = beside(world, tmp_path / "runs"), ["--data", rows_file(MADE)]
    words = ["mine.miner=bm25", "teacher=xlm-r-tiny", *DISTILLING[objective]]
    sets = [w for word in words for w in ("--set", word)]
    command = ["train", *SMALL, *data, "--output-dir", runs, "--objective", objective, *sets]
    said = hbr(*command, "--set", "logging_steps=1", "--lr", "1e-3")
    assert said.code == 0, said.err
    entry = json.loads((Path(said.out.strip()) / "manifest.json").read_text())["stages"]["train"]
    assert "teacher" in entry["inputs"]
    log = log_of(Path(said.out.strip()))
    if objective == "infonce":
        assert any(line["masked"] > 0.2 for line in log)
    else:
        assert all("distilled" in line for line in log)
        assert ("clean" in log[0]) == (objective == "margin-mse")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["objective=distill-kl"], "has no negatives to score; mine some"),
        (["objective=distill-kl", "objective.num_negatives=0"], "needs negatives: objective.num"),
        (["objective=embedding-mse", "teacher={scores}"], "has no vectors: name an encoder"),
        (["guide=absolute", "teacher={cross}"], "has no vectors: name an encoder"),
        (["objective=margin-mse", "hard_negatives=mined", "teacher={cross}"], "pairs are longer"),
        (
            ["objective=margin-mse", "hard_negatives=mined", "teacher={scores}"],
            "lacks scores of 19",
        ),
        (["objective=margin-mse", "hard_negatives=mined", "teacher=no.jsonl"], "no such file"),
    ],
)
def test_a_teacher_that_cannot_serve_is_said_in_one_line(
    world, tmp_path, rows_file, words, message
):
    runs, file = beside(world, tmp_path / "runs"), rows_file(MADE)
    scores = rows_file([{"id": "r0", "negatives": [], "scores": [1.0]}], name="scores.jsonl")
    if "19" in message:
        first = tmp_path / "mined.jsonl"
        command = ["mine", "--data", file, "--output-dir", runs, "--miner", "bm25"]
        assert hbr(*command, "--output", first).code == 0
        line = json.loads(first.read_text().splitlines()[0])
        scores = rows_file([line | {"scores": [1, 2, 3, 4]}], name="scores.jsonl")
    places = {"scores": scores, "cross": cross_encoder(tmp_path / "cross", 20)}
    filled = ["mine.miner=bm25", *(word.format(**places) for word in words)]
    sets = [w for word in filled for w in ("--set", word)]
    said = hbr("-q", "train", *SMALL, "--data", file, "--output-dir", runs, *sets)
    assert said.code == 2, said.err
    assert message in said.err
    assert said.err.count("hbr: ") == 1
    assert not list(runs.glob("*/model"))


def test_scores_that_are_not_finite_are_refused(world, tmp_path, rows_file):
    path = rows_file([], name="scores.jsonl")
    path.write_text('{"id": "r0", "negatives": [], "scores": [NaN]}\n')
    with pytest.raises(UserError, match=rf"{path}:1: .*finite"):
        scored_by(rows_file(MADE), beside(world, tmp_path / "runs"), name=str(path))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["objective=embedding-mse", "matryoshka_dims=[64,32]"], "matryoshka_dims acts on InfoNCE"),
        (["objective=embedding-mse", "objective.symmetric=true"], "set objective.infonce_weight"),
        (["early_stopping_patience=3"], "early_stopping_patience: nothing is validated"),
        (["matryoshka_dims=[32,16]"], "name the whole width, 64, among them"),
        (["objective=smoothing", "objective.swap=0.5"], "may be its own answer"),
    ],
)
def test_settings_of_training_that_would_do_nothing_or_harm_are_refused(
    world, tmp_path, rows_file, words, message
):
    rows, runs = rows_file(count=16), beside(world, tmp_path / "runs")
    if "objective.swap=0.5" in words:
        texts = [{"de": f"d {n}", "en": f"e {n}"} for n in range(16)]
        bitext = [{"id": str(n), "query": text, "passage": text} for n, text in enumerate(texts)]
        rows, words = rows_file(bitext), [*words, "sampler=cross-lingual"]
    sets = [w for word in words for w in ("--set", word)]
    where = ("--data", rows, "--output-dir", runs)
    said = hbr("-q", "train", "--steps", "1", "--batch-size", "4", *where, *sets)
    assert (said.code, message in said.err) == (2, True), said.err


def test_an_untrained_run_does_not_mind_settings_of_training(world, tmp_path):
    runs = beside(world, tmp_path / "runs")
    sets = ("--set", "early_stopping_patience=3", "--set", "data.validation=null")
    said = hbr("-q", "train", "--untrained", "--output-dir", runs, *sets)
    assert said.code == 0, said.err


def test_of_a_part_of_the_rows_a_file_speaks_of_others_too(world, tmp_path, rows_file, caplog):
    """A trial reads some rows; with two data sets, a file may be of one."""
    runs, file = beside(world, tmp_path / "runs"), rows_file(MADE)
    lines = [{"id": f"r{n}", "negatives": ["r2", "r15", "r3"]} for n in (0, 1, 17)]
    given = {
        "data": {"train": [str(file)], "validation": None, "limit": 10},
        "mine": {"miner": str(rows_file(lines, name="all.jsonl"))},
    }
    run = RunSpec(complete(resolve_config(given), runs), runs, "cpu")
    ((store, rows),) = prepare.training_rows(run.config.data, runs)
    _, stage, _ = Miner(run).build(store, rows)
    mined = open_mined(store.path / stage)
    assert np.diff(mined.negatives_of).tolist() == [2, 2, *[0] * 8]
    assert "has them not: 1 rows, and 2 negatives of others" in caplog.text
