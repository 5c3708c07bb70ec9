"""What the manifest calls done is whole, whenever the process was killed."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from hbr.core import lease as core_lease
from hbr.core import provenance
from hbr.core import store as core_store
from hbr.core.digests import fingerprint, tree_digest
from hbr.core.errors import UserError
from hbr.core.files import write_atomic, write_through
from hbr.core.lease import InUse, lease
from hbr.core.store import Store, entry_of
from hbr.experiments.bundles import write_bundle

ROOT = Path(__file__).resolve().parents[2]
FILES = ("log", "a", "b", "model/weights")
TOUCHING = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}


def writing(version: str):
    """A stage that writes its version into every file."""

    def make(folder: Path) -> dict:
        for name in FILES:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(version)
        return {"said": version}

    return make


def build(store: Store, version: str, products: tuple[str, ...] = ("model",), **options) -> bool:
    return store.build(
        "train", writing(version), settings={"version": version}, products=products, **options
    )


def check_whole(store: Store, products: tuple[str, ...] = ("model",)) -> str | None:
    """Assert that what the manifest calls done is whole; give its version."""
    entry = store.entries().get("train")
    if entry is None:
        return None
    version = entry["settings"]["version"]
    top = store.path if products else store.path / "train"
    found = [store.path / "train" / n for n in FILES[:-1]] + [top / FILES[-1]]
    assert [path.read_text() for path in found] == [version] * len(FILES)
    assert (entry["state"], entry["said"]) == ("done", version)
    return version


def leftovers(store: Store) -> list[str]:
    return sorted(p.name for p in store.path.iterdir() if p.name.endswith((".partial", ".old")))


def serve() -> None:
    """Build what stdin asks for in children that are killed before their n-th touch of the disk.

    Runs in a process of its own: a small one forks quickly and has no threads.
    """
    os.fsync = lambda handle: None
    with tempfile.TemporaryDirectory() as warm:
        build(Store(Path(warm)), "A")  # what is cached is not counted below
    for line in sys.stdin:
        step, path, version, options = json.loads(line)
        print(json.dumps(_dies(step, Store(Path(path)), version, options)), flush=True)


def _dies(step: int, store: Store, version: str, options: dict) -> bool:
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, 9), "the build failed of itself"
        return code == 9
    touched = 0

    def count(event: str, _arguments: tuple) -> None:
        nonlocal touched
        touched += event in TOUCHING
        if touched == step:
            os._exit(9)

    try:
        if not options.pop("exchange", True):
            core_store.exchange = lambda *_: False  # as on some network file systems
        sys.addaudithook(count)
        build(store, version, **options)
    except BaseException:
        os._exit(1)
    os._exit(0)


@pytest.fixture(scope="module")
def die_at():
    """Build a version in a process that is killed at some step; say whether it came so far."""
    command = [sys.executable, "-c", "from tests.core.test_store import serve; serve()"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:

        def die(step: int, store: Store, version: str, **options) -> bool:
            line = json.dumps([step, str(store.path), version, options])
            print(line, file=server.stdin, flush=True)
            return json.loads(server.stdout.readline())

        yield die
        server.stdin.close()


@pytest.fixture
def hurried(monkeypatch) -> None:
    """No waiting for the disk: a kill, unlike a power cut, loses nothing written."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(core_lease, "NAMELESS", 0.01)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "run")


def test_equal_values_have_equal_fingerprints():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": (2,), "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
    assert len(fingerprint("é", 6)) == 6


def test_a_digest_of_a_tree_knows_names_and_bytes_but_not_hidden_files(tmp_path):
    (tmp_path / "a").write_text("1")
    one = tree_digest(tmp_path)
    (tmp_path / ".hidden").write_text("x")
    assert tree_digest(tmp_path) == one
    (tmp_path / "a").rename(tmp_path / "b")
    other = tree_digest(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({one, other, tree_digest(tmp_path)}) == 3


def test_a_stage_is_done_once(store):
    assert build(store, "A") is True
    assert build(store, "A") is False
    assert check_whole(store) == "A"
    assert leftovers(store) == []


def test_an_entry_says_what_was_done_from_what_and_with_what(store):
    store.build("encode/x", writing("A"), settings={"k": 1}, inputs={"model": "id0"})
    entry = store.entries()["encode/x"]
    assert (entry["settings"], entry["inputs"]) == ({"k": 1}, {"model": "id0"})
    wanted = {"state", "id", "key", "versions", "commit", "host", "seconds", "peak_memory_mb"}
    assert wanted <= set(entry)
    assert (store.path / "encode" / "x" / "log").read_text() == "A"


def test_changed_settings_or_inputs_make_a_stage_stale(store):
    def again(settings: dict, inputs: dict) -> bool:
        return store.build("train", writing("A"), settings=settings, inputs=inputs)

    assert again({"lr": 1}, {"rows": "x"})
    assert not store.is_current("train", {"lr": 2}, {"rows": "x"})
    assert not store.is_current("train", {"lr": 1}, {"rows": "y"})
    assert again({"lr": 2}, {"rows": "x"})
    assert again({"lr": 2}, {"rows": "y"})
    assert not again({"lr": 2}, {"rows": "y"})


def test_force_does_a_finished_stage_again(store):
    build(store, "A")
    assert build(store, "A", force=True)
    assert check_whole(store) == "A"


def test_products_stand_at_the_top_and_replace_older_ones(store):
    build(store, "A")
    (store.path / "model" / "older").write_text("")
    build(store, "B")
    assert [p.name for p in (store.path / "model").iterdir()] == ["weights"]
    assert not (store.path / "train" / "model").exists()


def test_stages_of_one_store_do_not_disturb_each_other(store):
    build(store, "A")
    store.build("encode", writing("A"), settings={})
    build(store, "B")
    assert set(store.entries()) == {"train", "encode"}


def test_equal_content_has_an_equal_completion_id(tmp_path):
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    build(one, "A")
    build(other, "A")
    assert one.completion("train") == other.completion("train")
    build(other, "B")
    assert one.completion("train") != other.completion("train")


def test_a_stage_may_name_its_own_completion_id(store):
    store.build("train", lambda _: {"id": "mine"}, settings={})
    assert store.completion("train") == "mine"


def test_the_completion_of_an_unfinished_stage_is_a_users_mistake(store):
    with pytest.raises(UserError, match="'train' has not been done"):
        store.completion("train")


def stop(folder: Path) -> None:
    (folder / "checkpoint").write_text("half")
    raise KeyboardInterrupt


def test_what_a_killed_attempt_left_is_handed_to_the_next_with_the_same_key(store):
    with pytest.raises(KeyboardInterrupt):
        store.build("train", stop, settings={"version": "A"})
    assert store.entries() == {}
    seen = []
    store.build("train", lambda f: seen.extend(f.glob("*point")), settings={"version": "A"})
    assert [path.name for path in seen] == ["checkpoint"]


def test_what_a_killed_attempt_left_is_wiped_for_another_key(store):
    with pytest.raises(KeyboardInterrupt):
        store.build("train", stop, settings={"version": "A"})
    seen = []
    store.build("train", lambda f: seen.extend(f.glob("*point")), settings={"version": "B"})
    assert seen == []
    assert not (store.path / "train" / "checkpoint").exists()


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(("then", "force"), [("B", False), ("A", False), ("C", False), ("B", True)])
def test_killed_at_any_instant_the_next_build_ends_whole(tmp_path, die_at, then, force):
    """Version A is there, B is being built and killed; then B, A again, or another is built."""
    wrong, step, killed = [], 0, True
    while killed:
        step += 1
        store = Store(tmp_path / f"{step}")
        build(store, "A")
        killed = die_at(step, store, "B")
        try:
            check_whole(store)
            build(store, then, force=force)
            assert check_whole(store) == then
        except (AssertionError, OSError) as error:
            wrong.append((step, str(error).splitlines()[0]))
    assert step > 20
    assert not wrong


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize(("then", "force"), [("B", False), ("A", False), ("A", True)])
def test_killed_at_any_instant_a_stage_of_one_folder_is_the_old_or_the_new_one(
    tmp_path, die_at, then, force, exchange
):
    """As above, and what the folder says of itself is what it holds, at any instant."""
    wrong, step, killed = [], 0, True
    while killed:
        step += 1
        store = Store(tmp_path / f"{step}")
        build(store, "A", ())
        options = {"products": (), "force": force, "exchange": exchange}
        killed = die_at(step, store, "A" if force else "B", **options)
        try:
            if entry := entry_of(store.path / "train"):
                assert (store.path / "train" / "log").read_text() == entry["said"]
            assert exchange <= bool(entry)
            build(store, then, (), force=force)
            assert check_whole(store, ()) == then
            assert leftovers(store) == [] or then == "A"
        except (AssertionError, OSError) as error:
            wrong.append((step, str(error).splitlines()[0]))
    assert step > 20
    assert not wrong


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("products", [(), ("model",)])
@pytest.mark.parametrize("exchange", [True, False])
def test_a_reader_beside_a_writer_sees_the_old_version_or_the_new_one(
    store, monkeypatch, products, exchange
):
    if not exchange:
        monkeypatch.setattr(core_store, "exchange", lambda *_: False)
    build(store, "A", products)
    ended = threading.Event()

    def write() -> None:
        for version in "BABABABABABABABA":
            build(store, version, products)
            time.sleep(0.01)  # a reader beside a writer without a pause would wait for its end
        ended.set()

    def read(entries: dict) -> set[str]:
        if "train" not in entries:
            raise UserError("has no results")
        try:
            log = (store.path / "train" / "log").read_text()
        except FileNotFoundError:
            raise UserError("is damaged") from None
        return {log, entries["train"]["said"]}

    writer, seen = threading.Thread(target=write), []
    writer.start()
    while not ended.is_set():
        seen.append(store.read(["train"], read))
    writer.join()
    assert all(len(versions) == 1 for versions in seen)
    assert len(seen) > 3


def test_a_reader_is_told_at_once_that_nothing_is_there(store):
    def read(entries: dict) -> None:
        raise UserError(f"{len(entries)} stages")

    begun = time.monotonic()
    with pytest.raises(UserError, match="0 stages"):
        store.read(["train"], read)
    assert time.monotonic() - begun < 0.5


def test_published_files_have_the_rights_of_the_umask(store):
    def private(folder: Path) -> None:
        (folder / "weights").write_text("1")
        (folder / "weights").chmod(0o600)  # as safetensors makes them

    before = os.umask(0o027)
    try:
        store.build("train", private, settings={})
    finally:
        os.umask(before)
    assert (store.path / "train" / "weights").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("script", ["#!/bin/sh\nsleep 30\n", None])
def test_a_git_that_is_slow_or_absent_holds_up_no_stage(store, monkeypatch, tmp_path, script):
    monkeypatch.setenv("PATH", str(tmp_path))
    if script:
        (tmp_path / "git").write_text(script.replace("sleep", shutil.which("sleep", path="/bin")))
        (tmp_path / "git").chmod(0o755)
    provenance._commit.cache_clear()
    begun = time.monotonic()
    build(store, "A")
    provenance._commit.cache_clear()
    assert time.monotonic() - begun < 5
    assert store.entries()["train"]["commit"] == "unknown"


@pytest.mark.usefixtures("hurried")
def test_killed_at_any_instant_the_next_build_leaves_no_old_version_behind(tmp_path, die_at):
    left, step, killed = {}, 0, True
    while killed:
        step += 1
        store = Store(tmp_path / f"{step}")
        build(store, "A")
        killed = die_at(step, store, "B")
        build(store, "B")
        if found := leftovers(store):
            left[step] = found
    assert not left


@pytest.mark.usefixtures("hurried")
def test_killed_while_a_whole_attempt_is_wiped_it_is_not_taken_for_whole(tmp_path, die_at):
    """B is ready but unpublished; C wipes it and is killed; B is asked for again."""

    def leaves_ready(store: Store, step: int) -> bool:
        die_at(step, store, "B")
        return any((p / ".stage.json").exists() for p in store.partials("train"))

    ready = next(n for n in range(1, 99) if leaves_ready(Store(tmp_path / f"probe{n}"), n))
    wrong, step, killed = [], 0, True
    while killed:
        step += 1
        store = Store(tmp_path / f"{step}")
        assert leaves_ready(store, ready)
        killed = die_at(step, store, "C")
        try:
            build(store, "B")
            assert check_whole(store) == "B"
        except (AssertionError, OSError) as error:
            wrong.append((step, str(error).splitlines()[0]))
    assert not wrong


def test_a_full_disk_while_the_stage_is_made_leaves_the_old_one(store):
    build(store, "A")

    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        store.build("train", full, settings={"version": "B"}, products=("model",))
    assert check_whole(store) == "A"
    assert build(store, "B")
    assert check_whole(store) == "B"


def test_a_full_disk_at_any_sync_leaves_a_whole_stage_or_one_that_is_finished_next(
    tmp_path, monkeypatch
):
    sync, left = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    states = []
    for step in range(1, 99):
        store = Store(tmp_path / f"{step}")
        build(store, "A")
        left = step
        try:
            build(store, "B")
        except OSError:
            states.append(check_whole(store))
        else:
            break
        left = 0
        build(store, "B")
        assert check_whole(store) == "B"
    assert states[: len(FILES) + 2] == ["A"] * (len(FILES) + 2)  # files, then folders
    assert 10 < len(states) < 98


def test_a_full_disk_leaves_the_old_bytes_of_an_atomic_file(tmp_path, monkeypatch):
    write_atomic(tmp_path / "x", "old")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "old"


@pytest.mark.parametrize("content", ["", "{", '{"stage": {}}', "\x00", "[]", "null"])
def test_a_damaged_manifest_is_named_with_the_way_out(store, content):
    build(store, "A")
    (store.path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"manifest\.json is damaged; delete it"):
        store.entries()


def test_a_stage_whose_manifest_was_deleted_is_found_again(store):
    build(store, "A")
    (store.path / "manifest.json").unlink()
    build(store, "A")
    assert check_whole(store) == "A"


HOLD = """
import sys
from pathlib import Path
from hbr.core.lease import lease
from hbr.core.store import Store
def make(folder):
    print("in", flush=True)
    sys.stdin.read()
if sys.argv[2] == "build":
    Store(Path(sys.argv[1])).build("train", make, settings={"version": "A"})
else:
    with lease(Path(sys.argv[1]), wait=False):
        make(None)
"""


@pytest.fixture
def holder(store):
    """Start processes that hold the store until their stdin is closed."""
    started = []

    def hold(how: str = "lock") -> subprocess.Popen:
        command = [sys.executable, "-c", HOLD, str(store.path), how]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "in\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_process_that_does_not_wait_hears_who_is_there(store, holder):
    process = holder()
    with pytest.raises(InUse, match=f"in use by process {process.pid} on "):
        build(store, "A", wait=False)


def test_what_is_up_to_date_needs_no_lock(store, holder):
    build(store, "A")
    holder()
    assert build(store, "A") is False


def test_a_second_process_waits(store, holder, caplog):
    caplog.set_level("INFO", "hbr")
    process = holder()
    threading.Timer(0.2, process.stdin.close).start()
    assert build(store, "A")
    assert check_whole(store) == "A"
    assert f"waiting for process {process.pid} on " in caplog.text
    assert "taking over" not in caplog.text  # the first one ended well


def test_a_process_that_waited_takes_what_the_other_has_made(store, holder):
    process = holder("build")
    threading.Timer(0.2, process.stdin.close).start()
    assert build(store, "A") is False


def test_the_lock_of_a_dead_process_is_taken_over_with_a_word(store, holder, caplog):
    caplog.set_level("INFO", "hbr")
    process = holder()
    process.kill()
    process.wait()
    assert build(store, "A")
    said = caplog.text
    caplog.clear()
    assert f"taking over from process {process.pid} on " in said
    with lease(store.path, wait=False):
        assert caplog.text == ""  # said once


def test_the_manifest_is_plain_json(store):
    build(store, "A")
    manifest = json.loads((store.path / "manifest.json").read_text())
    assert list(manifest) == ["stages"]
    assert list(manifest["stages"]) == ["train"]


def test_a_report_is_written_through_links_and_into_devices(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old", encoding="utf-8")
    (tmp_path / "link").symlink_to("real")
    write_through(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text(encoding="utf-8") == "new"
    write_through(Path("/dev/null"), "new")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(UserError, match="/dev/null is no regular file"):
        write_bundle(Path("/dev/null"), [])
