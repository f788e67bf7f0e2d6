"""Golden cases written from the documentation alone, to hold the whole library against the field.

Where a reference loses digits in double precision the value is rational or 50-digit arithmetic, and
`overruled` says which reference was off, where, and by how much.
"""

import json
import math
import random
import warnings
from fractions import Fraction as Q
from importlib.metadata import version
from pathlib import Path

import mpmath
import numpy as np
import pandas as pd
import shap
from fairlearn import metrics as fair
from scipy import stats
from sklearn import metrics as sk
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

warnings.simplefilter("ignore")
mpmath.mp.dps = 50
mpf = mpmath.mpf
overruled = []


def number(x):
    """A finite float, or None."""
    x = float(x)
    return x if math.isfinite(x) else None


def settle(where, reference, exact, tolerance=1e-13):
    """The exact value; notes where the reference is farther from it than the tolerance."""
    exact = float(exact)
    if reference is not None and number(reference) is not None:
        off = abs(float(reference) - exact) / max(abs(exact), 1e-300)
        if off > tolerance:
            overruled.append(f"{where}: {float(reference)!r}, exactly {exact!r}")
    return exact


def root(q):
    """The square root of a rational, rounded once."""
    return float(mpmath.sqrt(mpf(q.numerator) / q.denominator))


# ------------------------------------------------------------------ classification


def classification():
    rng = random.Random(1)
    sets = {}
    sets["untied"] = [(int(rng.random() < 0.4), rng.random()) for _ in range(60)]
    sets["ties"] = [(int(rng.random() < 0.5), rng.randrange(5) / 4) for _ in range(80)]
    sets["rare"] = [(int(i == 37), round(rng.random(), 2)) for i in range(100)]
    sets["constant"] = [(int(rng.random() < 0.3), 0.25) for _ in range(40)]
    sets["constant_half"] = [(int(i < 7), 0.5) for i in range(20)]
    sets["perfect"] = [(int(i >= 15), i / 32) for i in range(32)]
    sets["reversed"] = [(int(i < 5), i / 32) for i in range(32)]
    sets["certain"] = [(i % 2, [0.0, 1.0, 1.0, 0.0, 1e-20, 1 - 2**-53][i % 6]) for i in range(18)]
    sets["confident"] = [(int(i % 7 == 0), 1 - 1e-9 * (i + 1) if i % 7 == 0 else 1e-11 * (i + 1)) for i in range(35)]
    sets["subnormal"] = [(i % 2, [5e-324, 1e-310, 2.2e-308, 0.5][i % 4]) for i in range(24)]
    sets["neighbours"] = [(int(rng.random() < 0.5), 0.5 + (rng.randrange(7) - 3) * 2**-53) for _ in range(50)]
    sets["one_row"] = [(1, 0.7)]
    sets["no_positives"] = [(0, i / 10) for i in range(10)]
    sets["all_positive"] = [(1, i / 10) for i in range(10)]
    sets["nothing_predicted"] = [(i % 2, 0.1 + i / 100) for i in range(10)]
    out = []
    for name, rows in sets.items():
        y = np.array([a for a, _ in rows])
        p = np.array([b for _, b in rows])
        said = (p >= 0.5).astype(int)
        tp, fp = int(((y == 1) & (said == 1)).sum()), int(((y == 0) & (said == 1)).sum())
        fn, tn = int(((y == 1) & (said == 0)).sum()), int(((y == 0) & (said == 0)).sum())
        assert sk.confusion_matrix(y, said, labels=[0, 1]).tolist() == [[tn, fp], [fn, tp]]
        case = {"name": name, "y": y.tolist(), "p": p.tolist(), "confusion": [tp, fp, fn, tn]}
        nan = {"zero_division": np.nan}
        case["accuracy"] = number(sk.accuracy_score(y, said))
        case["precision"] = number(sk.precision_score(y, said, **nan))
        case["recall"] = number(sk.recall_score(y, said, **nan))
        case["specificity"] = number(sk.recall_score(y, said, pos_label=0, **nan))
        case["f1"] = number(sk.f1_score(y, said, **nan))
        # The same from text and booleans, as scikit-learn sees them.
        text = np.array(["no", "yes"])
        assert number(sk.f1_score(text[y], text[said], pos_label="yes", **nan)) == case["f1"]
        assert number(sk.f1_score(y.astype(bool), said.astype(bool), **nan)) == case["f1"]
        pos, neg = p[y == 1], p[y == 0]
        twice = sum(2 * int(a > b) + int(a == b) for a in pos for b in neg)
        if len(pos) and len(neg):
            exact = Q(twice, 2 * len(pos) * len(neg))
            case["roc_auc"] = settle(f"sklearn roc_auc {name}", sk.roc_auc_score(y, p), exact)
        else:
            case["roc_auc"] = None
        if len(pos):
            area, before = Q(0), 0
            for t in sorted(set(p.tolist()), reverse=True):
                hit, all_ = int(((p >= t) & (y == 1)).sum()), int((p >= t).sum())
                area += Q(hit - before, len(pos)) * Q(hit, all_)
                before = hit
            case["average_precision"] = settle(
                f"sklearn average_precision {name}", sk.average_precision_score(y, p), area
            )
        else:
            case["average_precision"] = None
        eps = mpf(2) ** -52
        given = [mpf(b) if a else 1 - mpf(b) for a, b in rows]
        loss = sum(-mpmath.log(min(max(g, eps), 1 - eps)) for g in given) / len(rows)
        case["log_loss"] = settle(f"sklearn log_loss {name}", sk.log_loss(y, p, labels=[0, 1]), loss)
        brier = sum((Q(b) - a) ** 2 for a, b in rows) / len(rows)
        case["brier"] = settle(
            f"sklearn brier {name}", sk.brier_score_loss(y, p, labels=[0, 1], pos_label=1), brier
        )
        out.append(case)
    return out


def regression():
    rng = random.Random(2)
    sets = {
        "plain": [(rng.gauss(0, 3), rng.gauss(0, 3)) for _ in range(50)],
        "good": [(x, x + rng.gauss(0, 1e-6)) for x in (rng.gauss(5, 2) for _ in range(50))],
        "huge_mean": [(1e15 + rng.gauss(0, 3), 1e15 + rng.gauss(0, 3)) for _ in range(60)],
        "offset": [(1e9 + i / 8, 1e9 + i / 8 + 0.25) for i in range(40)],
        "integers": [(float(rng.randrange(9)), float(rng.randrange(9))) for _ in range(40)],
        "mixed": [(10.0 ** rng.randrange(-8, 9), 10.0 ** rng.randrange(-8, 9)) for _ in range(40)],
        "tiny": [(1e-145 * rng.random(), 1e-145 * rng.random()) for _ in range(20)],
        "large": [(1e150 * rng.random(), 1e150 * rng.random()) for _ in range(20)],
        "exact": [(i / 3, i / 3) for i in range(20)],
        "constant": [(0.1, 0.1 + i / 10) for i in range(9)],
        "one_row": [(3.0, 4.5)],
    }
    out = []
    for name, rows in sets.items():
        y, p = np.array([a for a, _ in rows]), np.array([b for _, b in rows])
        exact_rows = [(Q(a), Q(b)) for a, b in rows]
        n = len(rows)
        mae = sum(abs(a - b) for a, b in exact_rows) / n
        mse = sum((a - b) ** 2 for a, b in exact_rows) / n
        mean = sum(a for a, _ in exact_rows) / n
        total = sum((a - mean) ** 2 for a, _ in exact_rows)
        case = {"name": name, "y": y.tolist(), "p": p.tolist()}
        case["mae"] = settle(f"sklearn mae {name}", sk.mean_absolute_error(y, p), mae)
        case["mse"] = settle(f"sklearn mse {name}", sk.mean_squared_error(y, p), mse)
        case["rmse"] = settle(f"sklearn rmse {name}", sk.root_mean_squared_error(y, p), root(mse))
        ours = 1 - mse * n / total if total else None
        case["r2"] = settle(f"sklearn r2 {name}", sk.r2_score(y, p), ours) if total else None
        out.append(case)
    return out


# ------------------------------------------------------------------ drift


def leaves_band(d_num, n, m):
    """The exact share of lattice paths from (0, 0) to (n, m) with a |i·m − j·n| ≥ d_num."""
    stay = [0] * (m + 1)
    for i in range(n + 1):
        for j in range(m + 1):
            if abs(i * m - j * n) >= d_num:
                stay[j] = 0
            elif i == 0 and j == 0:
                stay[j] = 1
            else:
                stay[j] = (stay[j] if i else 0) + (stay[j - 1] if j else 0)
    return 1 - Q(stay[m], math.comb(n + m, n))


def kolmogorov(x):
    if x == 0:
        return mpf(1)
    x = mpf(x)
    if x < 0.5:
        terms = (mpmath.exp(-((2 * k - 1) ** 2) * mpmath.pi**2 / (8 * x * x)) for k in range(1, 60))
        return 1 - mpmath.sqrt(2 * mpmath.pi) / x * sum(terms)
    return 2 * sum((-1) ** (k - 1) * mpmath.exp(-2 * k * k * x * x) for k in range(1, 60))


def ks():
    rng = random.Random(3)
    g = lambda n, mu=0.0, sd=1.0: [rng.gauss(mu, sd) for _ in range(n)]
    sets = {
        "equal": (g(40), g(40, 0.5)),
        "unequal": (g(7), g(31, 0.3)),
        "coprime": (g(97), g(101, 0.2)),
        "one_row": ([0.3], g(12)),
        "one_each": ([1.0], [2.0]),
        "ties": ([float(rng.randrange(6)) for _ in range(60)], [float(rng.randrange(7)) for _ in range(45)]),
        "same": ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        "constant": ([2.5] * 9, [2.5] * 14),
        "apart": (g(30), [x + 100 for x in g(25)]),
        "far": (g(150), [x + 4 for x in g(140)]),
        "zeros": ([0.0, -0.0, 0.0, 1.0], [-0.0, -1.0, 0.0, 2.0, 3.0]),
        "neighbours": ([1e15 + rng.randrange(9) / 8 for _ in range(30)], [1e15 + rng.randrange(11) / 8 for _ in range(20)]),
    }
    out = []
    for name, (x, y) in sets.items():
        n, m = len(x), len(y)
        num = max(abs(sum(a <= v for a in x) * m - sum(b <= v for b in y) * n) for v in x + y)
        d = Q(num, n * m)
        said = stats.ks_2samp(x, y, method="exact")
        wide = math.sqrt(n * m / (n + m))
        x_exact = mpmath.sqrt(mpf(n * m) / (n + m)) * mpf(d.numerator) / d.denominator
        asymptotic = kolmogorov(x_exact)
        out.append({
            "name": name, "reference": x, "current": y,
            "statistic": settle(f"scipy ks_2samp {name}", said.statistic, d),
            "exact": settle(f"scipy ks_2samp exact p {name}", said.pvalue, leaves_band(num, n, m), 1e-10),
            "asymptotic": settle(f"scipy kstwobign {name}", stats.kstwobign.sf(wide * float(d)), asymptotic, 1e-10),
        })  # fmt: skip
    # Beyond 10,000 rows a side, from values that are made alike elsewhere.
    n, m = 12_000, 11_000
    x = [(i * 7919 % 10_007) / 10_007 for i in range(n)]
    y = [((i * 104_729 % 10_007) / 10_007) ** 2 for i in range(m)]
    y = [a * 0.1 + b * 0.9 for a, b in zip(y, x)]
    said = stats.ks_2samp(x, y, method="asymp")
    ends = sorted(x + y)
    fx = np.searchsorted(np.sort(x), ends, side="right").astype(object)
    fy = np.searchsorted(np.sort(y), ends, side="right").astype(object)
    d = Q(int(max(abs(fx * m - fy * n))), n * m)
    p = kolmogorov(mpmath.sqrt(mpf(n * m) / (n + m)) * mpf(d.numerator) / d.denominator)
    large = {"n": n, "m": m, "statistic": settle("scipy ks_2samp large", said.statistic, d), "scipy_asymp": said.pvalue,
             "asymptotic": settle("scipy ks_2samp asymp p (kstwo at a rounded size, not the limit) large", said.pvalue, p, 1e-9)}  # fmt: skip
    return {"cases": out, "large": large}


def chi_square():
    sets = {
        "two": ([10, 20], [20, 10]),
        "wide": ([5, 0, 12, 7, 9, 31], [8, 3, 0, 7, 10, 2]),
        "empty": ([10, 0, 20, 0], [30, 0, 11, 0]),
        "same": ([10, 20, 30], [1, 2, 3]),
        "one_row": ([1, 0, 0], [3, 4, 5]),
        "rare": ([1, 0, 99_999], [0, 1, 99_999]),
        "near": ([10**9, 10**9 + 1, 10**9 - 1], [10**9, 10**9, 10**9]),
        "huge": ([3 * 10**12 + 7, 10**12], [3 * 10**12, 10**12 + 5]),
        "tail": ([1000, 10], [10, 1000]),
        "unlike": ([10**6, 1, 17], [3, 2, 1]),
    }
    out = []
    for name, (a, b) in sets.items():
        kept = [(x, y) for x, y in zip(a, b) if x + y]
        n, m = sum(a), sum(b)
        statistic = sum(Q(x * m - y * n) ** 2 / (n * m * (x + y)) for x, y in kept)
        dof = len(kept) - 1
        said = stats.chi2_contingency(np.array(kept).T, correction=False)
        assert said.dof == dof
        exact = mpf(statistic.numerator) / statistic.denominator
        p = mpmath.gammainc(mpf(dof) / 2, exact / 2, mpmath.inf, regularized=True)
        out.append({
            "name": name, "reference": a, "current": b, "dof": dof,
            "statistic": settle(f"scipy chi2_contingency {name}", said.statistic, statistic, 1e-12),
            "p_value": settle(f"scipy chi2_contingency p {name}", said.pvalue, p, 1e-9) if p > mpf("1e-300") else 0.0,
            "min_expected": float(min(Q((x + y) * min(n, m), n + m) for x, y in kept)),
            "cramers_v": root(statistic / (n + m)),
        })  # fmt: skip
    return out


def psi():
    rng = np.random.default_rng(4)
    round_ = lambda x: np.round(x, 6)
    sets = {
        "normal": (round_(rng.normal(size=200)), round_(rng.normal(0.3, 1.2, size=150))),
        "ties": (rng.integers(0, 12, 120).astype(float), rng.integers(2, 14, 90).astype(float)),
        "heavy_tail": (round_(rng.standard_cauchy(100)), round_(rng.standard_cauchy(300) * 2)),
        "outside": (round_(rng.uniform(size=80)), round_(rng.uniform(2, 3, size=60))),
        "huge_mean": (1e15 + rng.integers(0, 100, 120) / 8, 1e15 + rng.integers(5, 110, 120) / 8),
        "constant": (np.full(20, 3.0), np.array([3.0] * 10 + [4.0] * 10)),
    }
    out = []
    for name, (x, y) in sets.items():
        # Inner deciles of the reference; a bin owns its upper edge.
        edges = np.unique(np.quantile(x, np.arange(1, 10) / 10))
        count = lambda v: np.bincount(np.searchsorted(edges, v, side="left"), minlength=len(edges) + 1)
        a, b = count(x), count(y)
        case = {"name": name, "reference": x.tolist(), "current": y.tolist(), "edges": edges.tolist(),
                "reference_counts": a.tolist(), "current_counts": b.tolist()}  # fmt: skip
        index = lambda p, q: float(sum((u - v) * mpmath.log(u / v) for u, v in zip(p, q) if (u, v) != (0, 0)))
        shares = lambda c, add: [mpf(int(k)) + mpf(add) for k in c]
        norm = lambda s: [k / sum(s) for k in s]
        case["add_half"] = index(norm(shares(b, 0.5)), norm(shares(a, 0.5)))
        case["add_tiny"] = index(norm(shares(b, 1e-6)), norm(shares(a, 1e-6)))
        clip = lambda c: [max(k, mpf(0.0001)) for k in norm(shares(c, 0))]
        case["clip"] = index(clip(b), clip(a))
        one_sided = bool(((a == 0) != (b == 0)).any())
        case["refuse"] = None if one_sided else index(norm(shares(b, 0)), norm(shares(a, 0)))
        pa, pb = (a + 0.5) / (a + 0.5).sum(), (b + 0.5) / (b + 0.5).sum()
        settle(f"numpy psi {name}", float(((pb - pa) * np.log(pb / pa)).sum()), case["add_half"], 1e-12)
        out.append(case)
    return out


# ------------------------------------------------------------------ intervals, multiple testing


def z_of(confidence):
    return mpmath.sqrt(2) * mpmath.erfinv(mpf(confidence))


def wilson():
    out = []
    for x, n in [(0, 1), (1, 1), (0, 10), (10, 10), (8, 10), (1, 3), (50, 100), (1, 10**6), (999_999, 10**6),
                 (123_456_789, 10**9), (5 * 10**11, 10**12)]:  # fmt: skip
        for confidence in [0.5, 0.95, 0.999, 0.9999999]:
            z, p = z_of(confidence), mpf(x) / n
            centre = p + z * z / (2 * n)
            half = z * mpmath.sqrt(p * (1 - p) / n + z * z / (4 * mpf(n) * n))
            low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
            low, high = (mpf(0) if x == 0 else low), (mpf(1) if x == n else high)
            said = proportion_confint(x, n, alpha=float(1 - mpf(confidence)), method="wilson")
            assert abs(said[0] - low) < 1e-9 and abs(said[1] - high) < 1e-9, (x, n)
            out.append([x, n, confidence, float(low), float(high)])
    return out


def halve(f, inside, outside, steps=120):
    """Where f turns positive on the way from `inside` (f ≤ 0) to `outside`."""
    for _ in range(steps):
        middle = (inside + outside) / 2
        if f(middle) <= 0:
            inside = middle
        else:
            outside = middle
    return inside


def most_likely(slope, low, high):
    """Where a concave log-likelihood is largest on (low, high), from its falling slope."""
    for _ in range(130):
        middle = (low + high) / 2
        if slope(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def miettinen_nurminen():
    out = []
    for x1, n1, x2, n2 in [(56, 70, 48, 80), (9, 10, 3, 10), (10, 10, 0, 20), (0, 10, 0, 20), (5, 56, 0, 29), (10, 10, 20, 20),
                           (1, 1, 0, 1), (0, 1, 1, 1), (3, 7, 4, 9), (1, 1000, 1, 3), (500, 1000, 480, 1000), (1, 10**6, 3, 10**6)]:  # fmt: skip
        for confidence in [0.8, 0.95, 0.99]:
            z2 = z_of(confidence) ** 2
            p1, p2 = mpf(x1) / n1, mpf(x2) / n2
            factor = mpf(n1 + n2) / (n1 + n2 - 1)

            def difference(delta):
                low, high = max(mpf(0), -delta), min(mpf(1), 1 - delta)
                # Terms without rows vanish, also where they would be 0/0 at a bound.
                term = lambda k, v: k / v if k else mpf(0)
                slope = lambda p: (term(x1, p + delta) - term(n1 - x1, 1 - p - delta)
                                   + term(x2, p) - term(n2 - x2, 1 - p))  # fmt: skip
                q2 = most_likely(slope, low, high)
                q1 = q2 + delta
                v = (q1 * (1 - q1) / n1 + q2 * (1 - q2) / n2) * factor
                return (p1 - p2 - delta) ** 2 - z2 * v

            def ratio(log):
                theta = mpmath.exp(log)
                term = lambda k, v: k / v if k else mpf(0)
                slope = lambda p: (term(x1 + x2, p) - theta * term(n1 - x1, 1 - theta * p) - term(n2 - x2, 1 - p))
                q2 = most_likely(slope, mpf(0), min(mpf(1), 1 / theta))
                q1 = theta * q2
                v = (q1 * (1 - q1) / n1 + theta**2 * q2 * (1 - q2) / n2) * factor
                return (p1 - theta * p2) ** 2 - z2 * v

            d = p1 - p2
            case = {"counts": [x1, n1, x2, n2], "confidence": confidence}
            low = mpf(-1) if d == -1 else halve(difference, d, mpf(-1))
            high = mpf(1) if d == 1 else halve(difference, d, mpf(1))
            case["difference"] = [float(low), float(high)]
            if x1 + x2 == 0:
                case["ratio"] = None
            else:
                inside = mpmath.log(p1 / p2) if x1 and x2 else None
                start = inside if inside is not None else (mpf(-60) if x1 == 0 else mpf(60))
                low = 0.0 if x1 == 0 else float(mpmath.exp(halve(ratio, start, mpf(-70))))
                high = None if x2 == 0 else float(mpmath.exp(halve(ratio, start, mpf(70))))
                case["ratio"] = [low, high]
            out.append(case)
    return out


def multiple():
    rng = random.Random(5)
    sets = [
        [0.01, 0.04, 0.03, 0.005],
        [0.5],
        [0.0, 1.0, 0.0, 1.0],
        [0.02] * 7,
        [0.049, 0.05, 0.051, 0.05],
        [1e-300, 1e-200, 1e-16, 0.9, 1.0],
        [5e-324, 0.1],
        [round(rng.random() ** 4, 5) for _ in range(100)],
    ]
    names = {"bonferroni": "bonferroni", "holm": "holm", "benjamini_hochberg": "fdr_bh", "benjamini_yekutieli": "fdr_by"}
    return [{"p": p} | {ours: multipletests(p, method=theirs)[1].tolist() for ours, theirs in names.items()} for p in sets]


# ------------------------------------------------------------------ fairness


def fairness():
    rng = random.Random(6)
    pick = lambda n, names, w: rng.choices(names, w, k=n)
    made = {}
    n = 150
    sex = pick(n, ["F", "M"], [4, 6])
    y = [int(rng.random() < (0.3 if s == "F" else 0.5)) for s in sex]
    made["two"] = ([sex], y, [a if rng.random() < 0.8 else 1 - a for a in y])
    race = pick(n, ["a", "b", "c", "d"], [50, 30, 15, 5])
    y = [int(rng.random() < 0.4) for _ in range(n)]
    p = [a if rng.random() < 0.7 else 1 - a for a in y]
    made["four"] = ([race], y, p)
    made["both"] = ([pick(n, ["F", "M"], [1, 1]), pick(n, ["a", "b"], [2, 1])], y, p)
    made["one_row"] = ([["a"] * 10 + ["b"] * 10 + ["c"]], [1, 0] * 10 + [1], [1, 1, 0, 0] * 5 + [1])
    made["zero_rate"] = ([["a"] * 6 + ["b"] * 6], [1, 0] * 6, [1, 0, 0, 1, 1, 0] + [0] * 6)
    made["never"] = ([["a"] * 4 + ["b"] * 4], [1, 0] * 4, [0] * 8)
    made["alone"] = ([["a"] * 6], [1, 0] * 3, [1, 0, 1, 1, 0, 0])
    made["rows_alone"] = ([["a", "b", "c"]], [1, 0, 1], [1, 0, 0])
    rates = {
        "selection_rate": fair.selection_rate,
        "true_positive_rate": fair.true_positive_rate,
        "false_positive_rate": fair.false_positive_rate,
        "true_negative_rate": fair.true_negative_rate,
        "false_negative_rate": fair.false_negative_rate,
        "accuracy": sk.accuracy_score,
        "positive_predictive_value": sk.precision_score,
        "base_rate": lambda t, p: float(np.mean(t)),
    }
    rows_of = {  # the rows that the denominator counts
        "true_positive_rate": lambda t, p: t == 1, "false_negative_rate": lambda t, p: t == 1,
        "false_positive_rate": lambda t, p: t == 0, "true_negative_rate": lambda t, p: t == 0,
        "positive_predictive_value": lambda t, p: p == 1,
    }  # fmt: skip
    out = []
    for name, (features, y, p) in made.items():
        y, p = np.array(y), np.array(p)
        table = pd.DataFrame({f"s{i}": f for i, f in enumerate(features)})
        frame = fair.MetricFrame(metrics=rates, y_true=y, y_pred=p, sensitive_features=table)
        keys = list(zip(*features))
        groups = []
        for key in sorted(set(keys)):
            mine = np.array([k == key for k in keys])
            row = frame.by_group.loc[key if len(key) > 1 else key[0]]
            values = {r: number(row[r]) if rows_of.get(r, lambda t, p: t == t)(y[mine], p[mine]).any() else None for r in rates}
            groups.append({"group": list(key), "rows": int(mine.sum()), "rates": values})
        defined = lambda *names: len(groups) > 1 and all(g["rates"][r] is not None for g in groups for r in names)
        positive = lambda *names: defined(*names) and all(any(g["rates"][r] for g in groups) for r in names)
        ask = dict(sensitive_features=table)
        odds = ("true_positive_rate", "false_positive_rate")
        gaps = {
            "demographic_parity_difference": fair.demographic_parity_difference(y, p, **ask) if defined("selection_rate") else None,
            "demographic_parity_ratio": fair.demographic_parity_ratio(y, p, **ask) if positive("selection_rate") else None,
            "equal_opportunity_difference": fair.equal_opportunity_difference(y, p, **ask) if defined(odds[0]) else None,
            "equalized_odds_difference": fair.equalized_odds_difference(y, p, **ask) if defined(*odds) else None,
            "equalized_odds_ratio": fair.equalized_odds_ratio(y, p, **ask) if positive(*odds) else None,
        }  # fmt: skip
        gaps = {k: None if v is None else float(v) for k, v in gaps.items()}
        overall = {r: number(frame.overall[r]) for r in rates}
        out.append({"name": name, "features": features, "y": y.tolist(), "p": p.tolist(), "groups": groups, "overall": overall, "gaps": gaps})
    return out


# ------------------------------------------------------------------ columns


def columns():
    rng = random.Random(7)
    sets = {
        "plain": [rng.gauss(0, 1) for _ in range(60)],
        "1e15": [1e15 + rng.gauss(0, 1) for _ in range(80)],
        "-1e15 tight": [-1e15 - rng.randrange(2) / 8 for _ in range(64)],
        "1e9 tiny": [1e9 + rng.gauss(0, 1e-5) for _ in range(70)],
        "2^53": [2.0**53 + 2 * rng.randrange(5) for _ in range(50)],
        "thirds": [1 / 3] * 30 + [math.nextafter(1 / 3, 1)],
        "cancelling": [s * x for x in (1e16, 3.7e15, 1.25e8, 0.1) for s in (1, -1)] + [1.0, 1e-3],
        "alternating": [(-1) ** i * 1e12 / (i + 1) for i in range(99)],
        "1e150": [1e150 * rng.gauss(0, 1) for _ in range(30)],
        "1e-150": [1e-150 * rng.gauss(3, 1) for _ in range(30)],
        "subnormal": [5e-324 * k for k in range(1, 30)],
        "constant": [0.1] * 33,
        "ties": [float(rng.randrange(4)) for _ in range(41)],
        "integers": [float(rng.randrange(-1000, 1000)) for _ in range(77)],
        "one": [2.5],
        "two": [1e300, -1e300],
        "wide": [1e300, 1.0, -1e300, 1e-300, 2.0],
    }
    out = []
    shares = [0.0, 0.01, 0.1, 0.25, 1 / 3, 0.5, 0.9, 0.999, 1.0]
    for name, x in sets.items():
        with_nulls = list(x)
        for at in (0, len(x) // 2, len(x) // 2, len(x) + 3):
            with_nulls.insert(at, None)
        q = [Q(v) for v in x]
        n, total = len(x), sum(q)
        series = pd.Series([math.nan if v is None else v for v in with_nulls])
        case = {"name": name, "x": with_nulls, "n": int(series.count()), "nulls": int(series.isna().sum()),
                "min": float(series.min()), "max": float(series.max())}  # fmt: skip
        assert float(total) == math.fsum(x)
        case["sum"] = settle(f"pandas sum {name}", series.sum(), total)
        case["mean"] = settle(f"pandas mean {name}", series.mean(), total / n)
        square = sum((v - total / n) ** 2 for v in q)
        largest = Q(2) ** 1024
        variance = square / (n - 1) if n > 1 else None
        if variance is not None and variance < largest:
            case["var"] = settle(f"pandas var {name}", series.var(ddof=1), variance)
            # The root of the variance as it was rounded, which below 1e-308 is another number.
            deviation = root(variance) if float(variance) > 1e-307 else math.sqrt(variance)
            case["std"] = settle(f"pandas std {name}", series.std(ddof=1), deviation)
        else:
            case["var"] = case["std"] = None
        ordered = sorted(q)
        quantiles = []
        for share in shares:
            # As in numpy the place is an f64: a third of nine steps is the third step.
            place = Q(share * (n - 1))
            low = int(place)
            exact = ordered[low] + (place - low) * (ordered[min(low + 1, n - 1)] - ordered[low])
            said = np.quantile(x, share)
            quantiles.append([share, settle(f"numpy quantile {name} {share:.4g}", said, exact, 1e-12)])
        case["quantiles"] = quantiles
        out.append(case)
    return out


# ------------------------------------------------------------------ transforms


def transforms():
    rng = random.Random(8)
    n = 40
    hole = lambda v, every: [None if i % every == 3 else a for i, a in enumerate(v)]
    train = {
        "plain": [rng.gauss(2, 3) for _ in range(n)],
        "holes": hole([rng.gauss(-1, 2) for _ in range(n)], 5),
        "even": hole([float(rng.randrange(12)) for _ in range(n)], 4),
        "tied": hole([float(rng.choice([1, 1, 2, 2, 3])) for _ in range(n)], 7),
        "constant": [0.1] * n,
        "big": [1e9 + rng.gauss(0, 1) for _ in range(n)],
        "huge": [1e15 + rng.randrange(40) / 8 for _ in range(n)],
    }
    test = {k: [v[i] for i in (3, 0, 8, 23, 5, 13, 39)] for k, v in train.items()}
    test["plain"][2] = 100.0
    test["constant"][1] = 0.5
    frame, new = (pd.DataFrame({k: [np.nan if a is None else a for a in v] for k, v in t.items()}) for t in (train, test))
    steps = {
        "mean": SimpleImputer(strategy="mean"), "median": SimpleImputer(strategy="median"),
        "most_frequent": SimpleImputer(strategy="most_frequent"),
        "standard": StandardScaler(), "min_max": MinMaxScaler(), "min_max_to": MinMaxScaler(feature_range=(-2, 3)),
    }  # fmt: skip
    jobs = [(c, s) for c in ("plain", "constant", "big", "huge") for s in (["standard"], ["min_max"], ["min_max_to"])]
    jobs += [(c, [i]) for c in ("holes", "even", "tied") for i in ("mean", "median", "most_frequent")]
    jobs += [(c, [i, s]) for c in ("holes", "even", "tied") for i in ("mean", "median", "most_frequent") for s in ("standard", "min_max")]
    numeric = []
    for column, names in jobs:
        said = make_pipeline(*(steps[s] for s in names)).fit(frame[[column]]).transform(new[[column]])[:, 0]
        # The same in rational numbers, one step after the other.
        seen = [None if a is None else Q(a) for a in train[column]]
        want = [None if a is None else Q(a) for a in test[column]]
        for s in names:
            there = sorted(a for a in seen if a is not None)
            mean, k = sum(there) / len(there), len(there)
            if s in ("mean", "median", "most_frequent"):
                fill = {"mean": mean, "median": (there[(k - 1) // 2] + there[k // 2]) / 2,
                        "most_frequent": max(sorted(set(there)), key=lambda a: (there.count(a), -a))}[s]  # fmt: skip
                step = lambda a: fill if a is None else a
            elif s == "standard":
                var = sum((a - mean) ** 2 for a in there) / k
                sd = Q(str(mpmath.sqrt(mpf(var.numerator) / var.denominator))) if var else Q(1)
                step = lambda a: (a - mean) / sd
            else:
                low, high = (Q(0), Q(1)) if s == "min_max" else (Q(-2), Q(3))
                width = there[-1] - there[0] or Q(1)
                step = lambda a: low + (a - there[0]) / width * (high - low)
            seen, want = [step(a) for a in seen], [step(a) for a in want]
        values = [settle(f"sklearn {'+'.join(names)} {column} row {i}", a, b, 1e-12) if abs(b) > Q(1, 10**9) else float(b)
                  for i, (a, b) in enumerate(zip(said, want))]  # fmt: skip
        numeric.append({"column": column, "steps": names, "values": values})

    city = [rng.choice(["Oslo", "Bergen", "Ærø", "oslo", ""]) for _ in range(30)]
    city_nulls = [None if i % 6 == 4 else c for i, c in enumerate(city)]
    code = [rng.choice([10, 9, -3, 200]) for _ in range(30)]
    new_city = ["Oslo", "Rome", "", "Ærø", "oslo", "Bergen"]
    column = lambda v: np.array(v, dtype=object).reshape(-1, 1)
    rare = ["a"] * 9 + ["b"] * 7 + ["c"] * 3 + ["d"] * 2 + ["e"]
    categorical = {
        "city": city, "city_nulls": city_nulls, "code": code, "new_city": new_city, "rare": rare, "new_rare": ["a", "b", "c", "d", "e", "z"],
        "one_hot": OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(column(city)).transform(column(new_city)).tolist(),
        "ordinal": [number(v) for v in OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan).fit(column(city)).transform(column(new_city))[:, 0]],
        "imputed": make_pipeline(SimpleImputer(strategy="most_frequent", missing_values=None), OneHotEncoder(handle_unknown="ignore", sparse_output=False))
            .fit(column(city_nulls)).transform(column(city_nulls)).tolist(),
        "with_null": OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(column(city_nulls)).transform(column(city_nulls)).tolist(),
        "at_most_3": OneHotEncoder(max_categories=3, handle_unknown="infrequent_if_exist", sparse_output=False)
            .fit(column(rare)).transform(column(["a", "b", "c", "d", "e", "z"])).tolist(),
        # Numbers are categories by the text that they print as.
        "code_one_hot": OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(column([str(c) for c in code])).transform(column([str(c) for c in code])).tolist(),
    }  # fmt: skip
    mixed = ColumnTransformer([
        ("n", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["holes", "even"]),
        ("c", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
    ])  # fmt: skip
    both = frame.iloc[:30].assign(city=city)
    return {"train": train, "test": test, "numeric": numeric, "categorical": categorical, "mixed": mixed.fit(both).transform(both).tolist()}


# ------------------------------------------------------------------ attribution


def attribution():
    rng = random.Random(9)
    out = []
    for name, coef, intercept, draw in [
        ("plain", [1.5, -2.0, 0.25], 0.7, lambda: [rng.gauss(0, 1), rng.gauss(5, 2), rng.random()]),
        ("scales", [1e-6, 3e4, -1.0, 0.0], -12.0, lambda: [rng.gauss(1e6, 1e5), rng.random() * 1e-3, rng.gauss(0, 1), 7.0]),
        ("huge_mean", [0.5, -1.0], 1.0, lambda: [1e15 + rng.randrange(80) / 8, rng.gauss(0, 1)]),
    ]:
        back = [draw() for _ in range(130)]
        rows = [draw() for _ in range(12)]
        masker = shap.maskers.Independent(np.array(back), max_samples=len(back))
        said = shap.LinearExplainer((np.array(coef), intercept), masker)
        values = said.shap_values(np.array(rows))
        means = [sum(Q(r[j]) for r in back) / len(back) for j in range(len(coef))]
        phi = [[Q(c) * (Q(a) - m) for c, a, m in zip(coef, r, means)] for r in rows]
        base = Q(intercept) + sum(Q(c) * m for c, m in zip(coef, means))
        off = max(abs(Q(float(a)) - b) for r, s in zip(values, phi) for a, b in zip(r, s))
        if off > Q(1, 10**9):
            overruled.append(f"shap LinearExplainer {name}: values off by up to {float(off):.3g}, the mean is rounded more than once")
        out.append({
            "name": name, "coefficients": coef, "intercept": intercept, "background": back, "rows": rows,
            "base_value": settle(f"shap base value {name}", said.expected_value, base, 1e-12),
            "values": [[float(a) for a in r] for r in phi],
        })  # fmt: skip
    return out


def main():
    packages = ["fairlearn", "mpmath", "numpy", "pandas", "scikit-learn", "scipy", "shap", "statsmodels"]
    parts = [classification, regression, ks, chi_square, psi, wilson, miettinen_nurminen, multiple, fairness, columns, transforms, attribution]
    golden = {"versions": {p: version(p) for p in packages}} | {part.__name__: part() for part in parts}
    golden["overruled"] = overruled
    # A float stands as the shortest text that reads back to its bits.
    path = Path(__file__).with_name("independent.json")
    path.write_text(json.dumps(golden, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False) + "\n")
    print(f"{path.name}: {path.stat().st_size:,} bytes", *overruled, sep="\n")


if __name__ == "__main__":
    main()
