"""Golden values of drift statistics: scipy's tests, and the population stability index by its formula.

    python tests/golden/make_drift.py

writes mlops-drift/tests/golden/drift.json. Deterministic; records the versions.
"""

import json
import pathlib
import platform

import numpy as np
import scipy
from scipy import stats

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent.parent / "mlops-drift" / "tests" / "golden" / "drift.json"


def psi(reference, current, add=0.5, clip=0.0):
    r, c = np.asarray(reference, float) + add, np.asarray(current, float) + add
    q, p = np.maximum(r / r.sum(), clip), np.maximum(c / c.sum(), clip)
    return float(np.sum((p - q) * np.log(p / q)))


def bits(values):
    """JSON has no infinity and no negative zero to rely on."""
    return [int(v) for v in np.asarray(values, np.float64).view(np.uint64)]


def ks_cases():
    rng = np.random.default_rng(20261121)
    normal = rng.standard_normal
    samples = {
        "small": (normal(7), normal(5) + 0.4),
        "same size": (normal(40), normal(40)),
        "shifted": (normal(300), normal(200) + 0.5),
        "far apart": (normal(60), normal(80) + 9.0),
        "identical": (np.arange(30.0), np.arange(30.0)),
        "ties": (rng.integers(0, 6, 120).astype(float), rng.integers(0, 7, 90).astype(float)),
        "zero inflated": (
            np.where(rng.random(400) < 0.7, 0.0, rng.lognormal(0, 2, 400)),
            np.where(rng.random(250) < 0.6, 0.0, rng.lognormal(0, 2, 250)),
        ),
        "heavy tails": (rng.standard_cauchy(500), rng.standard_cauchy(350) * 1.5),
        "signed zeros": (np.array([-0.0, 0.0, 1.0, -0.0]), np.array([0.0, -0.0, -1.0])),
        "infinities": (np.array([-np.inf, 0.0, 1.0]), np.array([0.5, np.inf, np.inf, 2.0])),
        "one row": (np.array([1.0]), np.array([2.0])),
    }
    cases = []
    for name, (x, y) in samples.items():
        exact = stats.ks_2samp(x, y, method="exact")
        cases.append({
            "name": name,
            "reference": bits(x),
            "current": bits(y),
            "statistic": exact.statistic,
            "p_value": exact.pvalue,
        })
    return cases


def table_cases():
    rng = np.random.default_rng(7)
    tables = {
        "docs": ([10, 10, 20], [20, 20, 20]),
        "two cells": ([900, 100], [840, 160]),
        "same": ([5, 6, 7], [5, 6, 7]),
        "proportional": ([5, 6, 7], [50, 60, 70]),
        "empty on one side": ([10, 0, 30], [12, 8, 0]),
        "unequal sizes": ([100000, 50000, 2000], [90, 60, 3]),
        "far apart": ([1000, 10], [10, 1000]),
        "many": (rng.integers(0, 60, 40).tolist(), rng.integers(1, 50, 40).tolist()),
        "two small cells": ([3, 9], [7, 2]),
    }
    cases = []
    for name, (r, c) in tables.items():
        test = stats.chi2_contingency([r, c], correction=False)
        p, q = np.array(c) / np.sum(c), np.array(r) / np.sum(r)
        cases.append({
            "name": name,
            "reference": [int(v) for v in r],
            "current": [int(v) for v in c],
            "chi_square": test.statistic,
            "degrees_of_freedom": test.dof,
            "p_value": test.pvalue,
            "min_expected": float(test.expected_freq.min()),
            "psi_add_half": psi(r, c),
            "psi_add_one": psi(r, c, add=1.0),
            "psi_clip": psi(r, c, add=0.0, clip=1e-4),
            "total_variation": float(0.5 * np.abs(p - q).sum()),
        })
    return cases


def main():
    OUT.parent.mkdir(parents=True, exist_ok=True)
    golden = {
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "ks": ks_cases(),
        "tables": table_cases(),
    }
    OUT.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
