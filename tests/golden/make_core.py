"""Golden cases of mlops-core: tails, intervals, tests and metrics. See README.md beside this file."""

import json
from fractions import Fraction
from math import comb, gcd
from pathlib import Path

import mpmath as mp
import numpy as np
import scipy
import scipy.stats as st
import sklearn
import sklearn.metrics as sk
import statsmodels
import statsmodels.stats.contingency_tables as ct
import statsmodels.stats.multitest as mt
import statsmodels.stats.proportion as sp

OUT = Path(__file__).resolve().parents[2] / "mlops-core" / "tests" / "golden"
VERSIONS = {
    "numpy": np.__version__,
    "scipy": scipy.__version__,
    "scikit-learn": sklearn.__version__,
    "statsmodels": statsmodels.__version__,
    "mpmath": mp.__version__,
}
SMALLEST = mp.mpf("1e-300")
mp.mp.dps = 50


def write(name, cases):
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"versions": VERSIONS, **cases}, indent=1, sort_keys=True, allow_nan=False)
    (OUT / name).write_text(text + "\n")


def case(args, value):
    return {"args": [float(a) for a in args], "value": float(value)}


def cases(function, grid):
    made = []
    for args in grid:
        value = function(*[mp.mpf(float(a)) for a in args])
        if value > SMALLEST:
            made.append(case(args, value))
    return made


# Tails.

def chi_square_sf(x, df):
    """One minus the series of the lower function, with digits to spare for the difference."""
    with mp.workdps(360):
        a, x = df / 2, x / 2
        term = total = 1 / a
        n = 0
        while term > total * mp.mpf(10) ** -355:
            n += 1
            term *= x / (a + n)
            total += term
        return 1 - mp.exp(a * mp.log(x) - x - mp.loggamma(a)) * total


def beta_lower(a, b, x, y):
    """The regularized incomplete beta function by its series in the smaller of x and y."""
    if x > y:
        with mp.workdps(360):
            return 1 - beta_lower(b, a, y, x)
    with mp.workdps(360):
        log = a * mp.log(x) + b * mp.log(y) - mp.log(a)
        log -= mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)
        term = total = mp.mpf(1)
        n = 0
        while term > total * mp.mpf(10) ** -355:
            term *= (a + b + n) / (a + 1 + n) * x
            total += term
            n += 1
        return mp.exp(log) * total


def student_t_sf(t, df):
    with mp.workdps(360):
        x = df / (df + t * t)
        return beta_lower(df / 2, mp.mpf(1) / 2, x, 1 - x) / 2


def f_sf(x, n, d):
    with mp.workdps(360):
        share = d / (d + n * x)
        return beta_lower(d / 2, n / 2, share, 1 - share)


def binomial_sf(k, n, p):
    with mp.workdps(360):
        return beta_lower(k + 1, n - k, p, 1 - p)


def beta_cdf(x, a, b):
    with mp.workdps(360):
        return beta_lower(a, b, x, 1 - x)


def normal_quantile(p):
    start = st.norm.ppf(float(p))
    if start == 0:
        return mp.mpf(0)
    return mp.findroot(lambda x: mp.log(mp.ncdf(x)) - mp.log(p), start)


def kolmogorov_sf(x):
    if x < mp.mpf("0.3"):
        return 1 - mp.sqrt(2 * mp.pi) / x * sum(
            mp.exp(-((2 * k - 1) ** 2) * mp.pi ** 2 / (8 * x * x)) for k in range(1, 30))
    return 2 * sum((-1) ** (k - 1) * mp.exp(-2 * k * k * x * x) for k in range(1, 60))


def tails():
    z = [-8, -3, -1, -0.1, 0, 1e-10, 0.1, 0.5, 1, 1.5, 1.7, 1.8, 2, 3, 5, 8, 10, 20, 30, 37]
    p = [1e-300, 1e-100, 1e-20, 1e-9, 1e-5, 0.001, 0.024, 0.075, 0.1, 0.3, 0.49, 0.51, 0.7, 0.925,
         0.975, 0.9999]
    freedom = [0.5, 1, 2, 3, 5, 10, 30, 100, 999, 10_000]
    share = [0.001, 0.1, 0.5, 0.9, 1, 1.02, 1.1, 1.5, 2, 5, 20, 100]
    t = [1e-8, 0.1, 0.7, 1, 1.5, 1.96, 3, 10, 36, 1e3, 1e10]
    fs = [0.01, 0.5, 0.99, 1, 1.3, 3, 20, 1e3, 1e8]
    shapes = [(0.5, 0.5), (1, 1), (2, 3), (0.1, 7), (30, 2), (50, 1000), (2000, 3000)]
    xs = [1e-12, 0.001, 0.02, 0.1, 0.3, 0.39, 0.4, 0.41, 0.7, 0.95, 0.999]
    draws = [(0, 1, 0.5), (0, 10, 0.1), (3, 10, 0.3), (9, 10, 0.01), (49, 100, 0.5), (80, 100, 0.5),
             (999, 1000, 0.5), (600, 1000, 0.5), (5000, 10_000, 0.49), (20, 100_000, 1e-5),
             (50_500, 100_000, 0.5)]
    return {
        "normal_sf": cases(lambda x: mp.ncdf(-x), [(x,) for x in z]),
        "normal_quantile": [case((v,), normal_quantile(mp.mpf(v))) for v in p],
        "chi_square_sf": cases(chi_square_sf, [(d * s, d) for d in freedom for s in share if d < 999 or s < 3]
                               + [(900, 1), (1380, 1), (1e-6, 1), (1.02e5, 1e5), (1e5, 1e5)]),
        "student_t_sf": cases(student_t_sf, [(x, d) for d in freedom for x in t]),
        "f_sf": cases(f_sf, [(x, n, d) for n in (1, 4, 100) for d in (1, 3, 50, 2000) for x in fs]),
        "beta_cdf": cases(beta_cdf,
                          [(x, a, b) for a, b in shapes for x in xs]),
        "binomial_sf": cases(binomial_sf, draws),
        "binomial_cdf": cases(lambda k, n, p: 1 - binomial_sf(k, n, p), draws),
        "student_t_quantile": [case((v, d), st.t.ppf(v, d)) for v in (0.001, 0.3, 0.9, 0.975)
                               for d in (1, 2, 4.5, 30, 1000)],
        "kolmogorov_sf": cases(kolmogorov_sf,
                               [(x,) for x in (0.05, 0.2, 0.4, 0.79, 0.8, 0.81, 1, 1.36, 2, 5, 12, 18)]),
    }


# The two-sample Kolmogorov-Smirnov statistic.

def ks_by_counting(d, n, m):
    """The share of lattice paths that touch |i/n - j/m| >= d, in integers."""
    least = round(d * n * m / gcd(n, m))
    a, b = n // gcd(n, m), m // gcd(n, m)
    row = [0] * (m + 1)
    for i in range(n + 1):
        for j in range(m + 1):
            if i == j == 0:
                row[j] = 1
            elif abs(i * b - j * a) >= least:
                row[j] = 0
            else:
                row[j] = (row[j] if i else 0) + (row[j - 1] if j else 0)
    return float(1 - Fraction(row[m], comb(n + m, n)))


def ks():
    rng = np.random.default_rng(1)
    sampled = []
    for n, m, shift in [(5, 5, 0), (20, 33, 0.3), (100, 100, 0.1), (250, 400, 0.05), (1000, 700, 0),
                        (2000, 2000, 0.03), (10_000, 9_000, 0.02)]:
        x, y = rng.normal(size=n), rng.normal(shift, size=m)
        result = st.ks_2samp(x, y, method="exact")
        sampled.append(case((result.statistic, n, m), result.pvalue))
    counted = [case((d, n, m), ks_by_counting(d, n, m)) for d, n, m in
               [(1, 60, 47), (0.9, 60, 45), (0.5, 60, 45), (0.2, 60, 45), (1, 80, 80), (0.5, 80, 80),
                (0.75, 300, 200), (0.05, 300, 200), (Fraction(3, 7), 7, 91)]]
    return {"ks_exact_scipy": sampled, "ks_exact_counted": counted}


# Intervals.

PAIRS = [(56, 70, 48, 80), (9, 10, 3, 10), (5, 56, 0, 29), (0, 10, 0, 20), (10, 10, 0, 20),
         (10, 10, 20, 20), (7, 2000, 40, 5000), (300, 1000, 290, 900), (1, 3, 1, 4)]


def score_difference(x, n, y, m, confidence):
    """Miettinen and Nurminen 1985 from the definition, by bisection."""
    mp.mp.dps = 30
    z2 = mp.mpf(st.norm.isf((1 - confidence) / 2)) ** 2
    total = n + m
    estimate = mp.mpf(x) / n - mp.mpf(y) / m

    def beyond(delta):
        low, high = max(mp.mpf(0), -delta), min(mp.mpf(1), 1 - delta)
        # The likelihood's slope, times all denominators: a cubic that falls through its zero.
        for _ in range(90):
            q = (low + high) / 2
            p = q + delta
            slope = ((x * (1 - p) - (n - x) * p) * q * (1 - q)
                     + (y * (1 - q) - (m - y) * q) * p * (1 - p))
            low, high = (q, high) if slope > 0 else (low, q)
        p = q + delta
        variance = (p * (1 - p) / n + q * (1 - q) / m) * total / (total - 1)
        if variance <= mp.mpf(10) ** -28:
            return estimate != delta
        return (estimate - delta) ** 2 / variance > z2

    def edge(inside, outside):
        if not beyond(outside):
            return outside
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if beyond(middle) else (middle, outside)
        return inside

    limits = edge(estimate, mp.mpf(-1)), edge(estimate, mp.mpf(1))
    mp.mp.dps = 50
    return [float(v) for v in limits]


def intervals():
    def limits(args, confidence, value):
        value = [float(v) for v in value]
        return {"args": list(args), "confidence": confidence,
                "value": value if all(np.isfinite(value)) else None}

    made = {"wilson": [], "clopper_pearson": [], "newcombe": [], "mn_difference": [], "katz": [],
            "mn_ratio": [], "mean_t": []}
    for confidence in (0.8, 0.95, 0.999):
        alpha = 1 - confidence
        for k, n in [(0, 1), (1, 1), (0, 10), (8, 10), (10, 10), (1, 100_000), (60, 123), (999, 1000)]:
            made["wilson"].append(limits((k, n), confidence, sp.proportion_confint(k, n, alpha, "wilson")))
            made["clopper_pearson"].append(
                limits((k, n), confidence, sp.proportion_confint(k, n, alpha, "beta")))
        for pair in PAIRS:
            x, n, y, m = pair
            made["newcombe"].append(limits(pair, confidence, sp.confint_proportions_2indep(
                *pair, method="newcomb", compare="diff", alpha=alpha)))
            made["mn_difference"].append(limits(pair, confidence, score_difference(*pair, confidence)))
            if x and y:
                made["katz"].append(limits(pair, confidence, sp.confint_proportions_2indep(
                    *pair, method="log", compare="ratio", alpha=alpha)))
            # Where all succeed in both, the reference's search does not move from 1.
            if x and y and (x, y) != (n, m):
                made["mn_ratio"].append(limits(pair, confidence, sp.confint_proportions_2indep(
                    *pair, method="score", compare="ratio", alpha=alpha)))
        for mean, sd, n in [(0, 1, 2), (5.5, 0.1, 10), (-3, 20, 1000)]:
            made["mean_t"].append(limits((mean, sd, n), confidence,
                                         st.t.interval(confidence, n - 1, mean, sd / np.sqrt(n))))
    return made


# Tests.

def tests():
    rng = np.random.default_rng(2)
    lists = [[0.5], [0.01, 0.04, 0.03, 0.04, 0.9], [1e-200, 0.0, 1.0, 1e-10, 0.2],
             list(rng.uniform(size=30)), list(rng.uniform(size=25) ** 6)]
    multiple = [{"p": p, **{name: list(mt.multipletests(p, method=name)[1])
                            for name in ("bonferroni", "holm", "fdr_bh", "fdr_by")}} for p in lists]
    chi = []
    for a, b in [([20, 30], [30, 20]), ([5, 0, 8, 1], [9, 4, 0, 0]), ([1000, 10, 3], [10, 900, 4]),
                 (list(rng.integers(0, 500, 12)), list(rng.integers(1, 800, 12))),
                 ([500_000, 500_300], [499_000, 501_000])]:
        result = st.chi2_contingency([a, b], correction=False)
        x = mp.mpf(0)
        total = sum(int(v) for v in [*a, *b])
        for row in (a, b):
            for j, v in enumerate(row):
                e = mp.mpf(int(sum(row))) * (int(a[j]) + int(b[j])) / total
                x += (int(v) - e) ** 2 / e
        chi.append({"current": [int(v) for v in a], "reference": [int(v) for v in b],
                    "statistic": float(x), "scipy_statistic": float(result.statistic),
                    "dof": int(result.dof), "p_value": float(chi_square_sf(x, mp.mpf(result.dof))),
                    "expected": result.expected_freq.tolist()})
    pairs = []
    for b, c in [(1, 9), (0, 5), (12, 12), (40, 70), (500, 300), (3, 2)]:
        pairs.append({"b": b, "c": c, "exact": float(ct.mcnemar([[0, b], [c, 0]], exact=True).pvalue),
                      "mid": float(min(1, 2 * st.binom.cdf(min(b, c), b + c, 0.5)
                                       - st.binom.pmf(min(b, c), b + c, 0.5)))})
    return {"multiple": multiple, "chi_square": chi, "mcnemar": pairs}


# Metrics.

def delong(y, scores):
    """The areas and their covariance matrix, by the definition over all pairs."""
    parts = []
    for s in scores:
        p, q = s[y == 1], s[y == 0]
        psi = (p[:, None] > q[None, :]) + 0.5 * (p[:, None] == q[None, :])
        parts.append((psi.mean(axis=1), psi.mean(axis=0)))
    ten, one = np.array([v[0] for v in parts]), np.array([v[1] for v in parts])
    covariance = np.cov(ten) / ten.shape[1] + np.cov(one) / one.shape[1]
    return ten.mean(axis=1), covariance


def metrics():
    rng = np.random.default_rng(3)
    classified, estimated = [], []
    for n, grid, rate in [(20, 4, 0.5), (200, 50, 0.3), (500, None, 0.05), (300, 10, 0.9)]:
        y = (rng.uniform(size=n) < rate).astype(int)
        noise = [rng.uniform(size=n) for _ in range(2)]
        scores = [np.clip(0.35 * y + 0.65 * u, 0, 1) for u in noise]
        if grid:
            scores = [np.round(s * grid) / grid for s in scores]
        s = scores[0]
        predicted = (s >= 0.5).astype(int)
        areas, covariance = delong(y, scores)
        difference = areas[0] - areas[1]
        error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
        logit = np.log(areas[0] / (1 - areas[0]))
        half = st.norm.ppf(0.975) * np.sqrt(covariance[0, 0]) / (areas[0] * (1 - areas[0]))
        classified.append({
            "y_true": y.tolist(), "y_score": s.tolist(), "other_score": scores[1].tolist(),
            "accuracy": sk.accuracy_score(y, predicted),
            "precision": sk.precision_score(y, predicted),
            "recall": sk.recall_score(y, predicted),
            "specificity": sk.recall_score(y, predicted, pos_label=0),
            "f1": sk.f1_score(y, predicted),
            "roc_auc": sk.roc_auc_score(y, s),
            "average_precision": sk.average_precision_score(y, s),
            "log_loss": sk.log_loss(y, s),
            "brier": sk.brier_score_loss(y, s),
            "delong_std_error": float(np.sqrt(covariance[0, 0])),
            "delong_interval": [float(1 / (1 + np.exp(-(logit + v)))) for v in (-half, half)],
            "delong_difference": float(difference),
            "delong_difference_std_error": float(error),
            "delong_p_value": float(2 * st.norm.sf(abs(difference / error))),
        })
    for n, scale, offset in [(10, 1, 0), (300, 40, 1000), (200, 1e-3, -5)]:
        y = rng.normal(offset, scale, n)
        predicted = y + rng.normal(0, scale / 2, n)
        estimated.append({
            "y_true": y.tolist(), "y_pred": predicted.tolist(),
            "mae": sk.mean_absolute_error(y, predicted), "mse": sk.mean_squared_error(y, predicted),
            "rmse": sk.root_mean_squared_error(y, predicted), "r2": sk.r2_score(y, predicted),
        })
    return {"classified": classified, "estimated": estimated}


if __name__ == "__main__":
    write("metrics.json", metrics())
    write("tests.json", tests())
    write("intervals.json", intervals())
    write("tails.json", {**tails(), **ks()})
