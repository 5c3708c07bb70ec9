"""Training: resumed to the byte, the same on two ranks, stopped before it does harm."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from hbr.core.store import Store
from tests.support import Said, beside, hbr, log_of, only_run

SMALL = [
    *("train", "--sampler", "hybrid", "--steps", "60", "--batch-size", "32", "--device", "cpu"),
    *("--set", "save_steps=7", "--set", "eval_steps=10", "--set", "logging_steps=1"),
]
DIVERGING = ["--lr", "1e6", "--set", "weight_decay=1e6"]  # weights grow 10¹² times in a step
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]  # on any free port
TWO_RANKS = [*TORCHRUN, "--nproc-per-node", "2", "-m", "hbr"]
THREE_RANKS = [*TORCHRUN, "--nproc-per-node", "3", "-m", "hbr"]


def train(world: Path, folder: Path, *words: object) -> Said:
    return hbr(*SMALL, "--output-dir", beside(world, folder), *words)


def killed_at(
    step: int, command: list[str], folder: Path, by: signal.Signals = signal.SIGKILL
) -> int:
    """Start a command, send it a signal once its log has so many lines; give its exit code."""
    with subprocess.Popen(command, env=ONE_THREAD, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            logs = list(folder.glob("*/.train.*.partial/log.jsonl"))
            if any(len(log.read_bytes().splitlines()) >= step for log in logs):
                process.send_signal(by)
                process.wait(60)
            time.sleep(0.002)
    return process.returncode


@pytest.mark.slow
def test_told_to_go_a_run_saves_at_the_next_step_and_ends_in_the_same_bytes(
    world: Path, tmp_path: Path
) -> None:
    whole, broken = beside(world, tmp_path / "whole"), beside(world, tmp_path / "broken")
    words = [*SMALL, "--set", "save_steps=1000", "--set", "eval_steps=8", "--steps", "40"]
    command = [sys.executable, "-m", "hbr", *words, "--output-dir"]
    subprocess.run([*command, str(whole)], env=ONE_THREAD, check=True, capture_output=True)
    for step, by, code in (
        (8, signal.SIGUSR2, 75),
        (17, signal.SIGTERM, 75),
        (29, signal.SIGINT, 130),
    ):
        assert killed_at(step, [*command, str(broken)], broken, by) == code
        made = len(log_of_partial(only_run(broken)))
        assert made >= step
    done = subprocess.run(
        [*command, str(broken)], env=ONE_THREAD, check=True, capture_output=True, text=True
    )
    assert "goes on from step" in done.stderr
    one, other = only_run(whole), only_run(broken)
    assert log_of(one) == log_of(other)
    weights = Path("model/model.safetensors")
    assert (one / weights).read_bytes() == (other / weights).read_bytes()


def log_of_partial(run: Path) -> list[bytes]:
    (folder,) = Store(run).partials("train")
    return (folder / "log.jsonl").read_bytes().splitlines()


def objective(name: str, **settings: object) -> list[str]:
    """Say an objective and its settings on the command line."""
    chosen = {"objective.name": name} | settings
    return [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]


ROBUST = {
    "adversarial": objective("adversarial", ascent_steps=2, start="random", average="true"),
    "smoothing": objective("smoothing", swap=0.3),
    "language-adversarial": objective("language-adversarial"),
    "language-contrastive": objective("language-contrastive", symmetric="true"),
}
MINED = ["--set", "train.hard_negatives=mined", "--set", "mine.pool=pivot"]
TWO = {"objective.num_negatives": 2}
GUIDED = {"guide": "relative", "guide_margin": 0.05, "mini_batch_size": 5}
TAUGHT = {
    "mined": MINED + objective("infonce", negative_language="any", **TWO, **GUIDED),
    "distill-kl": MINED + objective("distill-kl", mini_batch_size=5, infonce_weight=0.5, **TWO),
    "margin-mse": MINED + objective("margin-mse", negative_language="query", **TWO),
    "embedding-mse": objective("embedding-mse", infonce_weight=0.1),
}
WAYS = ROBUST | TAUGHT | {"infonce": [], "lora": ["--set", "adapter=lora"]}
SMALLER = {
    "bf16-weights": ["--set", "train.precision=bf16-weights"],
    "adamw_8bit": ["--set", "train.optimizer=adamw_8bit"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS | SMALLER)
def test_killed_at_any_step_a_run_ends_in_the_same_bytes(
    world: Path, tmp_path: Path, name: str
) -> None:
    whole, broken = beside(world, tmp_path / "whole"), beside(world, tmp_path / "broken")
    if name == "adamw_8bit":
        pytest.importorskip("bitsandbytes", reason="needs hbr[bnb]")
    own, steps = (WAYS | SMALLER)[name], 60 if name == "infonce" else 20
    command = [sys.executable, "-m", "hbr", *SMALL, *own, "--steps", str(steps), "--output-dir"]
    subprocess.run([*command, str(whole)], env=ONE_THREAD, check=True, capture_output=True)
    seed = random.randrange(1000)
    print("steps from seed", seed)
    for step in sorted(random.Random(seed).sample(range(1, steps), steps // 20)):
        assert killed_at(step, [*command, str(broken)], broken) == -9
    done = subprocess.run(
        [*command, str(broken)], env=ONE_THREAD, check=True, capture_output=True, text=True
    )
    assert "taking over from process" in done.stderr
    one, other = only_run(whole), only_run(broken)
    files = sorted(path.relative_to(one) for path in (one / "model").rglob("*") if path.is_file())
    assert Path("model/model.safetensors") in files
    for file in files:
        assert (one / file).read_bytes() == (other / file).read_bytes(), file
    assert log_of(one) == log_of(other)
    assert [line["step"] for line in log_of(one) if "loss" in line] == list(range(1, steps + 1))


CHUNKS = ["--set", "mini_batch_size=8"]  # as many texts in a chunk on one rank and on two
IN_CHUNKS = {
    "dropout": [*CHUNKS, "--set", "attention_dropout=0.2", "--lr", "3e-5"],
    "much": [
        *CHUNKS,
        *("--set", "attention_dropout=0.2", "--set", "gradient_checkpointing=true"),
        *("--set", "matryoshka_dims=64,16", "--set", "gradient_accumulation_steps=2"),
        *("--set", "train.unpadded=false", "--set", "adapter=lora"),
    ],
    "whole vocabulary": ["--set", "trim_vocabulary=false"],
}


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", WAYS | IN_CHUNKS)
def test_two_ranks_train_what_one_process_trains(
    world: Path, tmp_path: Path, name: str, parallel: str
) -> None:
    """At a small learning rate: Adam blows rounding up where a gradient is all but zero."""
    steps = "50" if name in ("infonce", "dropout") else "15"
    words = ["--encoder", "mbert-tiny", "--lr", "1e-4", "--steps", steps, "--seed", "3"]
    words += (WAYS | IN_CHUNKS)[name] + ["--set", f"parallel={parallel}"]
    assert train(world, tmp_path / "one", *words).code == 0
    two = beside(world, tmp_path / "two")
    command = [*TWO_RANKS, *SMALL, *words, "--output-dir", str(two)]
    done = subprocess.run(command, env=ONE_THREAD, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    runs = [only_run(tmp_path / name) for name in ("one", "two")]
    weights = [load_file(run / "model" / "model.safetensors") for run in runs]
    assert weights[0].keys() == weights[1].keys()
    far = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    assert far < 1e-5
    manifests = [json.loads((run / "manifest.json").read_text())["stages"]["train"] for run in runs]
    assert [manifest["ranks"] for manifest in manifests] == [1, 2]
    assert [manifest["parallel"] for manifest in manifests] == [None, parallel]
    assert manifests[0]["plan"] == manifests[1]["plan"]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [TWO_RANKS, THREE_RANKS], ids=["two", "three"])
def test_ranks_encode_and_rank_what_one_process_does(
    world: Path, tmp_path: Path, ranks: list[str]
) -> None:
    one, two = (beside(world, tmp_path / name) for name in ("one", "several"))
    untrained = ["train", "--sampler", "untrained", "--encoder", "mbert-tiny", "--output-dir"]
    small = ["--set", "encode.shard_size=500", "--set", "memory_mb=1", "--output-dir"]  # streamed
    assert hbr(*untrained, one).code == hbr(*untrained, two).code == 0
    assert hbr("evaluate", *small, one).code == 0
    done = subprocess.run(
        [*ranks, "evaluate", *small, str(two)],
        env=ONE_THREAD,
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout.count("mono") == 1  # rank 0 alone speaks
    runs = [only_run(folder) for folder in (one, two)]
    shards = [sorted(p.name for p in (run / "encode/embedded").glob("*.npy")) for run in runs]
    assert shards[0] == shards[1]
    assert len(shards[0]) > 10
    for name in shards[0]:
        assert len({(run / "encode/embedded" / name).read_bytes() for run in runs}) == 1, name
    results = [json.loads((run / "evaluate/embedded/metrics.json").read_text()) for run in runs]
    assert results[0] == results[1]


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    world: Path, tmp_path: Path
) -> None:
    said = train(world, tmp_path, *DIVERGING)
    assert said.code == 1
    assert "the loss or its gradient is not finite at step" in said.err
    assert "in rows train-" in said.err
    assert "Traceback" not in said.err
    assert not (only_run(tmp_path) / "model").exists()


def test_the_checkpoint_of_another_encoder_is_refused(world: Path, tmp_path: Path) -> None:
    said = train(world, tmp_path, *DIVERGING)
    assert said.code == 1

    def path() -> Path:
        folder = Store(only_run(tmp_path)).partials("train")[0] / "checkpoint-last"
        folder.mkdir(exist_ok=True)
        return folder / "state.safetensors"

    import torch

    other = {"model/backbone.other.weight": torch.zeros(2, 2)}
    counters = {"step": 1, "best": 1.0, "best_step": 0, "since_best": 0, "log_bytes": 0}
    save_file(other, path(), {"counters": json.dumps(counters)})
    said = train(world, tmp_path, *DIVERGING)
    assert (said.code, "is the checkpoint of another encoder" in said.err) == (2, True)
    path().write_bytes(b"cut short")
    said = train(world, tmp_path, *DIVERGING)
    assert (said.code, "state.safetensors is damaged" in said.err) == (2, True)


@pytest.mark.parametrize("name", ["infonce", *ROBUST])
def test_gradient_cache_and_accumulation_train(world: Path, tmp_path: Path, name: str) -> None:
    own = ROBUST.get(name, [])
    plain = train(world, tmp_path / "plain", "--steps", "5", *own)
    cached = train(world, tmp_path / "cached", "--steps", "5", "--set", "mini_batch_size=5", *own)
    assert plain.code == cached.code == 0
    losses = [
        [line["loss"] for line in log_of(only_run(tmp_path / name)) if "loss" in line]
        for name in ("plain", "cached")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    more = train(
        world, tmp_path / "more", "--steps", "3", "--set", "gradient_accumulation_steps=2", *own
    )
    assert more.code == 0
    assert json.loads((only_run(tmp_path / "more") / "manifest.json").read_text())["stages"][
        "train"
    ]["pairs"] == (3 * 2 * 32)


@pytest.mark.parametrize("name", ["infonce", *ROBUST])
def test_without_padding_a_run_goes_the_same_way(world: Path, tmp_path: Path, name: str) -> None:
    losses = []
    for on in ("true", "false"):
        words = ["--steps", "5", "--set", f"train.unpadded={on}", *ROBUST.get(name, [])]
        assert train(world, tmp_path / on, *words).code == 0
        run = only_run(tmp_path / on)
        told = json.loads((run / "manifest.json").read_text())["stages"]["train"]
        assert told["unpadded"] == (on == "true")
        losses.append([line["loss"] for line in log_of(run) if "loss" in line])
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
    assert losses[0][0] == pytest.approx(losses[1][0], abs=1e-5)


def test_attention_dropout_is_set_for_training_alone(world: Path, tmp_path: Path) -> None:
    first, saved = {}, set()
    for share in ("null", "0.0", "0.5"):
        words = ["--steps", "1", "--set", f"attention_dropout={share}"]
        assert train(world, tmp_path / share, *words).code == 0
        run = only_run(tmp_path / share)
        first[share] = log_of(run)[0]["loss"]
        saved.add((run / "model" / "config.json").read_text())
    assert first["null"] == first["0.0"]  # tiny encoders have none of their own
    assert abs(first["0.5"] - first["0.0"]) > 1e-5
    assert len(saved) == 1


def test_patience_ends_a_run_early_and_keeps_the_best_encoder(world: Path, tmp_path: Path) -> None:
    words = [
        "--lr",
        "0.5",
        "--set",
        "eval_steps=2",
        "--set",
        "early_stopping_patience=2",
        "--set",
        "max_grad_norm=1e6",
    ]
    said = train(world, tmp_path, *words, "--json")
    assert said.code == 0
    entry = json.loads(said.out)
    assert entry["steps"] == entry["best_step"] + 4 < 60
    kept = [line for line in log_of(only_run(tmp_path)) if line.get("best")]
    assert kept[-1]["step"] == entry["best_step"]


@pytest.mark.parametrize("name", ["infonce", *ROBUST])
def test_bfloat16_trains_close_to_float32(world: Path, tmp_path: Path, name: str) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        words = ["--steps", "5", "--set", f"train.precision={precision}", *ROBUST.get(name, [])]
        assert train(world, tmp_path / precision, *words).code == 0
        losses.append(
            [line["loss"] for line in log_of(only_run(tmp_path / precision)) if "loss" in line]
        )
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert losses[0] != losses[1]


def test_given_negatives_are_used_and_make_the_task_harder(world: Path, tmp_path: Path) -> None:
    from hbr.data import synthetic

    rows = list(synthetic.rows("validation"))
    file = tmp_path / "pairs.jsonl"
    with file.open("w", encoding="utf-8") as lines:
        for row, other in zip(rows, rows[5:] + rows[:5], strict=True):
            negatives = {lang: [text] for lang, text in other["passage"].items()}
            lines.write(json.dumps({**row, "negatives": negatives}, ensure_ascii=False) + "\n")
    first = {}
    for used in (0, 1):
        words = ["--data", file, "--steps", "1", "--set", f"objective.num_negatives={used}"]
        assert train(world, tmp_path / str(used), *words).code == 0
        first[used] = log_of(only_run(tmp_path / str(used)))[0]["loss"]
    assert first[1] > first[0]


def test_negatives_that_few_rows_have_train_too(world: Path, tmp_path: Path) -> None:
    from hbr.data import synthetic

    rows = list(synthetic.rows("validation"))
    rows[0]["negatives"] = {"qaa": ["Ri luli Sasal."]}
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = train(world, tmp_path / "runs", "--data", file, "--steps", "4")
    assert said.code == 0, said.err


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("adversarial", {"clean", "adversarial"}),
        ("smoothing", set()),
        ("language-adversarial", {"clean", "language", "reversal"}),
        ("language-contrastive", {"clean", "semantic", "language"}),
    ],
)
def test_the_log_tells_the_parts_of_a_loss_and_the_encoder_keeps_its_weights_alone(
    world: Path, tmp_path: Path, name: str, parts: set[str]
) -> None:
    for folder, words in (("plain", []), ("own", ROBUST[name])):
        words = [*words, "--steps", "6", "--keep-checkpoint"]
        assert train(world, tmp_path / folder, *words).code == 0
    own, plain = only_run(tmp_path / "own"), only_run(tmp_path / "plain")
    lines = [line for line in log_of(own) if "loss" in line]
    assert set(lines[0]) - set(log_of(plain)[0]) == parts
    if name == "adversarial":
        assert all(line["loss"] == line["clean"] + line["adversarial"] for line in lines)
        assert lines[0]["adversarial"] > lines[0]["clean"] == log_of(plain)[0]["loss"]
    weights = [load_file(run / "model" / "model.safetensors") for run in (own, plain)]
    assert weights[0].keys() == weights[1].keys()
    kept = load_file(own / "train" / "checkpoint-last" / "state.safetensors")
    assert any(key.startswith("head/") for key in kept) == (name == "language-adversarial")


def test_the_classifier_learns_the_languages_where_nothing_is_reversed(
    world: Path, tmp_path: Path
) -> None:
    words = objective("language-adversarial", weight=1e-6, classifier_learning_rate=1e-2)
    assert train(world, tmp_path, *words, "--sampler", "mixed").code == 0
    told = [line["language"] for line in log_of(only_run(tmp_path)) if "language" in line]
    assert told[0] > 1.9
    assert told[-1] < 1


def test_a_loss_of_ones_own_trains_as_it_is_and_symmetric(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_losses.py").write_text(
        "import hbr.training.losses\nimport hbr.training.objectives\n\n\n"
        "def mine(queries, passages, negatives=None, *, mask=None, temperature=0.05):\n"
        "    known = {'mask': mask, 'temperature': temperature}\n"
        "    return 2 * hbr.training.losses.info_nce(queries, passages, negatives, **known)\n\n\n"
        "MINE = hbr.training.objectives.Objective('mine', loss=mine)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    first = {}
    for name in ("infonce", "own_losses:MINE"):
        for on in ("false", "true"):
            folder = tmp_path / f"{name.partition(':')[0]}-{on}"
            said = train(world, folder, "--steps", "2", *objective(name, symmetric=on))
            assert said.code == 0, said.err
            first[name, on] = log_of(only_run(folder))[0]["loss"]
    for on in ("false", "true"):
        assert first["own_losses:MINE", on] == pytest.approx(2 * first["infonce", on])
    assert first["infonce", "true"] != pytest.approx(first["infonce", "false"], abs=1e-4)


def test_up_to_date_nothing_is_written_but_a_card_that_a_kill_has_left_out(
    world: Path, tmp_path: Path
) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")}

    assert train(world, tmp_path, "--steps", "2").code == 0
    card, before = only_run(tmp_path) / "model" / "README.md", state()
    assert "up to date" in train(world, tmp_path, "--steps", "2").err
    assert state() == before
    text = card.read_text("utf-8")
    card.unlink()
    assert "up to date" in train(world, tmp_path, "--steps", "2").err
    assert card.read_text("utf-8") == text


def test_in_an_ascii_locale_settings_stay_as_they_are(world: Path, tmp_path: Path) -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    ascii_locale = ours | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = ["train", "--untrained", "--set", "query_prompt=Frage é 質問: ", "--output-dir"]
    command = [sys.executable, "-m", "hbr", *words, str(beside(world, tmp_path))]
    for said in (b"", b"up to date"):
        done = subprocess.run(command, env=ascii_locale, capture_output=True, check=True)
        assert said in done.stderr
    assert "Frage é 質問: " in (only_run(tmp_path) / "config.yaml").read_text("utf-8")


def test_no_resume_starts_from_nothing(world: Path, tmp_path: Path) -> None:
    assert train(world, tmp_path, *DIVERGING).code == 1
    left = Store(only_run(tmp_path)).partials("train")[0] / "checkpoint-last"
    left.mkdir(exist_ok=True)
    (left / "state.safetensors").write_bytes(b"damaged")
    said = train(world, tmp_path, *DIVERGING)
    assert "start again with `hbr train -C RUN/config.yaml --no-resume`" in said.err
    said = train(world, tmp_path, *DIVERGING, "--no-resume")
    assert "is not finite" in said.err


def test_the_log_tells_loss_rate_mode_and_masked_share_and_tensorboard_too(
    world: Path, tmp_path: Path
) -> None:
    assert train(world, tmp_path, "--steps", "4").code == 0
    run = only_run(tmp_path)
    record = json.loads((run / "train" / "log.jsonl").read_text().splitlines()[0])
    mode = f"loss_mean {record['mode']}"
    means, speeds = {"loss_mean", mode}, {"pairs_per_s", "tokens_per_s"}
    assert set(record) == {"step", "loss", "lr", "norm", "mode", "masked"} | means | speeds
    assert record["loss"] == record["loss_mean"] == record[mode]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "train" / "tensorboard")).Reload()
    assert {"loss", "lr", "masked", "pairs_per_s", "monolingual", "validation_loss"} <= set(
        events.Tags()["scalars"]
    )


@pytest.mark.slow
def test_a_compiled_run_trains_close_to_a_plain_one(world: Path, tmp_path: Path) -> None:
    losses = []
    for on in ("false", "true"):
        words = ["--steps", "3", "--set", f"torch_compile={on}", "--set", "validation=null"]
        said = train(world, tmp_path / on, *words)
        assert said.code == 0, said.err
        losses.append([line["loss"] for line in log_of(only_run(tmp_path / on))])
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
