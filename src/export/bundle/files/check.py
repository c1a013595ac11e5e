"""Compares the ONNX models of this folder with the answers of FP8 Studio in golden.json.

    pip install onnxruntime numpy
    python check.py [MODEL.onnx ...]
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

TOLERANCE = 1e-3
# Rounding between layers can fall to the other side of an edge where sums differ in the last bit.
LOOSE = {"model-fp8-activations.onnx": 5e-2}


def feeds(golden):
    """Inputs by name, as arrays."""
    result = {}
    for port in golden["inputs"]:
        if port["type"] == "string":
            array = np.array(port["data"], dtype=object)
        else:
            values = [float("nan") if v is None else v for v in port["data"]]
            array = np.array(values, dtype=port["type"])
        result[port["name"]] = array.reshape(port["shape"])
    return result


def check(folder, name, golden, inputs):
    """Prints how far a model is from the studio; whether that is near enough."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(folder / name), options, providers=["CPUExecutionProvider"]
    )
    outputs = dict(zip((o.name for o in session.get_outputs()), session.run(None, inputs)))
    wanted, rows = golden["models"][name], golden["rows"]
    if "label" in wanted:
        same = int(np.sum(outputs[golden["answer"]] == np.array(wanted["label"], dtype=object)))
        got = outputs["probabilities"].reshape(-1)
        difference = float(np.max(np.abs(got - np.array(wanted["probabilities"]))))
    else:
        got, value = outputs[golden["answer"]].reshape(-1), np.array(wanted["value"])
        scale = max(float(np.std(value)), 1e-12)
        difference = float(np.max(np.abs(got - value)) / scale)
        same = int(np.sum(np.abs(got - value) <= TOLERANCE * scale))
    loose = name in LOOSE
    good = difference <= LOOSE.get(name, TOLERANCE) and (loose or same == rows)
    print(
        f"{name}: {same} of {rows} answers alike, largest difference {difference:.1e}, "
        f"{'ok' if good else 'WRONG'}"
    )
    return good


def main():
    folder = Path(__file__).resolve().parent
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    names = [Path(name).name for name in sys.argv[1:]] or list(golden["models"])
    print(f"onnxruntime {onnxruntime.__version__}")
    inputs = feeds(golden)
    results = [check(folder, name, golden, inputs) for name in names]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
