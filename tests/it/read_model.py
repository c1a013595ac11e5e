"""Reads an exported model with the reference implementations only: the safetensors package for the
file and ml_dtypes for the FP8 numbers. Repeats the network in numpy and prints what it found.

    python3 read_model.py MODEL.safetensors ROWS.json

ROWS.json has `dense` [rows, width] (flat), `rows`, and `outputs` of the program under test.
"""

import json
import sys

import ml_dtypes
import numpy as np
from safetensors import deserialize, safe_open

TYPES = {"F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2, "F32": np.float32}


def main(model_path, rows_path):
    with safe_open(model_path, framework="np") as f:
        dtypes = {k: f.get_slice(k).get_dtype() for k in f.keys()}
        shapes = {k: list(f.get_slice(k).get_shape()) for k in f.keys()}
        info = json.loads(f.metadata()["fp8_studio"])
    with open(model_path, "rb") as f:
        raw = dict(deserialize(f.read()))
    tensors = {}
    for name, t in raw.items():
        values = np.frombuffer(bytes(t["data"]), TYPES[t["dtype"]]).reshape(t["shape"])
        tensors[name] = values.astype(np.float64)
    for name in list(tensors):
        if name + "_scale" in tensors:
            tensors[name] = tensors[name] * tensors[name + "_scale"][0]

    with open(rows_path) as f:
        given = json.load(f)
    h = np.array(given["dense"], np.float64).reshape(given["rows"], -1)
    for node in info["model"]["nodes"]:
        layer, name = node["layer"], node["name"]
        assert layer["kind"] == "dense", layer
        h = h @ tensors[name + ".weight"].T + tensors[name + ".bias"]
        if layer["activation"] == "relu":
            h = np.maximum(h, 0)
        else:
            assert layer["activation"] is None, layer
    theirs = np.array(given["outputs"], np.float64).reshape(h.shape)
    print(
        json.dumps(
            {
                "dtypes": dtypes,
                "shapes": shapes,
                "labels": info["schema"]["task"].get("classes"),
                "largest": float(np.abs(h).max()),
                "difference": float(np.abs(h - theirs).max()),
            }
        )
    )


main(*sys.argv[1:])
