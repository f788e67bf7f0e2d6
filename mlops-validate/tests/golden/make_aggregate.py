"""Writes aggregate.json: statistics of columns as numpy, scipy and scikit-learn compute them.

    python make_aggregate.py aggregate.json

The shape of columns whose mean is far from 0 is computed with mpmath at 60 digits, since scipy
itself loses some there; `scale` is what an error is relative to besides the value.
"""

import json
import sys

import mpmath
import numpy
import scipy
import sklearn
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import mutual_info_score

mpmath.mp.dps = 60


def shape(x):
    x = [mpmath.mpf(float(v)) for v in x]
    mean = sum(x) / len(x)
    m2, m3, m4 = (sum((v - mean) ** k for v in x) / len(x) for k in (2, 3, 4))
    return float(m3 / m2**1.5), float(m4 / m2**2 - 3)


def pearson(x, y):
    x, y = ([mpmath.mpf(float(v)) for v in c] for c in (x, y))
    a, b = sum(x) / len(x), sum(y) / len(y)
    cov = sum((v - a) * (w - b) for v, w in zip(x, y))
    return float(cov / mpmath.sqrt(sum((v - a) ** 2 for v in x) * sum((w - b) ** 2 for w in y)))


def frame(x, y):
    cases = []

    def case(value, scale=0.0, **ours):
        cases.append({"ours": ours, "value": float(value), "scale": scale})

    def of(kind, value, scale=0.0, **more):
        case(value, scale, expectation=kind, column="x", min=-1e300, **more)

    skewness, kurtosis = shape(x)
    if len(x) < 100 and abs(numpy.mean(x)) < 10 * numpy.std(x):
        assert abs(skewness - stats.skew(x)) < 1e-10 and abs(kurtosis - stats.kurtosis(x)) < 1e-10
    of("mean", numpy.mean(x, dtype=numpy.longdouble))
    of("variance", numpy.var(x, ddof=1, dtype=numpy.longdouble))
    of("variance", numpy.var(x, dtype=numpy.longdouble), population=True)
    of("stdev", numpy.std(x, ddof=1, dtype=numpy.longdouble))
    of("skewness", skewness, 1.0)
    of("kurtosis", kurtosis, 1.0)
    of("median", numpy.median(x))
    of("iqr", stats.iqr(x))
    of("range", numpy.ptp(x))
    for q in (0.0, 0.1, 0.33, 0.5, 0.99, 1.0):
        for method in ("linear", "lower", "higher", "midpoint", "nearest"):
            of("quantile", numpy.quantile(x, q, method=method), q=q, interpolation=method)
    labels, counts = numpy.unique(x, return_counts=True)
    of("entropy", stats.entropy(counts), 1.0)
    of("unique_count", len(labels))
    of("uniqueness", (counts == 1).sum() / len(x))
    pair = {"columns": ["x", "y"], "min": -1e300}
    case(pearson(x, y), 1.0, expectation="correlation", **pair)
    case(mutual_info_score(x, y), 1.0, expectation="mutual_information", **pair)
    bins = numpy.linspace(min(x), max(x), 5)
    counts, _ = numpy.histogram(x, bins)
    weights = [1.0, 2.0, 3.0, 4.0]
    reference = {"column": "x", "bins": bins.tolist(), "weights": weights, "max": 1e6}
    p, q = counts / counts.sum(), numpy.array(weights) / 10
    case(abs(p - q).max(), 1.0, expectation="l_infinity", **reference)
    case(jensenshannon(p, q, base=2) ** 2, 1.0, expectation="jensen_shannon", **reference)
    nad = abs(counts - numpy.array(weights)).max() / (counts.sum() + 10)
    case(nad, 1.0, expectation="normalized_abs_difference", **reference)
    reference["weights"] = q.tolist()
    case(stats.entropy(p, q), 1.0, expectation="kl_divergence", **reference)
    return {"x": list(map(float, x)), "y": list(map(float, y)), "cases": cases}


rng = numpy.random.default_rng(7)
small = rng.integers(0, 6, 41)
normal = rng.normal(3, 2, 60)
frames = [
    frame(small, (small + rng.integers(0, 3, 41)) % 5),
    frame(normal, 0.5 * normal + rng.normal(0, 1, 60)),
    frame(rng.lognormal(0, 1, 50), rng.normal(0, 1e-3, 50)),
    frame(1e6 + rng.normal(0, 1e3, 50), 1e8 - rng.normal(0, 1e6, 50)),
]
versions = {m.__name__: m.__version__ for m in (numpy, scipy, sklearn, mpmath)}
with open(sys.argv[1], "w") as out:
    json.dump({"versions": versions, "frames": frames}, out, indent=1)
    out.write("\n")
