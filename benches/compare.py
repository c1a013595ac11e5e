"""The same training steps here and in PyTorch on the processor, in one run.

    cargo build --release
    python benches/compare.py [path of fp8-studio] [threads, 2 unless given]

Needs torch. Prints milliseconds of a step (median) and ratios: how many times as fast as PyTorch.
Batches of 256, AdamW, cross-entropy; 784-512-512-10, and 3 x 3 filters of 32 and 64 channels with
2 x 2 max-pooling and 128 units on 28 x 28 pixels.
"""

import json
import os
import statistics
import subprocess
import sys
import time

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "target/release/fp8-studio"
THREADS = int(sys.argv[2]) if len(sys.argv) > 2 else 2
BATCH, WARM_UP, SECONDS = 256, 10, 3.0

os.environ["RAYON_NUM_THREADS"] = str(THREADS)


def ours(model):
    command = [PROGRAM, "bench", "--model", model, "--batch", str(BATCH), "--json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {run["name"]: run["milliseconds"] for run in report["runs"]}


def theirs(model, bf16):
    import torch
    from torch import nn

    torch.set_num_threads(THREADS)
    torch.manual_seed(1)
    if model == "mlp":
        net = nn.Sequential(
            nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )
        x = torch.rand(BATCH, 784)
    else:
        net = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
        )  # fmt: skip
        x = torch.rand(BATCH, 1, 28, 28)
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    x = x * (torch.rand_like(x) < 0.5)
    y = torch.randint(0, 10, (BATCH,))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss()

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = loss_of(net(x), y)
        loss.backward()
        optimizer.step()

    for _ in range(WARM_UP):
        step()
    times, begin = [], time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


print(f"{THREADS} threads; milliseconds of a step, and how many times as fast as PyTorch")
print("| network | run | ms | PyTorch f32 | PyTorch bf16 | to f32 | to bf16 |")
print("|---|---|---|---|---|---|---|")
for model in ["mlp", "cnn"]:
    f32, bf16 = theirs(model, False), theirs(model, True)
    for name, ms in ours(model).items():
        print(
            f"| {model} | {name} | {ms:.2f} | {f32:.2f} | {bf16:.2f} "
            f"| {f32 / ms:.2f} | {bf16 / ms:.2f} |"
        )
