"""Golden values of model-agnostic explainers from shap, of permutation importance and partial
dependence from scikit-learn.

    python tests/golden/make_attribution.py

writes mlops-fairness/tests/golden/attribution.json. Deterministic; records the versions.
"""

import json
import pathlib
import warnings

import numpy as np
import shap
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import partial_dependence, permutation_importance

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent.parent / "mlops-fairness" / "tests" / "golden" / "attribution.json"


def curved(x):
    """The function that the Rust test has, too."""
    x = np.atleast_2d(x)
    return (
        x[:, 0] * x[:, 1] + np.tanh(x[:, 2] - x[:, 3]) * x[:, 0] + x[:, 4] ** 2 - x[:, 1] * x[:, 2] * x[:, 4] + 0.5
    )


class Curved(RegressorMixin, BaseEstimator):
    def fit(self, x, y=None):
        self.n_features_in_ = 5
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, x):
        return curved(x)


def main():
    rng = np.random.default_rng(7)
    background, rows = rng.normal(size=(8, 5)), rng.normal(size=(4, 5))
    masker = shap.maskers.Independent(background, max_samples=100)

    exact = shap.explainers.ExactExplainer(curved, masker)(rows)
    # All coalitions fit into its samples, and the penalty is off: the regression is exact.
    kernel = shap.KernelExplainer(curved, background)
    kernel_values = kernel.shap_values(rows, l1_reg=0, silent=True)
    permutation = shap.explainers.PermutationExplainer(curved, masker, seed=1)(rows, max_evals=11 * 2000)
    # ((a b) (c (d e))): the tree as scipy's linkage.
    tree = np.array([[3.0, 4.0, 1.0, 2.0], [0.0, 1.0, 1.5, 2.0], [2.0, 5.0, 2.0, 3.0], [6.0, 7.0, 3.0, 5.0]])
    owen = shap.explainers.PartitionExplainer(
        curved, shap.maskers.Partition(background, max_samples=100, clustering=tree)
    )(rows, max_evals=4000, fixed_context=None)

    coefficients, intercept = np.array([2.0, -1.0, 0.0, 0.5, 3.0]), 0.25
    mixing = rng.normal(size=(5, 5))
    covariance = mixing @ mixing.T + 0.3 * np.eye(5)
    mean = rng.normal(size=5)
    linear = shap.LinearExplainer(
        (coefficients, intercept), (mean, covariance), feature_perturbation="correlation_dependent", nsamples=60000
    )

    data = rng.normal(size=(300, 5))
    labels = curved(data) + 0.1 * rng.normal(size=300)
    importance = permutation_importance(Curved().fit(data), data, labels, n_repeats=200, random_state=3, scoring="r2")
    grid = partial_dependence(Curved().fit(data), data, [0], kind="both", custom_values={0: np.array([-1.0, 0.0, 2.0])})

    OUT.write_text(
        json.dumps(
            {
                "made_by": "tests/golden/make_attribution.py",
                "versions": {"shap": shap.__version__, "sklearn": sklearn.__version__, "numpy": np.__version__},
                "background": background.tolist(),
                "rows": rows.tolist(),
                "base_value": float(np.ravel(exact.base_values)[0]),
                "exact": exact.values.tolist(),
                "kernel": np.asarray(kernel_values).tolist(),
                "permutation": permutation.values.tolist(),
                "owen": owen.values.tolist(),
                "correlated": {
                    "coefficients": coefficients.tolist(),
                    "intercept": intercept,
                    "mean": mean.tolist(),
                    "covariance": covariance.tolist(),
                    "values": np.asarray(linear.shap_values(rows)).tolist(),
                },
                "importance": {
                    "data": data.tolist(),
                    "labels": labels.tolist(),
                    "mean": importance.importances_mean.tolist(),
                    "std": importance.importances_std.tolist(),
                    "repeats": 200,
                },
                "dependence": {
                    "grid": [-1.0, 0.0, 2.0],
                    "average": grid["average"][0].tolist(),
                    "individual": grid["individual"][0][:5].tolist(),
                },
            }
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
