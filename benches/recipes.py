#!/usr/bin/env python3
"""Trains the same data in every recipe and in f32, on three seeds, and prints a Markdown table of how
far the losses and scores are apart.

    benches/recipes.py target/release/fp8-studio NAME DATA [argument of train ...]
    benches/recipes.py target/release/fp8-studio adult projects/adult_census

The gap is (loss - loss of f32) / loss of f32 of the same seed, on the test rows, with the weights of
the best epoch; a negative one means that f32 did worse. "of one epoch" is the training loss in the
last epoch that both runs reached. Each figure is the median of the seeds, with the least and the
largest in brackets.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RECIPES = ["current", "delayed", "rowwise", "rowwise-hp", "block", "mx"]
SEEDS = [0, 1, 2]


def train(studio, data, arguments, how, seed):
    """Summary of a run, and its training loss by epoch."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [studio, "train", data, "--device", "cpu", "--json", "--quiet", "--no-guard-rails"]
        command += ["--seed", str(seed), "--out", str(out), "--what-if", "0", *how, *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        losses = {}
        for line in (out / "events.jsonl").read_text().splitlines():
            epoch = json.loads(line).get("epoch") if line.startswith('{"epoch"') else None
            if epoch:
                losses[epoch["epoch"]] = epoch["train_loss"]
        return json.loads(done.stdout), losses


def cell(values, digits):
    low, high = min(values), max(values)
    return f"{statistics.median(values):+.{digits}f} % ({low:+.{digits}f} to {high:+.{digits}f})"


def main():
    studio, name, data, *arguments = sys.argv[1:]
    plain = {seed: train(studio, data, arguments, ["--precision", "f32"], seed) for seed in SEEDS}
    score = statistics.median(run["test"]["metrics"][0][1] for run, _ in plain.values())
    print(f"| {name}, f32 {100 * score:.2f} % | test loss gap | loss gap of one epoch | score, points |")
    print("|---|---|---|---|")
    formats = [("bf16", ["--precision", "bf16"])]
    formats += [(recipe, ["--precision", "fp8", "--recipe", recipe]) for recipe in RECIPES]
    for title, how in formats:
        gaps, trained, points = [], [], []
        for seed in SEEDS:
            (run, losses), (other, theirs) = train(studio, data, arguments, how, seed), plain[seed]
            gaps.append(100 * (run["test"]["loss"] / other["test"]["loss"] - 1))
            last = max(set(losses) & set(theirs))
            trained.append(100 * (losses[last] / theirs[last] - 1))
            points.append(100 * (run["test"]["metrics"][0][1] - other["test"]["metrics"][0][1]))
        print(f"| {title} | {cell(gaps, 2)} | {cell(trained, 2)} | {cell(points, 2)} |", flush=True)


if __name__ == "__main__":
    main()
