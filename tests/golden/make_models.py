"""Golden predictions and fits of scikit-learn's linear models and trees.

    python tests/golden/make_models.py

writes mlops-core/tests/golden/models.json. Deterministic; records the versions.
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent.parent / "mlops-core" / "tests" / "golden" / "models.json"


def given_logistic(rng, classes):
    """predict_proba of coefficients that nobody fitted, over margins from tiny to huge."""
    outputs = 1 if len(classes) == 2 else len(classes)
    x = rng.normal(size=(40, 3)) * np.logspace(-6, 2, 40)[:, None]
    model = LogisticRegression()
    model.classes_ = np.array(classes)
    model.coef_ = rng.normal(size=(outputs, 3)) * 2
    model.intercept_ = rng.normal(size=outputs)
    return {
        "classes": classes,
        "x": x.tolist(),
        "coefficients": model.coef_.ravel().tolist(),
        "intercepts": model.intercept_.tolist(),
        "margins": model.decision_function(x).ravel().tolist(),
        "probabilities": model.predict_proba(x).ravel().tolist(),
    }


def fitted_logistic(rng, classes, alpha):
    x = rng.normal(size=(150, 3))
    z = x @ rng.normal(size=(3, len(classes))) + rng.gumbel(size=(150, len(classes)))
    y = np.array(classes)[z.argmax(axis=1)]
    model = LogisticRegression(C=1 / alpha, tol=1e-12, max_iter=10_000).fit(x, y)
    return {
        "classes": classes,
        "alpha": alpha,
        "x": x.tolist(),
        "y": y.tolist(),
        "coefficients": model.coef_.ravel().tolist(),
        "intercepts": model.intercept_.tolist(),
    }


def fitted_linear(rng):
    x = rng.normal(size=(80, 4)) * [1, 10, 0.1, 1] + [0, 5, -3, 100]
    y = x @ rng.normal(size=4) + 7 + rng.normal(size=80)
    model = LinearRegression().fit(x, y)
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "coefficients": model.coef_.tolist(),
        "intercept": float(model.intercept_),
        "values": model.predict(x).tolist(),
    }


def tree(rng, model, classes):
    # Trees of scikit-learn look at single-precision features.
    x = np.round(rng.normal(size=(200, 3)), 1).astype(np.float32).astype(float)
    y = x[:, 0] * x[:, 1] + x[:, 2] + rng.normal(size=200)
    if classes:
        y = np.array(classes)[np.digitize(y, [-0.5, 0.5])]
    model.fit(x, y)
    t = model.tree_
    values = t.value[:, 0, :]
    return {
        "classes": classes,
        "x": x.tolist(),
        "feature": t.feature.tolist(),
        "threshold": t.threshold.tolist(),
        "left": t.children_left.tolist(),
        "right": t.children_right.tolist(),
        "cover": t.weighted_n_node_samples.tolist(),
        "value": values.tolist(),
        "leaf": model.apply(x).tolist(),
        "expected": (model.predict_proba(x) if classes else model.predict(x)).ravel().tolist(),
    }


def main():
    rng = np.random.default_rng(20261121)
    abc = ["a", "b", "c"]
    golden = {
        "versions": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        "given": [given_logistic(rng, ["no", "yes"]), given_logistic(rng, abc)],
        "logistic": [
            fitted_logistic(rng, ["no", "yes"], 1.0),
            fitted_logistic(rng, ["no", "yes"], 0.01),
            fitted_logistic(rng, abc, 2.0),
        ],
        "linear": fitted_linear(rng),
        "trees": [
            tree(rng, DecisionTreeClassifier(max_depth=6, random_state=0), abc),
            tree(rng, DecisionTreeRegressor(max_depth=5, random_state=0), None),
        ],
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
