"""A bundle holds all that the numbers of a comparison rest on; what was changed in it is found."""

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import Said, finished, hbr

STUDY = """
    title: two samplers
    grid: {sampler: [monolingual, hybrid], seed: [0, 1]}
    evaluate: [embedded]
    claims:
      - {id: best, metric: map, setting: mono, greater: hybrid, than: monolingual}
      - {id: bias, metric: rank_distance, setting: multi, less: hybrid, than: monolingual, by: 10%}
      - {id: low, metric: map, setting: multi, greater: hybrid, than: monolingual,
         among: {resource: low}}
"""
Content = dict[str, bytes]


def values(level: float, distance: float, own: int) -> dict[str, Any]:
    noise = 0.05 * np.random.default_rng(own).normal(size=(24, 4))
    return {
        "mono map": level + noise,
        "mono recall@1": level + noise / 2,
        "cross map": level + noise[..., None],
        "multi map": level + noise,
        "multi rank_distance": distance + 50 * noise,
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a study, of which one is not done."""
    folder = tmp_path_factory.mktemp("runs")
    for own, (sampler, seed) in enumerate((("hybrid", 0), ("hybrid", 1), ("monolingual", 0))):
        level = 0.6 if sampler == "hybrid" else 0.4
        finished(folder, sampler, values(level, 100 * level, own), seed=seed)
    finished(folder, "untrained", values(0.1, 90, 9), contamination=(1, 2))
    return folder


@pytest.fixture(scope="module")
def bundle(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the study, with a paper's figures beside it."""
    folder = tmp_path_factory.mktemp("bundle")
    study = folder / "small.yaml"
    study.write_text("\n".join(line[4:] for line in STUDY.splitlines()))
    said = pack(folder / "out.tar", "--study", study, "--by", "resource", "--output-dir", runs)
    assert said.code == 0, said.err
    return folder / "out.tar"


def pack(path: Path, *words: object) -> Said:
    return hbr("compare", *words, "--reference", "elmahdy2024", "--bundle", path)


def check(path: Path) -> Said:
    return hbr("compare", "--bundle-check", path)


def content(path: Path) -> Content:
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore


def write(path: Path, held: Content, *, sums: bool) -> Path:
    """Write a bundle again; with `sums`, so that its checksums are right."""
    if sums:
        own = {name: data for name, data in held.items() if name != "SHA256SUMS"}
        lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in own.items()]
        held = own | {"SHA256SUMS": "".join(lines).encode()}
    with tarfile.open(path, "w") as tar:
        for name, data in held.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def one(held: Content, ending: str) -> str:
    return next(name for name in sorted(held) if name.endswith(ending))


def changed_json(held: Content, ending: str, change: Callable[[Any], None]) -> str:
    name = one(held, ending)
    tree = json.loads(held[name])
    change(tree)
    held[name] = json.dumps(tree).encode()
    return name


def test_what_was_packed_holds(bundle: Path) -> None:
    said = check(bundle)
    assert said.code == 0
    files = len(content(bundle)) - 1
    assert said.out.startswith(f"{bundle} holds: {files} files, ")
    assert int(said.out.split(" files, ")[1].split()[0].replace(",", "")) > 500
    assert said.err == ""


def test_a_bundle_holds_study_configs_manifests_results_and_verdicts(bundle: Path) -> None:
    held = content(bundle)
    assert {"SHA256SUMS", "request.json", "report.json", "study.yaml"} < held.keys()
    ends = ("config.yaml", "manifest.json", "train/log.jsonl", "metrics.json", "per_query.parquet")
    for ending in ends:
        assert sum(name.endswith(f"/{ending}") for name in held) == 4, ending
    report = json.loads(held["report.json"])
    assert [claim["id"] for claim in report["claims"]][:3] == ["best", "bias", "low"]
    assert report["claims"][0]["status"] == "open"  # a run is missing
    assert json.loads(held["request.json"])["hbr"]


def test_the_same_comparison_gives_the_same_bytes(bundle: Path, runs: Path, tmp_path: Path) -> None:
    study = bundle.parent / "small.yaml"
    words = ("--study", study, "--by", "resource", "--output-dir", runs)
    assert pack(tmp_path / "again.tar", *words).code == 0
    assert (tmp_path / "again.tar").read_bytes() == bundle.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.tar"]


def test_a_bundle_holds_elsewhere_without_the_runs(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "runs"
    shutil.copytree(runs, copied)
    names = sorted(p for p in copied.iterdir())
    assert pack(tmp_path / "a.tar", *names, "--baseline", "monolingual").code == 0
    shutil.rmtree(copied)
    (tmp_path / "else").mkdir()
    (tmp_path / "a.tar").rename(tmp_path / "else" / "b.tar")
    monkeypatch.chdir(tmp_path / "else")
    assert check(Path("b.tar")).code == 0
    assert os.listdir() == ["b.tar"]  # noqa: PTH208


@pytest.mark.parametrize("where", [".", "latest"])
def test_a_run_may_be_named_by_where_one_stands_or_by_a_link(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    one, other = sorted((tmp_path / "runs").iterdir())[:2]
    (tmp_path / "latest").symlink_to(one)
    monkeypatch.chdir(one if where == "." else tmp_path)
    assert pack(tmp_path / "a.tar", where, other).code == 0
    assert check(tmp_path / "a.tar").out.startswith(str(tmp_path / "a.tar") + " holds")


def test_printed_figures_alone_are_a_bundle_too(tmp_path: Path) -> None:
    assert pack(tmp_path / "a.tar").code == 0
    assert check(tmp_path / "a.tar").code == 0


def test_a_verdict_without_end_can_be_packed(tmp_path: Path) -> None:
    """All concepts differ alike, so that the effect has no deviation."""
    best = finished(tmp_path / "r", "hybrid", {"mono map": 1.0})
    worst = finished(tmp_path / "r", "monolingual", {"mono map": 0.0})
    study = tmp_path / "s.yaml"
    study.write_text("\n".join(line[4:] for line in STUDY.splitlines()).replace(", 1]", "]"))
    assert best.parent == worst.parent
    said = pack(tmp_path / "a.tar", "--study", study, "--output-dir", best.parent)
    assert said.code == 0, said.err
    assert check(tmp_path / "a.tar").code == 0


# What was changed


def shift_metric(held: Content) -> str:
    def change(tree: Any) -> None:
        tree["settings"]["mono"]["map"] += 0.001

    changed_json(held, "metrics.json", change)
    return "settings/mono/map: says 0."


def shift_language(held: Content) -> str:
    def change(tree: Any) -> None:
        tree["by_query_language"]["multi"]["th"]["rank_distance"] -= 1

    changed_json(held, "metrics.json", change)
    return "by_query_language/multi/th/rank_distance: says "


def shift_pair(held: Content) -> str:
    def change(tree: Any) -> None:
        tree["by_pair"]["de->th"]["map"] *= 1.01

    changed_json(held, "metrics.json", change)
    return "by_pair/de->th/map: says 0."


def shift_bias(held: Content) -> str:
    def change(tree: Any) -> None:
        tree["bias"]["mean_rank"]["de"]["th"] += 1

    changed_json(held, "metrics.json", change)
    return "bias/mean_rank/de/th: says "


def add_metric(held: Content) -> str:
    def change(tree: Any) -> None:
        tree["settings"]["mono"]["ndcg@10"] = 0.99

    changed_json(held, "metrics.json", change)
    return "ndcg@10"


def add_language(held: Content) -> str:
    def change(tree: Any) -> None:
        tree["by_query_language"]["mono"]["fr"] = {"map": 0.99}

    changed_json(held, "metrics.json", change)
    return "fr"


def shift_value(held: Content) -> str:
    name = one(held, "per_query.parquet")
    table = pq.read_table(io.BytesIO(held[name]))
    place = table.schema.get_field_index("map")
    own = table["map"].to_numpy().copy()
    own[3] += 0.1
    out = io.BytesIO()
    pq.write_table(table.set_column(place, "map", pa.array(own)), out)
    held[name] = out.getvalue()
    return "map: says 0."


def shift_report(held: Content) -> str:
    def change(tree: Any) -> None:
        tree["tables"][0]["rows"][0]["values"]["mono/map"]["mean"] += 1e-6

    changed_json(held, "report.json", change)
    return "report/tables[0]/rows["


def shift_p(held: Content) -> str:
    def change(tree: Any) -> None:
        tree["claims"][0]["status"] = "supported"

    changed_json(held, "report.json", change)
    return "report/claims[0]/status: says 'supported', is 'open'"


def add_claim(held: Content) -> str:
    def change(tree: Any) -> None:
        tree["claims"].append(tree["claims"][0])

    changed_json(held, "report.json", change)
    return "report/claims: says "


def drop_warning(held: Content) -> str:
    def change(tree: Any) -> None:
        tree["warnings"] = tree["warnings"][1:]

    changed_json(held, "report.json", change)
    return "report/warnings: says "


CHANGES = (
    *(shift_metric, shift_language, shift_pair, shift_bias, add_metric, add_language),
    *(shift_value, shift_report, shift_p, add_claim, drop_warning),
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_number_is_found_though_the_checksums_fit(
    bundle: Path, tmp_path: Path, change: Callable[[Content], str]
) -> None:
    held = content(bundle)
    expected = change(held)
    said = check(write(tmp_path / "a.tar", held, sums=True))
    assert said.code == 1
    assert expected in said.out, said.err
    assert said.err.startswith(f"hbr: {tmp_path / 'a.tar'} does not hold: ")


@pytest.mark.parametrize(
    "ending", ["metrics.json", "per_query.parquet", "report.json", "request.json", "study.yaml"]
)
def test_a_changed_file_is_named(bundle: Path, tmp_path: Path, ending: str) -> None:
    held = content(bundle)
    name = one(held, ending)
    held[name] += b"\n"
    said = check(write(tmp_path / "a.tar", held, sums=False))
    assert (said.code, said.out) == (1, f"{name}: changed since the bundle was packed\n")
    assert said.err == f"hbr: {tmp_path / 'a.tar'} does not hold: 1 differences\n"


def test_a_missing_and_an_added_file_are_named(bundle: Path, tmp_path: Path) -> None:
    held = content(bundle)
    name = one(held, "log.jsonl")
    del held[name]
    held["runs/more.txt"] = b"more"
    said = check(write(tmp_path / "a.tar", held, sums=False))
    assert said.code == 1
    assert said.out.splitlines() == ["runs/more.txt: not in SHA256SUMS", f"{name}: missing"]


@pytest.mark.parametrize("ending", ["metrics.json", "per_query.parquet", "manifest.json"])
def test_a_file_that_is_missing_from_the_checksums_too_is_named(
    bundle: Path, tmp_path: Path, ending: str
) -> None:
    held = content(bundle)
    del held[one(held, ending)]
    said = check(write(tmp_path / "a.tar", held, sums=True))
    assert said.code == 1
    assert ending in said.out + said.err
    assert "a bug?" not in said.err
    assert "hbr evaluate" not in said.err  # there is no run here that could be


@pytest.mark.parametrize("metric", ["map", "ndcg@10"])  # ndcg@10 has no values by query
def test_a_run_that_was_changed_before_it_was_packed_is_found(
    runs: Path, tmp_path: Path, metric: str
) -> None:
    run = shutil.copytree(next(runs.glob("hybrid-*-s0-*")), tmp_path / "run")
    path = run / "evaluate" / "embedded" / "metrics.json"
    tree = json.loads(path.read_text())
    tree["settings"]["mono"][metric] = 0.99
    path.write_text(json.dumps(tree))
    said = hbr("compare", run, "--metrics", metric, "--bundle", tmp_path / "a.tar")
    assert said.code == 0, said.err
    said = check(tmp_path / "a.tar")
    assert (said.code, f"settings/mono/{metric}: says 0.99" in said.out) == (1, True)


# What is no bundle


def test_what_is_no_bundle_is_a_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("not a tar\n" * 100)
    (tmp_path / "empty.tar").write_text("")
    write(tmp_path / "other.tar", {"a.txt": b"a"}, sums=False)
    write(tmp_path / "sums.tar", {"report.json": b"{", "request.json": b"{}"}, sums=True)
    for name in ("text.tar", "empty.tar", "other.tar", "sums.tar", "gone.tar", "."):
        said = check(tmp_path / name)
        assert (said.code, said.out) == (2, ""), name
        assert "is no bundle of `hbr compare --bundle`" in said.err, name


@pytest.mark.parametrize(
    "held",
    [
        {"report.json": b"{}", "request.json": b"{}"},
        {"report.json": b"[]", "request.json": b"[]"},
        {"report.json": b"{}", "request.json": b'{"results": [["a", "embedded"]], "options": {}}'},
    ],
)
def test_a_bundle_of_another_make_is_a_users_mistake(tmp_path: Path, held: Content) -> None:
    said = check(write(tmp_path / "a.tar", held, sums=True))
    assert said.code in (1, 2)
    assert "a bug?" not in said.err
    assert str(tmp_path / "a.tar") in said.err


def test_checksums_that_cannot_be_read_are_a_users_mistake(bundle: Path, tmp_path: Path) -> None:
    held = content(bundle) | {"SHA256SUMS": b"what\n"}
    said = check(write(tmp_path / "a.tar", held, sums=False))
    assert said.code in (1, 2)
    assert "a bug?" not in said.err


@pytest.mark.parametrize("name", ["../escaped.txt", "/tmp/hbr-escaped.txt", "runs/../../x.txt"])
def test_a_member_that_points_outside_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    held = content(bundle) | {name: b"escaped"}
    said = check(write(tmp_path / "a.tar", held, sums=True))
    assert said.code in (1, 2)
    assert said.out == "" or "holds" not in said.out
    assert not Path("/tmp/hbr-escaped.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar"]


def test_a_link_that_points_outside_is_refused(bundle: Path, tmp_path: Path) -> None:
    held = content(bundle)
    (tmp_path / "secret").write_text("secret")
    name = one(held, "log.jsonl")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for member_name, data in held.items():
            member = tarfile.TarInfo(member_name)
            if member_name == name:
                member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
                tar.addfile(member)
                continue
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    said = check(tmp_path / "a.tar")
    assert (said.code, said.out) == (2, "")
    assert "is no bundle" in said.err


def test_a_bundle_is_written_whole_or_not_at_all(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hbr.experiments.bundles.replace_synced", full)
    said = pack(tmp_path / "a.tar", next(runs.iterdir()))
    assert (said.code, "no space left" in said.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def number_for_a_pair(held: Content) -> None:
    changed_json(held, "metrics.json", lambda tree: tree["by_pair"].update({"th->de": 5}))


def text_for_inputs(held: Content) -> None:
    changed_json(held, "manifest.json", lambda tree: tree["stages"]["train"].update(inputs="x"))


def list_for_versions(held: Content) -> None:
    def change(tree: Any) -> None:
        tree["stages"]["encode/embedded"]["versions"] = []

    changed_json(held, "manifest.json", change)


def object_for_a_baseline(held: Content) -> None:
    changed_json(held, "request.json", lambda tree: tree["options"].update(baseline={}))


def text_for_strict(held: Content) -> None:
    changed_json(held, "request.json", lambda tree: tree["options"].update(strict="../x"))


def digest_of_another_file(held: Content) -> None:
    def change(tree: Any) -> None:
        entry = tree["stages"]["evaluate/embedded"]
        entry["files"] = {"evaluate/embedded/metrics.json": "0" * 64}

    changed_json(held, "manifest.json", change)


def settings_that_were_not_trained(held: Content) -> None:
    changed_json(held, "manifest.json", lambda t: t["stages"]["train"].update(settings={"seed": 9}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (number_for_a_pair, "metrics.json is missing or damaged"),
        (text_for_inputs, "manifest.json is damaged"),
        (list_for_versions, "manifest.json is damaged"),
        (object_for_a_baseline, "is no bundle of"),
        (text_for_strict, "is no bundle of"),
        (digest_of_another_file, "metrics.json is not what was written there"),
        (settings_that_were_not_trained, "config.yaml says seed = "),
    ],
)
def test_what_contradicts_itself_or_is_of_another_type_is_named(
    bundle: Path, tmp_path: Path, change: Callable[[Content], None], told: str
) -> None:
    held = content(bundle)
    change(held)
    said = check(write(tmp_path / "b.tar", held, sums=True))
    assert said.code in (1, 2)
    assert told in said.err + said.out
