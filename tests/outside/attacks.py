#!/usr/bin/env python3
"""Attacks a plain and an adversarially trained network for MNIST in PyTorch, and compares with what
`fp8-studio eval` says of the same models and rows. The last output is in tests/outside/attacks.txt.

    tests/outside/attacks.py PROGRAM MNIST [train settings] > tests/outside/attacks.txt

MNIST is a folder with the four IDX files. Needs torch and safetensors.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

PROGRAM, DATA, *SETTINGS = sys.argv[1:]
SETTINGS = SETTINGS or ["--model", "mlp", "--hidden", "256,128", "--epochs", "4"]
MOST, STEPS = 500, 10
# Standard errors of a difference between two random starts on as many rows.
NOISE = 3.0


def studio(*args):
    return subprocess.run([PROGRAM, *map(str, args)], check=True, capture_output=True, text=True).stdout


def network(path):
    tensors = load_file(path)
    layers = []
    for name in [n for n in tensors if n.endswith(".weight")]:
        weight = tensors[name]
        if weight.dtype == torch.float8_e4m3fn:
            weight = weight.to(torch.float32) * tensors[name + "_scale"]
        layers.append((weight, tensors[name.replace(".weight", ".bias")]))
    layers.sort(key=lambda layer: -layer[0].shape[0] if layer[0].shape[0] > 10 else 0)

    def forward(x):
        for weight, bias in layers[:-1]:
            x = torch.relu(x @ weight.T + bias)
        weight, bias = layers[-1]
        return x @ weight.T + bias

    return forward


def attacked(forward, x, y, low, high, size, steps):
    """PGD of `steps` steps from a random start (Madry et al. 2018); FGSM where `steps` is 0."""
    reach = size * (high - low)
    moved = x.clone()
    if steps:
        moved = torch.clamp(x + (2 * torch.rand_like(x) - 1) * reach, low, high)
    for _ in range(max(steps, 1)):
        moved.requires_grad_(True)
        loss = torch.nn.functional.cross_entropy(forward(moved), y)
        (gradient,) = torch.autograd.grad(loss, moved)
        step = 2.5 * reach / steps if steps else reach
        moved = moved.detach() + step * gradient.sign()
        moved = torch.clamp(torch.clamp(moved, x - reach, x + reach), low, high)
    return (forward(moved).argmax(1) == y).double().mean().item()


def main():
    torch.manual_seed(0)
    worst, pgd = 0.0, {}
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        for name, extra in (("plain", []), ("adversarial", ["--adversarial", "0.1"])):
            run = work / f"run-{name}"
            studio("train", DATA, "--device", "cpu", "--quiet", "--out", run, *SETTINGS, *extra)
            studio("export", run, "--data", DATA, "--to", "pytorch", "-o", work / name)
            studio("export", run, "-o", work / f"{name}.safetensors")
            found = json.loads(studio("eval", work / f"{name}.safetensors", DATA, "--json"))
            forward = network(work / name / "model.safetensors")
            test = load_file(work / name / "data" / "test.safetensors")
            every = -(-len(test["target"]) // MOST)
            x, y = test["dense"][::every], test["target"][::every]
            low, high = x.min().item(), x.max().item()
            print(f"{name}: {' '.join(SETTINGS + extra)}; {len(y)} test pictures")
            print("  levels  FGSM here  PyTorch   PGD here  PyTorch")
            for ours in found["robustness"]["attacks"]:
                size = ours["epsilon"] / 255
                theirs = [attacked(forward, x, y, low, high, size, steps) for steps in (0, STEPS)]
                print(
                    f"  {ours['epsilon']:6.0f}  {ours['fgsm']:9.3f}  {theirs[0]:7.3f}"
                    f"  {ours['pgd']:9.3f}  {theirs[1]:7.3f}"
                )
                for a, b in zip((ours["fgsm"], ours["pgd"]), theirs):
                    p = min(max((a + b) / 2, 1 / len(y)), 1 - 1 / len(y))
                    worst = max(worst, abs(a - b) / (2 * p * (1 - p) / len(y)) ** 0.5)
            pgd[name] = {a["epsilon"]: a["pgd"] for a in found["robustness"]["attacks"]}
    print(f"largest difference: {worst:.2f} standard errors; at most {NOISE} are noise")
    gain = {e: pgd["adversarial"][e] - pgd["plain"][e] for e in pgd["plain"]}
    best = max(gain, key=gain.get)
    print(f"adversarial training adds {100 * gain[best]:.1f} points under PGD of {best:.0f} levels")
    if worst > NOISE or gain[best] < 0.3:
        sys.exit("the figures are not as they should be")


if __name__ == "__main__":
    main()
