"""Records the figures that src/eval must agree with, as the libraries that define them compute them.

    python -m venv venv
    venv/bin/pip install "scikit-learn==1.9.1" "fairlearn==0.15.0" "torchmetrics==1.9.0" torch scipy
    venv/bin/python -W ignore tests/golden/evaluation.py

Writes tests/golden/evaluation.json: made-up answers and what the libraries say of them.
tests/it/evaluation.rs compares.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from fairlearn import metrics as fair
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import false_discovery_control
from sklearn import metrics as m
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import Ridge
from torchmetrics.functional.classification import multiclass_calibration_error

rng = np.random.default_rng(7)


def probabilities(n, classes, sharpness, ties):
    logits = rng.normal(size=(n, classes)) * sharpness
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    # Few different values, so that many rows tie.
    p = np.round(p, 1 if ties else 7)
    p[:, -1] = 1 - p[:, :-1].sum(1)
    p = np.clip(p, 0, 1)
    truth = np.array([rng.choice(classes, p=row / row.sum()) for row in p * 0.7 + 0.3 / classes])
    return p, truth


def classification(n, classes, sharpness, ties=False):
    p, y = probabilities(n, classes, sharpness, ties)
    predicted = p.argmax(1)
    labels = np.arange(classes)
    prf = lambda average: m.precision_recall_fscore_support(
        y, predicted, labels=labels, average=average, zero_division=0
    )
    case = {
        "classes": classes,
        "truth": y.tolist(),
        "probabilities": p.ravel().tolist(),
        "accuracy": m.accuracy_score(y, predicted),
        "balanced_accuracy": m.balanced_accuracy_score(y, predicted),
        "log_loss": m.log_loss(y, p, labels=labels),
        "mcc": m.matthews_corrcoef(y, predicted),
        "precision": prf("macro")[0],
        "recall": prf("macro")[1],
        "f1": prf("macro")[2],
        "weighted_precision": prf("weighted")[0],
        "weighted_recall": prf("weighted")[1],
        "weighted_f1": prf("weighted")[2],
        "per_class": [list(map(float, row)) for row in zip(*prf(None)[:3])],
        "confusion": m.confusion_matrix(y, predicted, labels=labels).ravel().tolist(),
    }
    if classes == 2:
        case["auc"] = m.roc_auc_score(y, p[:, 1])
        case["average_precision"] = m.average_precision_score(y, p[:, 1])
        case["brier"] = m.brier_score_loss(y, p[:, 1])
        fpr, tpr, cuts = m.roc_curve(y, p[:, 1], drop_intermediate=False)
        case["roc"] = {"fpr": fpr.tolist(), "tpr": tpr.tolist(), "thresholds": cuts[1:].tolist()}
    else:
        aucs = [m.roc_auc_score(y == c, p[:, c]) for c in labels]
        # One against the rest; what multi_class="ovr" takes the mean of.
        case["auc"] = float(np.mean(aucs))
        if not ties:
            assert abs(case["auc"] - m.roc_auc_score(y, p, multi_class="ovr", average="macro")) < 1e-9
        case["auc_per_class"] = aucs
        case["average_precision_per_class"] = [m.average_precision_score(y == c, p[:, c]) for c in labels]
        case["average_precision"] = float(np.mean(case["average_precision_per_class"]))
        case["brier"] = float(((p - np.eye(classes)[y]) ** 2).sum(1).mean())
    if classes > 3:
        case["top3"] = m.top_k_accuracy_score(y, p, k=3, labels=labels)
    if not ties:
        # In f64, so that the tolerance holds; bins [a, b) as torchmetrics has them.
        preds, target = torch.tensor(p, dtype=torch.float64), torch.tensor(y)
        for norm, name in [("l1", "ece"), ("max", "mce")]:
            case[name] = float(
                multiclass_calibration_error(preds, target, classes, n_bins=15, norm=norm)
            )
    return case


def regression():
    y = rng.normal(20, 5, 80).round(3)
    p = (y + rng.normal(0, 2, 80)).round(3)
    x = rng.normal(size=(80, 5)).round(3)
    ridge = Ridge(alpha=1.0).fit(x, y)
    return {
        "truth": y.tolist(),
        "predicted": p.tolist(),
        "mae": m.mean_absolute_error(y, p),
        "rmse": m.root_mean_squared_error(y, p),
        "r2": m.r2_score(y, p),
        "x": x.ravel().tolist(),
        "ridge": [*ridge.coef_.tolist(), float(ridge.intercept_)],
    }


def fairness():
    n = 400
    group = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    shift = {"a": 0.7, "b": 0.0, "c": -0.6}
    score = np.round(1 / (1 + np.exp(-(rng.normal(size=n) + [shift[g] for g in group]))), 5)
    y = (rng.random(n) < score).astype(int)
    called = (score >= 0.5).astype(int)
    frame = fair.MetricFrame(
        metrics={
            "selection_rate": fair.selection_rate,
            "tpr": fair.true_positive_rate,
            "fpr": fair.false_positive_rate,
            "precision": m.precision_score,
            "accuracy": m.accuracy_score,
        },
        y_true=y,
        y_pred=called,
        sensitive_features=group,
    )
    args = {"y_true": y, "y_pred": called, "sensitive_features": group}
    return {
        "group": group.tolist(),
        "score": score.tolist(),
        "truth": y.tolist(),
        "groups": {g: {k: float(v) for k, v in row.items()} for g, row in frame.by_group.T.to_dict().items()},
        "demographic_parity_difference": fair.demographic_parity_difference(**args),
        "demographic_parity_ratio": fair.demographic_parity_ratio(**args),
        "equalised_odds_difference": fair.equalized_odds_difference(**args),
        "equal_opportunity_difference": fair.equal_opportunity_difference(**args),
        "predictive_parity_difference": float(frame.difference()["precision"]),
        "accuracy_difference": float(frame.difference()["accuracy"]),
    }


def calibration():
    n = 120
    logits = (rng.normal(size=(n, 3)) * 3).round(3).astype(np.float32)
    y = np.array([rng.choice(3, p=np.exp(log_softmax(row / 2.5))) for row in logits.astype(float)])
    loss = lambda t: -log_softmax(logits.astype(float) / t, axis=1)[np.arange(n), y].mean()
    found = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-12})
    score = np.round(rng.random(n), 2)
    hit = (rng.random(n) < score**2).astype(int)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(score, hit)
    at = np.linspace(-0.1, 1.1, 37)
    return {
        "logits": logits.ravel().tolist(),
        "truth": y.tolist(),
        "temperature": float(found.x),
        "score": score.tolist(),
        "hit": hit.tolist(),
        "at": at.tolist(),
        "isotonic": isotonic.predict(at).tolist(),
    }


def adjusted():
    p = np.round(rng.random(12) ** 3, 4)
    return {"p": p.tolist(), "adjusted": false_discovery_control(p).tolist()}


figures = {
    "made_with": {name: version(name) for name in ["scikit-learn", "fairlearn", "torchmetrics", "scipy"]},
    "classification": [
        classification(150, 2, 1.5),
        classification(120, 2, 1.0, ties=True),
        classification(160, 3, 1.5),
        classification(200, 6, 2.0),
        # Some classes are never called, and one row in three ties.
        classification(60, 8, 0.4, ties=True),
    ],
    "regression": regression(),
    "fairness": fairness(),
    "calibration": calibration(),
    "adjusted": adjusted(),
}
path = Path(__file__).with_suffix(".json")
path.write_text(json.dumps(figures, indent=None) + "\n")
print(f"{path.name}: {path.stat().st_size} bytes, {figures['made_with']}")
