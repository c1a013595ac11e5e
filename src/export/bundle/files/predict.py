"""Predicts every row of a CSV file: python predict.py DATA.csv (pip install onnxruntime numpy)"""
import csv, json, re, sys, datetime
from pathlib import Path
import numpy as np, onnxruntime as ort

folder = Path(__file__).resolve().parent.parent
spec = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
rows = list(csv.DictReader(open(sys.argv[1], newline="", encoding="utf-8-sig")))

def number(cell):  # empty, "?" and the like are not known
    try: return float(cell)
    except ValueError: return float("nan")

def days(cell):  # ISO dates; others need your own reading
    try: return (datetime.datetime.fromisoformat(cell) - datetime.datetime(1970, 1, 1)) / datetime.timedelta(1)
    except ValueError: return float("nan")

def words(cell):  # words of two or more letters, and pairs of them
    found = [w for w in re.split(r"[\W_]+", cell.lower()) if len(w) > 1]
    return found + [f"{a} {b}" for a, b in zip(found, found[1:])]

feeds = {}
for port in spec["inputs"]:
    cells = [row[port["column"]].strip() for row in rows]
    if port["kind"] == "text":
        feeds[port["input"]] = np.array([[words(c).count(w) for w in port["words"]] for c in cells], np.float32)
    elif port["kind"] in ("number", "date"):
        read = number if port["kind"] == "number" else days
        feeds[port["input"]] = np.array([[read(c)] for c in cells], np.float64)
    else:
        feeds[port["input"]] = np.array([[c] for c in cells], object)
outputs = ort.InferenceSession(str(folder / "model.onnx")).run(None, feeds)
for answer in outputs[0].reshape(-1):
    print(answer)
