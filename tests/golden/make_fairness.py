"""Golden values of group fairness metrics from fairlearn, and of linear attribution from shap.

    python tests/golden/make_fairness.py

writes mlops-fairness/tests/golden/fairness.json. Deterministic; records the versions.
"""

import json
import pathlib
import warnings

import fairlearn
import numpy as np
import shap
import sklearn
from fairlearn import metrics as fl
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, precision_score

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent.parent / "mlops-fairness" / "tests" / "golden" / "fairness.json"


def npv(y_true, y_pred):
    negative = y_pred == 0
    return float(np.mean(y_true[negative] == 0))


METRICS = {
    "selection_rate": fl.selection_rate,
    "base_rate": lambda y_true, y_pred: float(np.mean(y_true)),
    "true_positive_rate": fl.true_positive_rate,
    "false_positive_rate": fl.false_positive_rate,
    "true_negative_rate": fl.true_negative_rate,
    "false_negative_rate": fl.false_negative_rate,
    "positive_predictive_value": precision_score,
    "negative_predictive_value": npv,
    "accuracy": accuracy_score,
}


def case(name, rng, n, groups, bias):
    g = rng.integers(0, groups, n)
    y_true = (rng.random(n) < 0.3 + 0.1 * g / groups).astype(int)
    y_pred = (rng.random(n) < 0.2 + 0.5 * y_true + bias * g / groups).astype(int)
    sensitive = np.array([f"g{i}" for i in g])
    frame = fl.MetricFrame(
        metrics=METRICS, y_true=y_true, y_pred=y_pred, sensitive_features=sensitive
    )
    args = {"y_true": y_true, "y_pred": y_pred, "sensitive_features": sensitive}
    return {
        "name": name,
        "group": sensitive.tolist(),
        "y_true": y_true.tolist(),
        "y_pred": y_pred.tolist(),
        "overall": {k: float(v) for k, v in frame.overall.items()},
        "by_group": {
            str(group): {k: float(v) for k, v in row.items()}
            for group, row in frame.by_group.iterrows()
        },
        "gaps": {
            "demographic_parity_difference": fl.demographic_parity_difference(**args),
            "demographic_parity_ratio": fl.demographic_parity_ratio(**args),
            "equal_opportunity_difference": fl.equal_opportunity_difference(**args),
            "equalized_odds_difference": fl.equalized_odds_difference(**args),
            "equalized_odds_ratio": fl.equalized_odds_ratio(**args),
        },
    }


def intersectional(rng, n):
    """Groups of two features, as fairlearn takes several sensitive columns."""
    sex = rng.choice(["F", "M"], n, p=[0.4, 0.6])
    race = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    y_true = (rng.random(n) < 0.35).astype(int)
    tilt = 0.1 * (sex == "M") + 0.15 * (race == "a")
    y_pred = (rng.random(n) < 0.2 + 0.4 * y_true + tilt).astype(int)
    sensitive = {"sex": sex, "race": race}
    frame = fl.MetricFrame(
        metrics=METRICS, y_true=y_true, y_pred=y_pred, sensitive_features=sensitive
    )
    selection = fl.MetricFrame(
        metrics=fl.selection_rate, y_true=y_true, y_pred=y_pred, sensitive_features=sensitive
    )
    return {
        "sex": sex.tolist(),
        "race": race.tolist(),
        "y_true": y_true.tolist(),
        "y_pred": y_pred.tolist(),
        "by_group": {
            ", ".join(group): {k: float(v) for k, v in row.items()}
            for group, row in frame.by_group.iterrows()
        },
        "gaps": {
            "demographic_parity_difference": float(selection.difference()),
            "demographic_parity_ratio": float(selection.ratio()),
            "equal_opportunity_difference": float(frame.difference()["true_positive_rate"]),
            "equalized_odds_difference": float(
                frame.difference()[["true_positive_rate", "false_positive_rate"]].max()
            ),
            "equalized_odds_ratio": float(
                frame.ratio()[["true_positive_rate", "false_positive_rate"]].min()
            ),
        },
    }


def linear(rng, name, model, y):
    """shap.LinearExplainer on all of the background: its default masker would draw 100 rows."""
    background = rng.normal(size=(60, 4)) * [1, 10, 0.1, 1000] + [0, 5, -1, 300]
    model.fit(background, y(background, rng))
    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.LinearExplainer(model, masker)
    rows = rng.normal(size=(8, 4)) * [1, 10, 0.1, 1000] + [0.5, 5, -1, 0]
    return {
        "name": name,
        "coefficients": np.ravel(model.coef_).tolist(),
        "intercept": float(np.ravel(model.intercept_)[0]),
        "background": background.tolist(),
        "rows": rows.tolist(),
        "base_value": float(np.ravel(explainer.expected_value)[0]),
        "shap_values": explainer.shap_values(rows).tolist(),
    }


def main():
    rng = np.random.default_rng(7)
    cases = [
        case("two groups", rng, 200, 2, 0.0),
        case("two groups, biased", rng, 300, 2, 0.3),
        case("five groups", rng, 800, 5, 0.25),
        case("many groups", rng, 900, 12, 0.1),
    ]
    crossed = intersectional(rng, 700)
    explained = [
        linear(rng, "regression", LinearRegression(), lambda x, r: x @ [1, 2, 3, 0.1]),
        linear(
            rng,
            "logistic",
            LogisticRegression(max_iter=2000),
            lambda x, r: (x[:, 0] + x[:, 1] / 10 + r.normal(size=len(x)) > 0.5).astype(int),
        ),
    ]
    versions = {
        "fairlearn": fairlearn.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "shap": shap.__version__,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    golden = {
        "versions": versions,
        "cases": cases,
        "intersectional": crossed,
        "linear": explained,
    }
    OUT.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
