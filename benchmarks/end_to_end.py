"""One whole job, with `hbr` and by hand: seconds, memory, and lines that a user writes.

    python benchmarks/end_to_end.py --encoder FOLDER --data FOLDER [--steps 28] [--rounds 3]
        [--precision bf16]

Train multilingual-e5-small on parallel rows with monolingual and with cross-lingual batches,
evaluate both within languages, across them and in the pool of all, with language bias, and compare
them. `--data` has `train.jsonl` and a folder `eval` of XQuAD-R's layout. By hand it is
`by_hand.py`: sentence-transformers, pytrec_eval and scipy; precision, batches, rates and lengths
the same. Each is run as a user would, in turns; shown are medians, the least and the most, and the
cores that other processes kept busy. Needs the extras `bench` and `dev`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import side

HERE = Path(__file__).parent
SETTINGS = """\
data: {train: [TRAIN], validation: null}
encoder: {name: ENCODER, query_prompt: "query: ", passage_prompt: "passage: ",
          query_max_seq_length: 128, passage_max_seq_length: 128}
train: {max_steps: STEPS, batch_size: 32, learning_rate: 1.0e-4, precision: PRECISION}
encode: {precision: PRECISION}
"""
COMMANDS = """\
hbr train -C job.yaml --sampler monolingual --output-dir RUNS
hbr train -C job.yaml --sampler cross-lingual --output-dir RUNS
hbr evaluate --run RUNS/monolingual-* --dataset lareqa --source EVAL
hbr evaluate --run RUNS/cross-lingual-* --dataset lareqa --source EVAL
hbr compare RUNS/monolingual-* RUNS/cross-lingual-* --evidence these-encoders
"""


def lines(text: str) -> int:
    """Return how many lines of a text are not blank."""
    return sum(1 for line in text.splitlines() if line.strip())


def ours(args: argparse.Namespace, place: Path) -> str:
    """Return the commands as a script, once the settings are written."""
    values = {"TRAIN": args.data / "train.jsonl", "ENCODER": args.encoder, "STEPS": args.steps}
    values["PRECISION"] = args.precision
    values |= {"EVAL": args.data / "eval", "RUNS": place / "runs"}
    settings, script = SETTINGS, "set -e\n" + COMMANDS
    for name, value in values.items():
        settings, script = settings.replace(name, str(value)), script.replace(name, str(value))
    (place / "job.yaml").write_text(settings)
    return script.replace("job.yaml", str(place / "job.yaml")).replace(
        "hbr ", f"{sys.executable} -m hbr "
    )


def by_hand(args: argparse.Namespace, place: Path) -> str:
    """Return the command that runs the script."""
    words = [sys.executable, HERE / "by_hand.py", args.encoder, args.data / "train.jsonl"]
    return " ".join(map(str, [*words, args.data / "eval", place, args.steps, args.precision]))


def measure(args: argparse.Namespace) -> dict[str, object]:
    """Run one way in a shell; return its turn, the most memory of a process, and what it prints."""
    with tempfile.TemporaryDirectory() as place:
        script = {"hbr": ours, "by hand": by_hand}[args.way](args, Path(place))
        watch = side.Watch()
        done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, text=True, check=True)
        turn = watch.read()
    return {"turn": turn, "mb": side.largest_child_mb(), "printed": done.stdout}


def main() -> None:
    """Run both ways in turns, and print a table and what each found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=28)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args)))
        return
    words = ["--encoder", str(args.encoder.resolve()), "--data", str(args.data.resolve())]
    words += ["--steps", str(args.steps), "--precision", args.precision, "--way"]
    rows: dict[str, list[side.Turn]] = {"by hand": [], "hbr": []}
    memory = {name: {"GB": 0.0} for name in rows}
    printed = {}
    for _ in range(args.rounds):
        for name, turns in rows.items():
            result = side.child([*words, name], "as installed")
            turns.append(side.Turn(*result["turn"]))
            memory[name]["GB"] = max(memory[name]["GB"], result["mb"] / 1e3)
            printed[name] = result["printed"]
    for name, text in printed.items():
        print(f"\n{name}\n{text}")
    side.compare("two encoders trained, evaluated and compared", rows, "by hand", "s")
    side.table("memory of the largest process", memory, "")
    written = {
        "by hand": lines((HERE / "by_hand.py").read_text()),
        "hbr": lines(SETTINGS + COMMANDS),
    }
    print(f"\nlines written: {written}")
    if args.json:
        args.json.write_text(json.dumps({"s": rows, "memory": memory, "lines": written}, indent=1))


if __name__ == "__main__":
    main()
