"""Records what scipy, statsmodels and scikit-learn say of metrics and comparisons of models.

Needs numpy, scipy, statsmodels and scikit-learn. Writes gates.json beside this file:

    python make_gates.py
"""

import json
import math
import pathlib

import numpy as np
import scipy
import sklearn
import statsmodels
from scipy import stats
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

rng = np.random.default_rng(11)


def scores(n, gap, ties):
    y = (rng.random(n) < 0.4).astype(int)
    score = 1 / (1 + np.exp(-(gap * (y - 0.5) + rng.normal(size=n))))
    if ties:
        score = np.round(score, 1)
    return y, score


def delong_covariance(y, both):
    """DeLong et al. 1988, by the definition over all pairs."""
    pos, neg = [s[y == 1] for s in both], [s[y == 0] for s in both]
    psi = [(p[:, None] > q[None, :]) + 0.5 * (p[:, None] == q[None, :]) for p, q in zip(pos, neg)]
    auc = np.array([m.mean() for m in psi])
    v10 = np.array([m.mean(axis=1) for m in psi])
    v01 = np.array([m.mean(axis=0) for m in psi])
    return auc, np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]


def single(name, y, score, threshold=0.5):
    pred = (score >= threshold).astype(int)
    n = len(y)
    out = {"name": name, "y_true": y.tolist(), "y_score": score.tolist(), "metrics": {}}

    def put(metric, value, limits):
        out["metrics"][metric] = [float(value), *map(float, limits)]

    def wilson(k, m):
        return proportion_confint(int(k), int(m), method="wilson")

    put("accuracy", metrics.accuracy_score(y, pred), wilson((y == pred).sum(), n))
    put("precision", metrics.precision_score(y, pred), wilson(((y == 1) & (pred == 1)).sum(), pred.sum()))
    recall, specificity = metrics.recall_score(y, pred), metrics.recall_score(1 - y, 1 - pred)
    of_recall = wilson(((y == 1) & (pred == 1)).sum(), (y == 1).sum())
    of_specificity = wilson(((y == 0) & (pred == 0)).sum(), (y == 0).sum())
    put("recall", recall, of_recall)
    put("specificity", specificity, of_specificity)
    balanced = metrics.balanced_accuracy_score(y, pred)
    put("balanced_accuracy", balanced, (
        balanced - math.hypot(recall - of_recall[0], specificity - of_specificity[0]) / 2,
        balanced + math.hypot(of_recall[1] - recall, of_specificity[1] - specificity) / 2,
    ))
    auc, cov = delong_covariance(y, [score, score])
    assert abs(auc[0] - metrics.roc_auc_score(y, score)) < 1e-12
    logit, half = math.log(auc[0] / (1 - auc[0])), 1.959963984540054 * math.sqrt(cov[0, 0]) / (auc[0] * (1 - auc[0]))
    put("roc_auc", auc[0], [1 / (1 + math.exp(-(logit + s * half))) for s in (-1, 1)])
    for metric, losses in (
        ("brier", (score - y) ** 2),
        ("log_loss", -np.log(np.where(y == 1, score, 1 - score))),
    ):
        put(metric, losses.mean(), stats.t.interval(0.95, n - 1, losses.mean(), stats.sem(losses)))
    out["matthews_correlation"] = float(metrics.matthews_corrcoef(y, pred))
    return out


def pair(name, y, a, b, threshold=0.5):
    out = {"name": name, "y_true": y.tolist(), "challenger": a.tolist(), "champion": b.tolist()}
    right_a, right_b = (a >= threshold) == y, (b >= threshold) == y
    gained, lost = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    table = [[0, gained], [lost, 0]]
    exact = mcnemar(table, exact=True).pvalue
    mid = exact - stats.binom.pmf(min(gained, lost), gained + lost, 0.5)
    out["accuracy"] = {"difference": (gained - lost) / len(y), "exact": exact, "mid_p": min(mid, 1.0)}
    auc, cov = delong_covariance(y, [a, b])
    error = math.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    slope = 1 / (auc * (1 - auc))
    on_logit = math.sqrt((slope[0] ** 2) * cov[0, 0] + (slope[1] ** 2) * cov[1, 1] - 2 * slope[0] * slope[1] * cov[0, 1])
    logits = np.log(auc / (1 - auc))
    middle, apart = logits.mean(), logits[0] - logits[1]

    def back(d):
        return 1 / (1 + math.exp(-(middle + d / 2))) - 1 / (1 + math.exp(-(middle - d / 2)))

    z = 1.959963984540054
    out["roc_auc"] = {
        "difference": float(auc[0] - auc[1]),
        "p_value": float(2 * stats.norm.sf(abs(auc[0] - auc[1]) / error)),
        "limits": [back(apart - z * on_logit), back(apart + z * on_logit)],
    }
    gains = (b - y) ** 2 - (a - y) ** 2
    test = stats.ttest_rel((b - y) ** 2, (a - y) ** 2)
    out["brier"] = {
        "difference": float(gains.mean()),
        "p_value": float(test.pvalue),
        "limits": list(map(float, test.confidence_interval(0.95))),
    }
    return out


y1, s1 = scores(300, 2.0, False)
y2, s2 = scores(157, 1.0, True)
s2 = np.clip(s2, 0.05, 0.95)
y3, s3 = scores(2000, 0.6, False)
shared = rng.normal(size=400)
y4 = (rng.random(400) < 0.5).astype(int)


def model(gap, own):
    return 1 / (1 + np.exp(-(gap * (y4 - 0.5) + shared + own * rng.normal(size=400))))


truth = rng.normal(size=201) * 10
values = truth + rng.standard_t(3, size=201)
errors = np.sort(np.abs(truth - values))
k = int(stats.binom.ppf(0.025, len(errors), 0.5))
while stats.binom.cdf(k, len(errors), 0.5) > 0.025:
    k -= 1
out = {
    "versions": {"numpy": np.__version__, "scipy": scipy.__version__, "sklearn": sklearn.__version__, "statsmodels": statsmodels.__version__},
    "single": [single("smooth", y1, s1), single("ties", y2, s2), single("weak", y3, s3)],
    "pairs": [
        pair("better", y4, model(3.0, 0.5), model(2.0, 0.5)),
        pair("alike", y4, model(2.0, 0.7), model(2.0, 0.7)),
        pair("worse", y4, model(0.5, 0.3), model(2.0, 0.3)),
    ],
    "values": {
        "y_true": truth.tolist(),
        "y_pred": values.tolist(),
        "median_absolute_error": [metrics.median_absolute_error(truth, values), errors[k], errors[-1 - k]],
        "mae": [metrics.mean_absolute_error(truth, values), *map(float, stats.t.interval(0.95, 200, errors.mean(), stats.sem(errors)))],
        "r2": metrics.r2_score(truth, values),
    },
}
path = pathlib.Path(__file__).with_name("gates.json")
path.write_text(json.dumps(out, indent=1).replace("\n     ", " ") + "\n")
