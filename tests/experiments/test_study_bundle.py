"""A study's data and encoders in one file: carried to where there is no network, and used there."""

import io
import json
import shutil
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from hbr.core.errors import UserError
from hbr.experiments.building import update
from hbr.experiments.bundles import SUMS
from hbr.experiments.cells import cells
from hbr.experiments.study import read_study
from hbr.experiments.study_bundle import STAGES, pack, unpack
from hbr.models.sources import encoder_folder, encoder_id
from tests.support import beside, hbr

STUDY = """
    base: {{data: {{train: [embedded, {pairs}]}}, train: {{max_steps: 2, batch_size: 8}}}}
    grid: {{sampler: [hybrid], encoder: [{encoder}]}}
    evaluate: [{{dataset: lareqa, source: {lareqa}}}]
"""
SENTENCES = {"de": ("Ann sah Bo.", "Es regnete."), "en": ("Ann saw Bo.", "It rained.")}


class Packed(NamedTuple):
    """A study, its bundle, and the folders that its names are relative to: here and elsewhere."""

    study: Path
    bundle: Path
    elsewhere: Path


@pytest.fixture(scope="module")
def packed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """Pack a small study, delete what it was packed from, and stand in an empty folder."""
    here, elsewhere = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("elsewhere")
    write_sources(here)
    runs = beside(world, here / "runs")
    (runs / "data").unlink()  # what is prepared here is no other test's
    encoder = encoder_folder(runs, "xlm-r-tiny", None)
    shutil.copytree(encoder, here / "my" / "encoder")
    text = STUDY.format(pairs="pairs.jsonl", encoder="xlm-r-tiny, my/encoder", lareqa="given/files")
    study = elsewhere / "small.yaml"
    study.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        pack(elsewhere / "study.tar", study, Path("runs"))
    shutil.rmtree(here)  # but the encoders, which other tests share
    return Packed(study, elsewhere / "study.tar", elsewhere)


def write_sources(folder: Path) -> None:
    roles = ("query", "passage")
    rows = [
        {"id": f"r{n}"}
        | {role: {lang: f"{lang} {role} {n}" for lang in SENTENCES} for role in roles}
        for n in range(12)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = folder / "given" / "files"
    files.mkdir(parents=True)
    for language, (one, two) in SENTENCES.items():
        context, size = f"{one} {two}", len(one)
        qas = [
            {"id": i, "question": f"{i}?", "answers": [{"text": "…", "answer_start": at}]}
            for i, at in (("who", 0), ("what", size + 1))
        ]
        breaks = [[0, size], [size + 1, len(context)]]
        paragraph = {"context": context, "qas": qas, "sentence_breaks": breaks}
        document = {"data": [{"title": "t", "paragraphs": [paragraph]}]}
        (files / f"{language}.json").write_text(json.dumps(document))


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing reach the network."""

    def refuse(*_: object) -> None:
        raise AssertionError("something was to be fetched")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def test_a_study_runs_from_its_bundle_without_network_and_without_its_files(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_off: None
) -> None:
    monkeypatch.chdir(packed.elsewhere)
    put = unpack(packed.bundle, tmp_path)
    assert {place.rpartition("/")[2] for place in put} == {"rows", "task", "model"}
    before = (tmp_path / "data").iterdir()
    prepared = {path.name for path in before}
    every = cells(read_study(packed.study), tmp_path, {}, "cpu")
    assert len(every) == 4  # two encoders, each untrained too
    for cell in every:
        update(cell.stages())
        for target in cell.targets:
            path = cell.run.path / "evaluate" / target.folder / "metrics.json"
            assert json.loads(path.read_text())["languages"] == ["de", "en"]
    assert {path.name for path in (tmp_path / "data").iterdir()} == prepared
    trained = [cell.run.path / "manifest.json" for cell in every[:2]]
    inputs = [json.loads(path.read_text())["stages"]["train"]["inputs"] for path in trained]
    assert inputs[0] == inputs[1]  # the encoder in the folder is the tiny one
    assert {"rows embedded", "rows pairs.jsonl", "validation", "encoder"} == inputs[0].keys()


def test_unpacking_again_changes_nothing(packed: Packed, tmp_path: Path) -> None:
    assert unpack(packed.bundle, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert unpack(packed.bundle, tmp_path) == []
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert before == after


def test_what_is_there_and_differs_stays_and_nothing_is_put_beside_it(
    packed: Packed, tmp_path: Path
) -> None:
    first, *others = unpack(packed.bundle, tmp_path)
    store = (tmp_path / first).parent
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["stages"][Path(first).name]["id"] = "another"
    (store / "manifest.json").write_text(json.dumps(manifest))
    for place in others:
        shutil.rmtree((tmp_path / place).parent, ignore_errors=True)
    with pytest.raises(UserError, match=f"{Path(first).name} is there already and differs"):
        unpack(packed.bundle, tmp_path)
    assert [path.name for path in (tmp_path / "data").iterdir()] == [store.name]


def test_an_unpacking_that_was_cut_off_is_gone_on_with(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract, calls = tarfile.TarFile.extract, []

    def fail(self: tarfile.TarFile, *args: object, **named: object) -> None:
        calls.append(args)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        extract(self, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(tarfile.TarFile, "extract", fail)
    with pytest.raises(OSError, match="No space left"):
        unpack(packed.bundle, tmp_path)
    for manifest in tmp_path.rglob("manifest.json"):
        for stage in json.loads(manifest.read_text())["stages"]:
            assert (manifest.parent / stage).is_dir()
    unpack(packed.bundle, tmp_path)
    assert not list(tmp_path.rglob("*.partial"))
    assert unpack(packed.bundle, tmp_path) == []


def test_a_full_disk_leaves_no_half_bundle_and_the_one_before(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(packed.bundle, tmp_path / "runs")
    (tmp_path / "out.tar").write_text("before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", fail)
    with pytest.raises(OSError, match="No space left"):
        pack(tmp_path / "out.tar", packed.study, tmp_path / "runs")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tar", "runs"]
    assert (tmp_path / "out.tar").read_text() == "before"


def test_a_bundle_is_packed_again_from_what_a_bundle_brought(
    packed: Packed, tmp_path: Path
) -> None:
    unpack(packed.bundle, tmp_path / "runs")
    pack(tmp_path / "again.tar", packed.study, tmp_path / "runs")
    with tarfile.open(packed.bundle) as one, tarfile.open(tmp_path / "again.tar") as two:
        assert sorted(one.getnames()) == sorted(two.getnames())
    assert unpack(tmp_path / "again.tar", tmp_path / "runs") == []


def test_an_encoder_of_the_hub_is_found_where_there_is_no_hub(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_off: None
) -> None:
    from huggingface_hub import constants

    runs = beside(world, tmp_path / "runs")
    made = encoder_folder(runs, "xlm-r-tiny", None)
    cache = tmp_path / "cache" / "models--org--small"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("c0ffee")
    shutil.copytree(made, cache / "snapshots" / "c0ffee")
    (cache / "snapshots" / "c0ffee" / "pytorch_model.bin").write_text("a pickle")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    study = tmp_path / "hub.yaml"
    study.write_text("grid: {sampler: [untrained], encoder: [org/small]}\nevaluate: [embedded]\n")
    pack(tmp_path / "study.tar", study, runs)
    known = encoder_id(cache / "snapshots" / "c0ffee")
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    unpack(tmp_path / "study.tar", tmp_path / "elsewhere")
    found = encoder_folder(tmp_path / "elsewhere", "org/small", None)
    assert encoder_id(found) == known
    assert "/snapshots/c0ffee" in str(found)
    assert not (found / "pytorch_model.bin").exists()
    with pytest.raises(UserError, match="encoder org/other cannot be downloaded"):
        encoder_folder(tmp_path / "elsewhere", "org/other", None)


def rewritten(bundle: Path, path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Copy a bundle, with every file's bytes changed; None drops one."""
    with tarfile.open(bundle) as old, tarfile.open(path, "w") as new:
        for member in old:
            content = change(member.name, old.extractfile(member).read())
            if content is not None:
                member.size = len(content)
                new.addfile(member, io.BytesIO(content))
    return path


def test_a_damaged_bundle_is_refused_before_anything_is_put_there(
    packed: Packed, tmp_path: Path
) -> None:
    def told(bundle: Path) -> str:
        with pytest.raises(UserError) as raised:
            unpack(bundle, tmp_path / "runs")
        assert not (tmp_path / "runs").exists()
        assert "\n" not in str(raised.value)
        return str(raised.value)

    def flip(name: str, content: bytes) -> bytes:
        return content[:-1] + b"?" if name.endswith(".arrow") else content

    bad = tmp_path / "bad.tar"
    assert " is not as it was packed; copy it again" in told(rewritten(packed.bundle, bad, flip))
    only = rewritten(packed.bundle, bad, lambda n, c: None if n.endswith(".arrow") else c)
    assert ".arrow is missing" in told(only)
    extra = rewritten(packed.bundle, bad, lambda n, c: c.split(b"\n", 1)[1] if n == SUMS else c)
    assert f"is not in {SUMS}" in told(extra)
    assert "it ends before SHA256SUMS" in told(
        rewritten(packed.bundle, bad, lambda n, c: None if n == SUMS else c)
    )
    bad.write_bytes(packed.bundle.read_bytes()[: packed.bundle.stat().st_size // 2])
    assert "is no whole bundle of `hbr prepare --bundle`" in told(bad)
    bad.write_text("nothing of the kind")
    assert "is no whole bundle of `hbr prepare --bundle`" in told(bad)
    assert told(tmp_path / "none.tar").endswith("none.tar: there is no such file")


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "data/../../outside", "data/.x/y"])
def test_a_member_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    with pytest.raises(UserError, match="is no file inside of it"):
        unpack(tmp_path / "bad.tar", tmp_path / "runs")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tar"]


def test_a_link_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        link = tarfile.TarInfo("data/x-123456/rows")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    with pytest.raises(UserError, match="is no file inside of it"):
        unpack(tmp_path / "bad.tar", tmp_path / "runs")


def test_a_list_of_stages_that_points_outside_is_refused(packed: Packed, tmp_path: Path) -> None:
    import hashlib

    listed = b""

    def change(name: str, content: bytes) -> bytes:
        nonlocal listed
        if name == STAGES:
            stages = json.loads(content)
            stages["stages"][0]["store"] = "data/../../outside"
            listed = json.dumps(stages).encode()
            return listed
        if name == SUMS:
            lines = content.decode().splitlines()
            sums = [x for x in lines if not x.endswith(f"  {STAGES}")]
            own = f"{hashlib.sha256(listed).hexdigest()}  {STAGES}"
            return "\n".join([*sums, own, ""]).encode()
        return content

    bad = rewritten(packed.bundle, tmp_path / "bad.tar", change)
    with pytest.raises(UserError, match="is no place for data or encoders"):
        unpack(bad, tmp_path / "runs")


def test_a_study_whose_files_are_nowhere_says_which(tmp_path: Path) -> None:
    study = tmp_path / "small.yaml"
    study.write_text(STUDY.format(pairs="gone.jsonl", encoder="xlm-r-tiny", lareqa="gone"))
    with pytest.raises(UserError, match=r"gone\.jsonl: there is no such file"):
        pack(tmp_path / "study.tar", study, tmp_path / "runs")
    with pytest.raises(UserError, match="there is no folder"):
        pack(tmp_path / "no" / "study.tar", study, tmp_path / "runs")


def test_the_commands_pack_and_unpack(packed: Packed, tmp_path: Path) -> None:
    said = hbr("prepare", "--from-bundle", packed.bundle, "--output-dir", tmp_path / "runs")
    assert said.code == 0, said.err
    assert len(said.out.splitlines()) == 6
    words = ("--bundle", tmp_path / "a.tar", "--study", packed.study)
    said = hbr("prepare", *words, "--output-dir", tmp_path / "runs")
    assert (said.code, said.out.strip()) == (0, str(tmp_path / "a.tar"))
    plan = hbr("sweep", packed.study, "--dry-run", "--output-dir", tmp_path / "runs")
    assert plan.out.count("to do  ") == 4
    nothing = hbr("sweep", packed.study, "--dry-run", "--output-dir", tmp_path / "empty")
    assert (nothing.code, "pairs.jsonl: there is no such file" in nothing.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--bundle", "a.tar"], "give both"),
        (["--study", "a.yaml"], "give both"),
        (["--from-bundle", "a.tar", "--study", "a.yaml"], "--from-bundle goes without --study"),
        (["--bundle", "a.tar", "--study", "a.yaml", "--data", "x"], "goes without --data"),
        (["--from-bundle", "a.tar"], "a.tar: there is no such file"),
    ],
)
def test_mistakes_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = hbr("prepare", *words)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert told in said.err


@pytest.mark.slow
def test_all_that_rounds_miners_and_teachers_read_is_packed(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A later round starts from a run that is made where the bundle is unpacked."""
    runs = beside(world, tmp_path / "here" / "runs")
    shutil.copytree(encoder_folder(runs, "mbert-tiny", None), tmp_path / "here" / "teacher")
    monkeypatch.chdir(tmp_path / "here")
    study = tmp_path / "rounds.yaml"
    study.write_text("""
        base:
          sampler: hybrid
          data: {train: [embedded], validation: null}
          encoder: xlm-r-tiny
          teacher: teacher
          train: {max_steps: 2, batch_size: 8, save_steps: 1, eval_limit: 20,
                  metric_for_best_model: map multi embedded}
        rounds:
          - {objective: embedding-mse}
          - {objective: infonce, hard_negatives: mined, miner: labse-tiny}
        grid: {seed: [1]}
        untrained: false
        evaluate: [{dataset: embedded, perturb: [code-switch]}]
    """)
    pack(tmp_path / "study.tar", study, Path("runs"))
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    put = unpack(tmp_path / "study.tar", Path("runs"))
    assert len([place for place in put if place.startswith("encoders/")]) == 3
    assert "not in the bundle" not in caplog.text
    before = {path.name for kind in ("data", "encoders") for path in Path("runs", kind).iterdir()}
    first, second = every = cells(read_study(study), Path("runs"), {}, "cpu")
    for cell in every:
        update(cell.stages())
    assert second.config.train.start_from == first.run.name
    after = {path.name for kind in ("data", "encoders") for path in Path("runs", kind).iterdir()}
    assert after == before


def test_what_a_bundle_does_not_hold_is_named(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs = beside(world, tmp_path / "runs")
    (runs / "earlier").mkdir()
    (runs / "earlier" / "config.yaml").write_text("")
    (tmp_path / "mined.jsonl").write_text("")
    base = encoder_folder(runs, "xlm-r-tiny", None)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    config = {"base_model_name_or_path": str(base), "r": 4, "peft_type": "LORA"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    study = tmp_path / "small.yaml"
    study.write_text("""
        base: {data: {train: [embedded]}, encoder: adapter, train: {max_steps: 2, batch_size: 8}}
        grid:
          - {hard_negatives: [mined], miner: [mined.jsonl]}
          - {objective: [embedding-mse], teacher: [earlier]}
        untrained: false
        evaluate: [embedded]
    """)
    pack(tmp_path / "study.tar", study, Path("runs"))
    named = [line for line in caplog.messages if line.startswith("not in the bundle: ")]
    assert [line.split()[4].strip(";") for line in named] == [str(base), "earlier", "mined.jsonl"]
