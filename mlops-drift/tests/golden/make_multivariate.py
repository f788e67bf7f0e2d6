"""Golden values of tests of several columns: numpy, scipy and scikit-learn.

    python make_multivariate.py > multivariate.json

Data are rounded to a few digits, so that JSON carries them exactly.
"""

import json
import sys

import numpy as np
import scipy
import scipy.spatial.distance as sd
import scipy.stats as st
import sklearn
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(20261121)


def data(n, d, kind):
    if kind == "normal":
        x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    elif kind == "tails":
        x = np.exp(2 * rng.normal(size=(n, d)))
    elif kind == "tied":
        x = rng.integers(0, 4, size=(n, d)).astype(float)
    elif kind == "offset":
        x = 1e6 + rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    return np.round(x, 6)


def eigen_case(name, a):
    values, vectors = np.linalg.eigh(a)
    values, vectors = values[::-1], vectors[:, ::-1].T
    return {"name": name, "n": len(a), "matrix": a.tolist(), "values": values.tolist(),
            "vectors": vectors.tolist()}


def eigen():
    cases = []
    for n in [1, 2, 3, 8, 25]:
        a = np.round(rng.normal(size=(n, n)), 4)
        cases.append(eigen_case(f"symmetric {n}", a + a.T))
    x = data(200, 12, "normal")
    cases.append(eigen_case("correlations 12", np.corrcoef(x.T)))
    cases.append(eigen_case("graded", np.diag([1e8, 1.0, 1e-8]) + 1e-9))
    return cases


def pca():
    cases = []
    for kind, n, d, share in [("normal", 120, 6, 0.65), ("tails", 90, 5, 0.65),
                              ("tied", 200, 4, 0.5), ("offset", 80, 7, 0.9)]:
        x, y = data(n, d, kind), data(n // 2, d, kind)
        scaler = StandardScaler().fit(x)
        p = PCA(share, svd_solver="full").fit(scaler.transform(x))

        def errors(z):
            z = scaler.transform(z)
            return np.linalg.norm(z - p.inverse_transform(p.transform(z)), axis=1)

        cases.append({"name": f"{kind} {n}x{d}", "explained": share, "reference": x.tolist(),
                      "current": y.tolist(), "mean": scaler.mean_.tolist(),
                      "scale": scaler.scale_.tolist(), "components": p.components_.tolist(),
                      "ratio": p.explained_variance_ratio_.tolist(),
                      "errors": errors(y).tolist()})
    return cases


def mmd2(x, y, sigma):
    k = lambda a, b: np.exp(-sd.cdist(a, b, "sqeuclidean") / (2 * sigma**2))
    n, m = len(x), len(y)
    xx, yy, xy = k(x, x), k(y, y), k(x, y)
    off = lambda a: (a.sum() - np.trace(a)) / (len(a) * (len(a) - 1))
    # The first-order variance: twice each point's witness, by side.
    wx = (xx.sum(1) - 1) / (n - 1) - xy.mean(1)
    wy = (yy.sum(1) - 1) / (m - 1) - xy.mean(0)
    variance = 4 * wx.var(ddof=1) / n + 4 * wy.var(ddof=1) / m
    return off(xx) + off(yy) - 2 * xy.mean(), variance


def two_samples():
    cases = []
    for kind, n, m, d in [("normal", 60, 60, 3), ("normal", 70, 31, 5), ("tails", 50, 40, 2),
                          ("tied", 80, 45, 3), ("normal", 40, 33, 1)]:
        x, y = data(n, d, kind), data(m, d, kind)
        pooled = np.vstack([x, y])
        sigma = np.sqrt(np.median(sd.pdist(pooled, "sqeuclidean")) / 2)
        value, variance = mmd2(x, y, sigma)
        fixed, _ = mmd2(x, y, 0.7)
        case = {"name": f"{kind} {n} {m} {d}", "reference": x.tolist(), "current": y.tolist(),
                "sigma": sigma, "mmd2": value, "first_order_variance": variance,
                "mmd2_at_sigma_0_7": fixed}
        if d == 1:
            case["wasserstein"] = st.wasserstein_distance(x[:, 0], y[:, 0])
        else:
            case["pearson"] = [np.corrcoef(x.T).tolist(), np.corrcoef(y.T).tolist()]
            rank = lambda z: np.apply_along_axis(st.rankdata, 0, z)
            case["spearman"] = [np.corrcoef(rank(x).T).tolist(), np.corrcoef(rank(y).T).tolist()]
        cases.append(case)
    return cases


def ridge():
    """Ridge regression on ranks, squares and products, by fold, from the normal equations."""
    n, d, folds = 90, 3, 3
    x = data(n, d, "normal")
    label = np.array([i % 2 for i in range(n)], dtype=float)
    ranks = np.column_stack([2 * (st.rankdata(c) - 0.5) / n - 1 for c in x.T])
    products = [3 * ranks[:, i] * ranks[:, j] for i in range(d) for j in range(i)]
    t = np.column_stack([np.sqrt(3) * ranks, np.sqrt(5) * (1.5 * ranks**2 - 0.5), *products])
    t = t - t.mean(0)
    fold = np.arange(n) % folds
    y = label - label.mean()
    scores = np.zeros(n)
    p = t.shape[1]
    for f in range(folds):
        train = fold != f
        beta = np.linalg.solve(t[train].T @ t[train] + p * np.eye(p), t[train].T @ y[train])
        scores[~train] = t[~train] @ beta
    auc = [roc_auc_score(label[fold == f], scores[fold == f]) for f in range(folds)]
    return {"ranks": ranks.tolist(), "labels": label.tolist(), "folds": fold.tolist(),
            "scores": scores.tolist(), "auc": auc}


json.dump({"versions": {"python": sys.version.split()[0], "numpy": np.__version__,
                        "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
           "eigen": eigen(), "pca": pca(), "two_samples": two_samples(), "ridge": ridge()},
          sys.stdout)
print()
