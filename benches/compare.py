"""The same training steps here, in PyTorch and in burn on the same processor, in one run.

    cargo build --release
    python benches/compare.py [path of fp8-studio] [threads, 2 unless given] [--burn] [--gpu]

Needs torch. Prints milliseconds of a step and ratios: how many times as fast as the others. Batches of
256, AdamW, cross-entropy; 784-512-512-10, and 3 x 3 filters of 32 and 64 channels with 2 x 2
max-pooling and 128 units on 28 x 28 pixels.

--burn also runs burn (benches/burn, built when needed; its two CPU backends). --gpu adds burn's wgpu
backend beside this program on the same adapter, which is a software one where there is no GPU.

Everything takes turns in short rounds. Times are the median of the rounds, ratios the median of the
ratios within a round, so that other work on the machine changes ratios little.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

BATCH, WARM_UP, SECONDS = 256, 3, 0.6
NETWORKS = ["mlp", "cnn"]
BURN = Path(__file__).parent / "burn"


def ours(program, model, device, seconds):
    command = [program, "bench", "--model", model, "--batch", str(BATCH), "--json"]
    command += ["--device", device, "--seconds", str(seconds)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["engine"], {run["name"]: run["milliseconds"] for run in report["runs"]}


class Torch:
    """A network in PyTorch, with f32 or autocast to bf16."""

    def __init__(self, model, bf16, threads):
        import torch
        from torch import nn

        torch.set_num_threads(threads)
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
            last = torch.channels_last
            x = torch.rand(BATCH, 1, 28, 28)
            net, x = net.to(memory_format=last), x.to(memory_format=last)
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

        self.step = step

    def milliseconds(self):
        for _ in range(WARM_UP):
            self.step()
        times, begin = [], time.perf_counter()
        while time.perf_counter() - begin < SECONDS:
            start = time.perf_counter()
            self.step()
            times.append(1e3 * (time.perf_counter() - start))
        return statistics.median(times)


def build_burn(gpu):
    """Path of the program, built if need be."""
    command = ["cargo", "build", "--release", "--locked", "--message-format=json-render-diagnostics"]
    command += ["--features", "wgpu"] if gpu else []
    done = subprocess.run(command, cwd=BURN, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    return [m["executable"] for m in messages if m.get("executable")][-1]


def burn(program, model, backend, seconds, limit=None):
    """Milliseconds of a step; None where it takes longer than the limit."""
    command = [program, model, backend, str(seconds), str(BATCH)]
    try:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    return float(done.stdout)


def table(model, rounds, others):
    """Lines of a network: every run of ours, and how many times as fast as each other one."""
    for name in rounds[0][0]:
        mine = [own[name] for own, _ in rounds]
        cells = [f"{statistics.median(mine):.2f}"]
        for other in others:
            ratios = [their[other] / own[name] for own, their in rounds if their[other]]
            cells.append(f"{statistics.median(ratios):.2f}" if ratios else "-")
        print(f"| {model} | {name} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="?", default="target/release/fp8-studio")
    parser.add_argument("threads", nargs="?", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--burn", action="store_true")
    parser.add_argument("--gpu", action="store_true")
    given = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(given.threads)
    built = build_burn(given.gpu) if given.burn or given.gpu else None
    backends = ["ndarray", "flex"] if given.burn else []
    others = ["PyTorch f32", "PyTorch bf16", *(f"burn {b}" for b in backends)]
    torch = {
        (m, bf16): Torch(m, bf16, given.threads) for m in NETWORKS for bf16 in [False, True]
    }
    rounds = {model: [] for model in NETWORKS}
    for _ in range(given.rounds):
        for model in NETWORKS:
            their = {
                "PyTorch f32": torch[model, False].milliseconds(),
                "PyTorch bf16": torch[model, True].milliseconds(),
            }
            for b in backends:
                # What took over a minute once is not asked again.
                slow = any(earlier[f"burn {b}"] is None for _, earlier in rounds[model])
                their[f"burn {b}"] = None if slow else burn(built, model, b, SECONDS, 60)
            rounds[model].append((ours(given.program, model, "cpu", SECONDS)[1], their))
    load = f"; load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{given.threads} threads{load}; milliseconds of a step, and how many times as fast as")
    print(f"| network | run | ms | {' | '.join(others)} |")
    print(f"|---|---|---|{'---|' * len(others)}")
    for model in NETWORKS:
        table(model, rounds[model], others)
        times = {o: [their[o] for _, their in rounds[model]] for o in others}
        middle = [
            "over a minute in all" if None in of else f"{statistics.median(of):.2f}"
            for of in times.values()
        ]
        print(f"| {model} | those, ms | | {' | '.join(middle)} |")
    if not given.gpu:
        return
    for model in NETWORKS:
        engine, mine = ours(given.program, model, "gpu", SECONDS)
        their = {"burn wgpu": burn(built, model, "wgpu", SECONDS, limit=60)}
        if model == NETWORKS[0]:
            kind = "a software adapter" if engine["software"] else "a GPU"
            print(f"\nOn {engine['name']}, {kind}; ms of a step, and how many times as fast as")
            print("| network | run | ms | burn wgpu |\n|---|---|---|---|")
        table(model, [(mine, their)], ["burn wgpu"])
        print(f"| {model} | burn, ms | | {their['burn wgpu'] or 'over a minute in all'} |")


if __name__ == "__main__":
    main()
