"""Records the figures that src/quality must agree with, as the tools that define them compute them.

    python -m venv venv
    venv/bin/pip install deepchecks==0.19.1 "cleanlab[datalab]==2.9.0" ppscore==1.3.1 \
        evidently==0.7.23 "numpy<2" "pandas<2.3" "scikit-learn<1.6" "scipy<1.15" \
        "category-encoders<2.7" "setuptools<81" "datasets<4" "pyarrow<20"
    venv/bin/python -W ignore tests/golden/quality.py

Writes tests/golden/quality.json: inputs and outputs of each figure, or the sample project that the
inputs come from. src/quality/golden.rs replays it.
"""

import gzip
import json
import warnings
from importlib.metadata import version
from pathlib import Path

warnings.filterwarnings("ignore")

import numpy as np
import pandas as pd
import ppscore
from cleanlab import Datalab
from deepchecks.tabular import Dataset
from deepchecks.tabular.checks import FeatureDrift, TrainTestSamplesMix
from deepchecks.utils.correlation_methods import correlation_ratio
from deepchecks.utils.distribution import drift as deepchecks_drift
from evidently.legacy.calculations.stattests import (
    jensenshannon_stat_test,
    psi_stat_test,
    wasserstein_stat_test,
)
from evidently.legacy.core import ColumnType
from scipy import special, stats
from scipy.spatial.distance import jensenshannon
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OrdinalEncoder

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = {
    "penguins": ("penguins.csv", "species"),
    "german_credit": ("german_credit.csv", "class"),
    "digits": ("digits.csv", "digit"),
    "adult_census": ("adult_census.csv.gz", "income-per-year"),
}


def load(name):
    path = ROOT / "projects" / name / PROJECTS[name][0]
    missing = ["", "?", "NA", "nan"]
    return pd.read_csv(path, keep_default_na=False, na_values=missing, skipinitialspace=True)


def distances(rng):
    """Two samples of numbers."""
    cases = []
    for n, m, shift, digits in [(40, 55, 0.6, 3), (120, 90, 0.0, 1), (7, 3, 1.0, 2), (60, 60, 2.0, 2)]:
        a = np.round(rng.normal(size=n), digits)
        b = np.round(rng.normal(shift, 1.3, size=m), digits)
        ks = stats.ks_2samp(a, b, method="exact")
        pa, pb = pd.Series(a), pd.Series(b)
        case = {
            "a": a.tolist(),
            "b": b.tolist(),
            "ks": ks.statistic,
            "ks_p": ks.pvalue,
            "ks_deepchecks": deepchecks_drift.kolmogorov_smirnov(a, b),
            "wasserstein": stats.wasserstein_distance(a, b),
            "wasserstein_norm": wasserstein_stat_test.func(pa, pb, ColumnType.Numerical, 0.1)[0],
            "quantiles": np.quantile(a, [0, 0.1, 0.25, 0.5, 0.83, 1]).tolist(),
        }
        if pa.nunique() > 20:
            case["psi_evidently"] = psi_stat_test.func(pa, pb, ColumnType.Numerical, 0.1)[0]
            case["jensen_shannon_evidently"] = jensenshannon_stat_test.func(
                pa, pb, ColumnType.Numerical, 0.1
            )[0]
        cases.append(case)
    return cases


def counts(rng):
    """Two samples of categories as counts."""
    cases = []
    for reference, current in [
        ([50, 30, 20], [20, 25, 15]),
        ([900, 80, 15, 5, 0], [400, 20, 30, 1, 9]),
        ([70, 30], [45, 55]),
        (rng.integers(1, 400, 12).tolist(), rng.integers(1, 300, 12).tolist()),
    ]:
        r, c = np.array(reference), np.array(current)
        chi2 = stats.chi2_contingency(np.array([r, c]))
        words = [f"v{i}" for i in range(len(r))]
        case = {
            "reference": reference,
            "current": current,
            "chi2": chi2.statistic,
            "chi2_p": chi2.pvalue,
            "cramers_v": stats.contingency.association(np.array([r, c]), method="cramer", correction=True),
            "drift_cramers_v": deepchecks_drift.cramers_v(
                np.repeat(words, r), np.repeat(words, c), min_category_size_ratio=0.01
            ),
            "psi": deepchecks_drift.psi(r, c, from_freqs=True),
            "psi_evidently": psi_stat_test.func(
                pd.Series(np.repeat(words, r)), pd.Series(np.repeat(words, c)), ColumnType.Categorical, 0.1
            )[0],
            "jensen_shannon": jensenshannon(r / r.sum(), c / c.sum()),
        }
        if (r > 0).all():
            fit = stats.chisquare(c, r * (c.sum() / r.sum()))
            case |= {"fit": fit.statistic, "fit_p": fit.pvalue}
        cases.append(case)
    return cases


def associations(rng):
    n = 150
    x = np.round(rng.normal(size=n), 3)
    y = np.round(0.7 * x + rng.normal(size=n), 3)
    group = rng.integers(0, 4, n)
    shifted = np.round(x + group, 3)
    positive = (x + rng.normal(size=n)) > 0.3
    sample = np.round(rng.normal(0.1, 0.02, 25), 5)
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "group": group.tolist(),
        "shifted": shifted.tolist(),
        "positive": positive.tolist(),
        "pearson": stats.pearsonr(x, y).statistic,
        "correlation_ratio": correlation_ratio(group, shifted),
        "auc": roc_auc_score(positive, np.round(x, 1)),
        "kde_sample": sample.tolist(),
        "kde_above": {str(v): stats.gaussian_kde(sample).integrate_box(v, 100) for v in (0.08, 0.1, 0.15)},
    }


def special_functions():
    return {
        "chi2_sf": [[x, k, stats.chi2.sf(x, k)] for x in (0.1, 1.0, 5.0, 30.0, 200.0) for k in (1, 2, 7, 50)],
        "kolmogorov_sf": [[x, stats.kstwobign.sf(x)] for x in (0.2, 0.5, 0.79, 0.81, 1.0, 1.36, 2.5)],
        "erfc": [[x, special.erfc(x)] for x in (-2.0, -0.3, 0.0, 0.4, 1.7, 5.0)],
    }


def predictive_power(name, target, classify):
    df = load(name)
    if classify:
        df[target] = df[target].astype(object)  # as deepchecks does for labels
    scores = ppscore.predictors(df, target, random_seed=123)
    return {
        "project": name,
        "target": target,
        "classify": classify,
        "scores": dict(zip(scores["x"], scores["ppscore"].astype(float))),
        "text": [c for c in df.columns if not pd.api.types.is_numeric_dtype(df[c])],
    }


def neighbours(rng):
    """cleanlab on features without and with a weak trend over the rows."""
    cases = []
    for trend in (0.0, 0.25, 0.5, 2.0):
        n = 240
        features = rng.normal(size=(n, 3)) + trend * np.linspace(0, 1, n)[:, None]
        features[17] = [6, -6, 5]
        features[100] = features[30] + 0.002
        features = np.round(features, 4)
        lab = Datalab({"x": list(range(n))}, verbosity=0)
        lab.find_issues(
            features=features,
            issue_types={k: {"k": 10, "metric": "euclidean"} for k in ("outlier", "near_duplicate", "non_iid")},
        )
        issues = lab.get_issues()
        cases.append(
            {
                "features": features.tolist(),
                "outliers": np.flatnonzero(issues["is_outlier_issue"]).tolist(),
                "outlier_limit": lab.get_info("outlier")["issue_threshold"],
                "near_duplicates": np.flatnonzero(issues["is_near_duplicate_issue"]).tolist(),
                "order_p": lab.get_info("non_iid")["p-value"],
            }
        )
    return cases


def domain_classifier():
    """deepchecks' classifier on adult: even rows fit, odd rows score."""
    df = load("adult_census").drop(columns="income-per-year")
    row = np.arange(len(df))
    is_test = (row * 7919 % 100) < np.where(df["sex"] == "Male", 70, 35) + (df["age"] > 45) * 10
    words = [c for c in df.columns if not pd.api.types.is_numeric_dtype(df[c])]
    df[words] = OrdinalEncoder().fit_transform(df[words].astype(str))
    model = HistGradientBoostingClassifier(
        max_depth=2, max_iter=10, random_state=0, early_stopping=False,
        categorical_features=[c in words for c in df.columns],
    )
    even = row % 2 == 0
    model.fit(df[even], is_test[even])
    return {"auc": roc_auc_score(is_test[~even], model.predict_proba(df[~even])[:, 1])}


def tables():
    """Whole-table figures on the sample projects."""
    adult, german = load("adult_census"), load("german_credit")
    parts = [Dataset(p, label="income-per-year", cat_features=[c for c in adult if adult[c].dtype == object][:-1])
             for p in (adult.iloc[:20000], adult[adult["age"] > 40].iloc[-9000:])]
    drift = FeatureDrift(n_samples=100_000).run(*parts, with_display=False).value
    mix = TrainTestSamplesMix().run(
        Dataset(adult.iloc[:20000], label="income-per-year"), Dataset(adult.iloc[20000:], label="income-per-year"),
        with_display=False,
    ).value
    conflicts = adult.groupby(list(adult.columns[:-1]), dropna=False)["income-per-year"].transform("nunique") > 1
    return {
        "adult_duplicates": int(adult.duplicated().sum()),
        "adult_missing": {c: int(n) for c, n in adult.isna().sum().items() if n},
        "adult_conflicts": int(conflicts.sum()),
        "german_duplicates": int(german.duplicated().sum()),
        "penguins_missing": {c: int(n) for c, n in load("penguins").isna().sum().items() if n},
        "adult_test_ages_above": 40,
        "adult_drift": {c: [v["Drift score"], v["Method"]] for c, v in drift.items()},
        "adult_mix": mix["ratio"],
    }


def main():
    rng = np.random.default_rng(20)
    tools = ["deepchecks", "cleanlab", "ppscore", "evidently", "scipy", "scikit-learn", "numpy", "pandas"]
    golden = {
        "made_by": "tests/golden/quality.py",
        "versions": {t: version(t) for t in tools},
        "distances": distances(rng),
        "counts": counts(rng),
        "associations": associations(rng),
        "special": special_functions(),
        "predictive_power": [
            predictive_power("penguins", "species", True),
            predictive_power("penguins", "body_mass_g", False),
            predictive_power("german_credit", "class", True),
            predictive_power("german_credit", "credit_amount", False),
            predictive_power("digits", "digit", True),
            predictive_power("adult_census", "income-per-year", True),
            predictive_power("adult_census", "age", False),
        ],
        "neighbours": neighbours(rng),
        "domain_classifier": domain_classifier(),
        "tables": tables(),
    }
    plain = lambda v: v.item() if hasattr(v, "item") else str(v)
    out = Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(golden, indent=None, separators=(",", ":"), default=plain).replace('],"', '],\n"') + "\n")
    print(out, out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
