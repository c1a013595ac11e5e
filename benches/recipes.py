#!/usr/bin/env python3
"""Trains the same data in every recipe and in f32, on three seeds, and prints a Markdown table of how
far the losses and scores are apart.

    benches/recipes.py target/release/fp8-studio adult projects/adult_census/adult_census.csv.gz
    benches/recipes.py target/release/fp8-studio mnist FOLDER_OF_MNIST
    benches/recipes.py target/release/fp8-studio fashion FOLDER_OF_FASHION_MNIST --keep FOLDER

With --keep, finished runs are kept and not trained again. Runs are single-threaded, --jobs at a time;
neither changes a figure. Guard rails and early stopping are off.

"Final loss" is the mean cross-entropy over all training rows during the last epoch; start, order of
rows, dropout and augmentation are those of the f32 run of the same seed. "Validation" is the loss on
the validation rows after the last epoch; "test" that of the kept model (the epoch of least validation
loss) on the test rows. A gap is (loss - loss of f32) / loss of f32, so a negative one means that f32 did
worse. Each figure is the median of the seeds, with the least and the largest in brackets.

The line "f32, nudged" is f32 with a learning rate of 1.0001e-3 in place of 1e-3: how far runs come apart
because of any small difference at all.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SEEDS = [0, 1, 2]

# Project settings by name; DATA stands for the data's path.
DATA = {
    "adult": """
target = "income-per-year"
columns = { fnlwgt = "ignore" }
[train]
hidden = [128, 64]
dropout = 0.2
batch_size = 128
epochs = 16
""",
    "mnist": """
[train]
architecture = "mlp"
hidden = [256]
dropout = 0.2
batch_size = 128
epochs = 5
""",
    "mnist-deep": """
[train]
architecture = "mlp"
hidden = [256, 128]
dropout = 0.2
batch_size = 128
epochs = 5
""",
    "fashion": """
[train]
architecture = "small_cnn"
hidden = [128]
dropout = 0.2
batch_size = 64
epochs = 5
augmentation = { flip = true }
""",
}

E4M3 = 'forward = "e4m3", gradient = "e4m3"'
LAST_FIFTH = 'precision = "{}"\nhybrid = {{ first_share = 0.8, then = "{}" }}'
RUNS = {
    "f32, nudged": 'precision = "f32"\nlearning_rate = 1.0001e-3',
    "bf16": 'precision = "bf16"',
    **{r: f'precision = "{r}"' for r in ["current", "delayed", "rowwise", "rowwise-hp", "block", "mx"]},
}
OPTIONS = {
    "current, gradients rounded by chance": "precision = { scaling = { kind = \"current\" }, "
    "stochastic_gradients = true }",
    "block, gradients rounded by chance": "precision = { scaling = { kind = \"block\" }, "
    f"{E4M3}, stochastic_gradients = true }}",
    **{
        f"{r}, ends in f32": f'precision = "{r}"\nhigh_precision_ends = true'
        for r in ["current", "rowwise-hp", "block"]
    },
    **{f"{r}, last fifth in bf16": LAST_FIFTH.format(r, "bf16") for r in ["current", "block"]},
    "block, last fifth in f32": LAST_FIFTH.format("block", "f32"),
}


def train(studio, name, data, how, seed, keep):
    """What is compared of one run."""
    kept = keep / f"{name}-{how}-{seed}.json".replace(" ", "_") if keep else None
    if kept and kept.exists():
        return json.loads(kept.read_text())
    with tempfile.TemporaryDirectory() as folder:
        project, out = Path(folder), Path(folder) / "run"
        settings = f"patience = 0\nguard_rails = false\nwhat_if_every = 0\nseed = {seed}\n"
        settings += {"f32": 'precision = "f32"', **RUNS, **OPTIONS}[how]
        head = f'version = 1\nname = "{name}"\ndata = {json.dumps(str(data.resolve()))}'
        (project / "project.toml").write_text(f"{head}{DATA[name]}{settings}\n")
        command = [studio, "train", folder, "--device", "cpu", "--json", "--quiet", "--out", str(out)]
        command += ["--accept", "bench"]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, env={**os.environ, "RAYON_NUM_THREADS": "1"}
        )
        summary = json.loads(done.stdout)
        epochs = [
            json.loads(line)["epoch"]
            for line in (out / "events.jsonl").read_text().splitlines()
            if line.startswith('{"epoch"')
        ]
    result = {
        "epochs": len(epochs),
        "final": epochs[-1]["train_loss"],
        "validation": epochs[-1]["validation"]["loss"],
        "test": summary["test"]["loss"],
        "score": summary["test"]["metrics"][0][1],
    }
    if kept:
        keep.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(result))
    return result


def cell(values, digits=2):
    low, high = min(values), max(values)
    return f"{statistics.median(values):+.{digits}f} % ({low:+.{digits}f} to {high:+.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studio")
    parser.add_argument("name", choices=DATA)
    parser.add_argument("data", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--options", action="store_true", help="also what recipes can be combined with")
    given = parser.parse_args()
    rows = [*RUNS, *(OPTIONS if given.options else [])]
    with ThreadPoolExecutor(given.jobs) as pool:
        jobs = {
            (how, seed): pool.submit(
                train, given.studio, given.name, given.data, how, seed, given.keep
            )
            for seed in SEEDS
            for how in ["f32", *rows]
        }
        runs = {key: job.result() for key, job in jobs.items()}
    plain = [runs["f32", seed] for seed in SEEDS]
    score = 100 * statistics.median(run["score"] for run in plain)
    losses = ", ".join(f"{run['final']:.5f}" for run in plain)
    print(f"| {given.name} | final loss | validation | test | score, points |\n|---|---|---|---|---|")
    print(f"| f32 | {losses} | | | {score:.2f} % |")
    for how in rows:
        gaps = [
            cell([100 * (runs[how, s][of] / runs["f32", s][of] - 1) for s in SEEDS])
            for of in ["final", "validation", "test"]
        ]
        points = cell([100 * (runs[how, s]["score"] - runs["f32", s]["score"]) for s in SEEDS])
        print(f"| {how} | {' | '.join(gaps)} | {points} |")


if __name__ == "__main__":
    main()
