#!/usr/bin/env python3
"""Makes the golden runs that tests/it/golden.rs replays: ten f32 training steps of small networks
in PyTorch, from recorded initial weights and batches, with recorded losses and final weights.

    python3 tests/golden/mlp.py            # needs torch (CPU is enough)

Each case is also run in float64; the largest distance between both runs is stored as
`float64_gap`, the yardstick for the tolerance of the replay.
"""

import json
import pathlib
import re

import numpy as np
import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
STEPS = 10
ACTIVATIONS = {
    None: lambda x: x,
    "relu": F.relu,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}
ADAMW = {"kind": "adam_w", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.01}
SGD = {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.01}


def dense(name, out, activation):
    layer = {"kind": "dense", "out": out, "activation": activation, "high_precision": False}
    return {"name": name, "layer": layer}


def norm(name):
    return {"name": name, "layer": {"kind": "layer_norm"}}


def mlp(hidden, activation, layer_norm, head, embeddings=()):
    nodes = []
    for i, width in enumerate(hidden, 1):
        nodes.append(dense(f"dense{i}", width, activation))
        if layer_norm:
            nodes.append(norm(f"norm{i}"))
    nodes.append(dense("head", head.get("count", 1), None))
    return {"input": {"dense": 13, "embeddings": list(embeddings)}, "nodes": nodes, "head": head}


CLASSES = {"kind": "classes", "count": 5}
REGRESSION = {"kind": "regression"}
TABLES = [
    {"name": "city", "cardinality": 7, "dim": 3},
    {"name": "kind", "cardinality": 4, "dim": 2},
]
CASES = {
    "relu_cross_entropy_adamw": (mlp([24, 17], "relu", False, CLASSES), ADAMW, 0.01),
    "gelu_norm_cross_entropy_sgd": (mlp([24, 17], "gelu", True, CLASSES), SGD, 0.05),
    "relu_embedding_mse_sgd": (mlp([24, 17], "relu", False, REGRESSION, TABLES), SGD, 0.02),
    "gelu_norm_mse_adamw": (mlp([24, 17], "gelu", True, REGRESSION), ADAMW, 0.01),
}


def initial(model, rng):
    """Parameters by name, f32, in the order of the layers."""
    params = {}
    for i, e in enumerate(model["input"]["embeddings"]):
        params[f"embed.{i}.table"] = rng.normal(0, 0.3, (e["cardinality"], e["dim"]))
    width = model["input"]["dense"] + sum(e["dim"] for e in model["input"]["embeddings"])
    for node in model["nodes"]:
        name, layer = node["name"], node["layer"]
        if layer["kind"] == "dense":
            params[f"{name}.weight"] = rng.normal(0, width**-0.5, (layer["out"], width))
            params[f"{name}.bias"] = rng.normal(0, 0.1, layer["out"])
            width = layer["out"]
        else:
            params[f"{name}.gain"] = rng.normal(1, 0.1, width)
            params[f"{name}.shift"] = rng.normal(0, 0.1, width)
    return {k: v.astype(np.float32) for k, v in params.items()}


def batches(model, rng):
    """Ten batches; the last two are not full, as at the end of an epoch."""
    made = []
    tables = model["input"]["embeddings"]
    for step in range(STEPS):
        rows = 16 if step < STEPS - 2 else 9
        x = rng.normal(0, 1, (rows, model["input"]["dense"])).astype(np.float32)
        c = np.stack([rng.integers(0, e["cardinality"], rows) for e in tables], 1) if tables else None
        if model["head"]["kind"] == "classes":
            y = rng.integers(0, model["head"]["count"], rows)
        else:
            y = (x[:, 0] - 0.5 * x[:, 1] + rng.normal(0, 0.1, rows)).astype(np.float32)
        w = rng.uniform(0.5, 1.5, rows).astype(np.float32)
        made.append({"rows": rows, "dense": x, "categories": c, "targets": y, "weights": w})
    return made


def forward(model, p, x, c):
    parts = [x] + [p[f"embed.{i}.table"][c[:, i]] for i in range(len(model["input"]["embeddings"]))]
    h = torch.cat(parts, 1)
    for node in model["nodes"]:
        name, layer = node["name"], node["layer"]
        if layer["kind"] == "dense":
            h = ACTIVATIONS[layer["activation"]](F.linear(h, p[f"{name}.weight"], p[f"{name}.bias"]))
        else:
            h = F.layer_norm(h, h.shape[1:], p[f"{name}.gain"], p[f"{name}.shift"], eps=1e-5)
    return h


def run(model, optimizer, rates, start, data, dtype):
    p = {k: torch.tensor(v, dtype=dtype, requires_grad=True) for k, v in start.items()}
    decayed = [v for k, v in p.items() if re.fullmatch(r"[^.]+\.weight", k)]
    plain = [v for k, v in p.items() if not re.fullmatch(r"[^.]+\.weight", k)]
    groups = [
        {"params": decayed, "weight_decay": optimizer["weight_decay"]},
        {"params": plain, "weight_decay": 0.0},
    ]
    if optimizer["kind"] == "adam_w":
        betas = (optimizer["beta1"], optimizer["beta2"])
        opt = torch.optim.AdamW(groups, lr=rates[0], betas=betas, eps=optimizer["epsilon"])
    else:
        opt = torch.optim.SGD(groups, lr=rates[0], momentum=optimizer["momentum"])
    losses = []
    for rate, b in zip(rates, data):
        for group in opt.param_groups:
            group["lr"] = rate
        x = torch.tensor(b["dense"], dtype=dtype)
        c = None if b["categories"] is None else torch.tensor(b["categories"])
        w = torch.tensor(b["weights"], dtype=dtype)
        out = forward(model, p, x, c)
        if model["head"]["kind"] == "classes":
            each = F.cross_entropy(out, torch.tensor(b["targets"]), reduction="none")
        else:
            each = (out[:, 0] - torch.tensor(b["targets"], dtype=dtype)) ** 2
        loss = (w * each).sum() / b["rows"]
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses, {k: v.detach().numpy() for k, v in p.items()}


def numbers(array):
    """Shortest decimals that read back to the same f32 (or the integers)."""
    array = np.asarray(array)
    if array.dtype.kind in "iu":
        return [int(v) for v in array.ravel()]
    return [float(str(v)) for v in array.astype(np.float32).ravel()]


def tensors(params):
    return [{"name": k, "shape": list(v.shape), "values": numbers(v)} for k, v in params.items()]


def main():
    torch.set_num_threads(1)
    for index, (name, (model, optimizer, peak)) in enumerate(CASES.items()):
        rng = np.random.default_rng(20 + index)
        start, data = initial(model, rng), batches(model, rng)
        rates = [float(np.float32(peak * min(1.0, (s + 1) / 3))) for s in range(STEPS)]
        losses, final = run(model, optimizer, rates, start, data, torch.float32)
        losses64, final64 = run(model, optimizer, rates, start, data, torch.float64)
        gap = {
            "loss": max(abs(a - b) for a, b in zip(losses, losses64)),
            "weight": max(float(np.abs(final[k] - final64[k]).max()) for k in final),
        }
        case = {
            "made_by": f"tests/golden/mlp.py, torch {torch.__version__.split('+')[0]}",
            "model": model,
            "optimizer": optimizer,
            "learning_rates": rates,
            "float64_gap": gap,
            "initial": tensors(start),
            "batches": [
                {
                    "rows": b["rows"],
                    "dense": numbers(b["dense"]),
                    "categories": [] if b["categories"] is None else numbers(b["categories"]),
                    "targets": numbers(b["targets"]),
                    "weights": numbers(b["weights"]),
                }
                for b in data
            ],
            "losses": numbers(np.float32(losses)),
            "final": tensors(final),
        }
        path = HERE / f"{name}.json"
        text = json.dumps(case, indent=1)
        text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
        path.write_text(text + "\n")
        print(f"{path.name}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, float64 gap {gap}")


if __name__ == "__main__":
    main()
