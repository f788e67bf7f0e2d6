"""Reference values for performance without labels: isotonic regression from scikit-learn, CBPE and
its calibration error from NannyML. Run with a Python that has nannyml (which brings scikit-learn):

    python make_performance.py > performance.json
"""

import json
import logging
import sys
import warnings
from importlib.metadata import version

import nannyml
import numpy as np
import pandas as pd
from nannyml.calibration import _calculate_expected_calibration_error, _get_bin_index_edges
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
rng = np.random.default_rng(20261121)


def floats(values):
    return [float(v) for v in values]


def isotonic(name, x, y):
    fit = IsotonicRegression(out_of_bounds="clip").fit(x, y)
    at = np.concatenate([np.linspace(x.min() - 1, x.max() + 1, 41), np.unique(x)[:20]])
    return dict(name=name, x=floats(x), y=floats(y), at=floats(at), predicted=floats(fit.predict(at)))


def isotonic_cases():
    x = rng.normal(size=60)
    yield isotonic("normal", x, x + rng.normal(size=60))
    x = rng.integers(0, 8, size=80).astype(float)
    yield isotonic("ties", x, x / 4 + rng.normal(size=80))
    x = rng.uniform(size=70)
    yield isotonic("labels", x, (rng.uniform(size=70) < x).astype(float))
    x = rng.uniform(size=30)
    yield isotonic("falling", x, -x)


def exact_auc(p, score):
    """The area under the expected ROC curve without rounding, rows of one score together."""
    p, score = np.asarray(p), np.asarray(score)
    area = below = 0.0
    for s in np.unique(score):
        tie = score == s
        tp, fp = p[tie].sum(), (1 - p[tie]).sum()
        area += tp * (below + fp / 2)
        below += fp
    return area / (p.sum() * (1 - p).sum())


def cbpe(name, truth, ties):
    def rows(n, low, high):
        score = rng.uniform(low, high, size=n)
        if ties:
            score = np.round(score, 1)
        y = (rng.uniform(size=n) < truth(score)).astype(int)
        return pd.DataFrame(dict(score=score, y=y, predicted=(score >= 0.5).astype(int)))

    reference, current = rows(600, 0, 1), rows(300, 0.2, 0.95)
    metrics = ["roc_auc", "accuracy", "f1", "precision", "recall", "specificity"]
    estimator = nannyml.CBPE(
        y_pred_proba="score", y_pred="predicted", y_true="y",
        problem_type="classification_binary", metrics=metrics + ["confusion_matrix"], chunk_number=1,
    )
    estimator.fit(reference)
    found = estimator.estimate(current).filter(period="analysis").to_df()
    confusion = ["true_positive", "false_positive", "false_negative", "true_negative"]
    p = current.score.to_numpy()
    if estimator.needs_calibration:
        p = IsotonicRegression(out_of_bounds="clip").fit(reference.score, reference.y).predict(p)
    edges = _get_bin_index_edges(len(reference), 10)
    return dict(
        name=name,
        reference=dict(score=floats(reference.score), y=[int(v) for v in reference.y]),
        current=floats(current.score),
        y_current=[int(v) for v in current.y],
        calibrated=bool(estimator.needs_calibration),
        expected_calibration_error=float(_calculate_expected_calibration_error(
            reference.y, reference.score, edges)),
        estimated={m: float(found[(m, "value")].iloc[0]) for m in metrics + confusion},
        sampling_error={m: float(found[(m, "sampling_error")].iloc[0]) for m in metrics},
        roc_auc_unrounded=exact_auc(p, current.score),
        reference_roc_auc=float(roc_auc_score(reference.y, reference.score)),
    )


golden = dict(
    versions={p: version(p) for p in ["nannyml", "scikit-learn", "numpy", "pandas"]},
    isotonic=list(isotonic_cases()),
    cbpe=[
        cbpe("squares", lambda s: s * s, ties=False),
        cbpe("roots", np.sqrt, ties=False),
        cbpe("squares, ties", lambda s: s * s, ties=True),
    ],
)
json.dump(golden, sys.stdout, indent=0)
