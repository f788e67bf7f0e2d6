#!/usr/bin/env python3
"""Golden values of mitigations, by fairlearn and numpy.

    python tests/golden/make_mitigation.py

writes mlops-fairness/tests/golden/mitigation.json. The rows are written with the answers. Needs fairlearn, scikit-learn, numpy, pandas.
"""

import json
import pathlib
import sys
import warnings

import fairlearn
import numpy as np
import pandas as pd
import sklearn
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.preprocessing import CorrelationRemover
from fairlearn.reductions import (
    DemographicParity,
    EqualizedOdds,
    ErrorRateParity,
    ExponentiatedGradient,
    TruePositiveRateParity,
)
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent.parent / "mlops-fairness" / "tests" / "golden" / "mitigation.json"


class Given(ClassifierMixin, BaseEstimator):
    """A predictor whose scores are its only feature."""

    def fit(self, x, y):
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, x):
        return np.asarray(x)[:, 0]


def rows(n, seed):
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    shift = pd.Series(group).map({"a": 0.0, "b": 0.6, "c": -0.4}).to_numpy()
    x = rng.normal(size=n) + shift
    z = rng.normal(size=n)
    y = (0.9 * x - 0.5 * z + 0.5 * shift + rng.normal(size=n) > 0.2).astype(int)
    # Few different scores, so that ties are many.
    score = np.round(1 / (1 + np.exp(-(0.8 * x - 0.4 * z))), 2)
    return pd.DataFrame({"group": group, "x": np.round(x, 6), "z": np.round(z, 6), "y": y, "score": score})


def thresholds(data):
    found = []
    cases = [
        ("demographic_parity", "accuracy_score"),
        ("demographic_parity", "balanced_accuracy_score"),
        ("true_positive_rate_parity", "accuracy_score"),
        ("false_positive_rate_parity", "balanced_accuracy_score"),
        ("false_positive_rate_parity", "true_positive_rate"),
        ("true_negative_rate_parity", "accuracy_score"),
        ("false_negative_rate_parity", "accuracy_score"),
        ("equalized_odds", "accuracy_score"),
        ("equalized_odds", "balanced_accuracy_score"),
    ]
    x = data[["score"]].to_numpy()
    for constraint, objective in cases:
        fitted = ThresholdOptimizer(
            estimator=Given(), constraints=constraint, objective=objective, grid_size=200, prefit=True,
            predict_method="predict",
        ).fit(x, data["y"], sensitive_features=data["group"])
        chance = fitted._pmf_predict(x, sensitive_features=data["group"])[:, 1]
        found.append({
            "constraint": constraint, "objective": objective,
            "target": float(fitted._x_best), "probability": chance.tolist(),
        })
    return found


def gradients(data):
    found = []
    x, y, group = data[["x", "z"]], data["y"], data["group"]
    for name, constraint in [
        ("demographic_parity", DemographicParity(difference_bound=0.02)),
        ("equalized_odds", EqualizedOdds(difference_bound=0.03)),
        ("true_positive_rate", TruePositiveRateParity(difference_bound=0.02)),
        ("error_rate", ErrorRateParity(difference_bound=0.01)),
        ("demographic_parity_ratio", DemographicParity(ratio_bound=0.9)),
    ]:
        fitted = ExponentiatedGradient(LogisticRegression(C=1.0, tol=1e-10, max_iter=10000), constraint)
        fitted.fit(x, y, sensitive_features=group)
        chance = fitted._pmf_predict(x)[:, 1]
        error = float(np.mean(np.where(y == 1, 1 - chance, chance)))
        gamma = fitted.constraints_.gamma(lambda _: chance)
        found.append({
            "constraint": name, "error": error, "violation": float(max(0, gamma.max())),
            "gap": float(fitted.best_gap_), "nu": float(fitted.nu),
        })
    return found


def correlation(data):
    x = pd.DataFrame({
        "s": (data["group"] == "b").astype(float), "t": 10 + 3 * data["z"] + data["x"],
        "f": data["x"] * 2 + 100, "g": data["z"] - data["x"] ** 2,
    }).round(6)
    out = {"input": {c: x[c].tolist() for c in x}}
    for alpha in [1.0, 0.6]:
        fair = CorrelationRemover(sensitive_feature_ids=["s", "t"], alpha=alpha).fit_transform(x)
        out[f"alpha {alpha}"] = {"f": np.asarray(fair)[:, 0].tolist(), "g": np.asarray(fair)[:, 1].tolist()}
    return out


def logistic(data):
    rng = np.random.default_rng(5)
    weights = np.round(rng.uniform(0.2, 3.0, len(data)), 3)
    fitted = LogisticRegression(C=1.0, tol=1e-12, max_iter=10000).fit(data[["x", "z"]], data["y"], sample_weight=weights)
    return {"weights": weights.tolist(), "coefficients": fitted.coef_[0].tolist(), "intercept": float(fitted.intercept_[0])}


data = rows(400, 7)
versions = {m.__name__: m.__version__ for m in (fairlearn, sklearn, np, pd)}
OUT.write_text(json.dumps({
    "versions": versions | {"python": sys.version.split()[0]},
    "rows": {c: data[c].tolist() for c in data},
    "thresholds": thresholds(data),
    "exponentiated_gradient": gradients(data),
    "correlation_remover": correlation(data),
    "logistic": logistic(data),
}) + "\n")
