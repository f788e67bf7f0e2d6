"""Golden values of the two-sample statistics of order: scipy's, and exact laws by enumeration.

    python mlops-drift/tests/golden/make_order.py

writes order.json beside itself. Deterministic; records the versions.
"""

import itertools
import json
import math
import pathlib
import platform
import warnings

import mpmath
import numpy as np
import scipy
from scipy import stats

HERE = pathlib.Path(__file__).resolve().parent
mpmath.mp.dps = 60


def bits(values):
    """JSON has no infinity and no negative zero to rely on."""
    return [int(v) for v in np.asarray(values, np.float64).view(np.uint64)]


def samples():
    rng = np.random.default_rng(20261122)
    normal = rng.standard_normal
    return {
        "small": (normal(7), normal(6) + 0.4),
        "tiny": (normal(5), normal(9) - 1.0),
        "same size": (normal(40), normal(40)),
        "twenty": (normal(20), normal(20) + 0.6),
        "unequal": (normal(12), normal(18) * 2.0),
        "shifted": (normal(300), normal(200) + 0.5),
        "wider": (normal(150), normal(170) * 1.7),
        "far apart": (normal(60), normal(80) + 9.0),
        "far apart, many": (normal(900), normal(700) + 12.0),
        "identical": (np.arange(30.0), np.arange(30.0)),
        "ties": (rng.integers(0, 6, 120).astype(float), rng.integers(0, 7, 90).astype(float)),
        "ties, shifted": (rng.integers(0, 9, 80).astype(float), rng.integers(3, 12, 30).astype(float)),
        "zero inflated": (
            np.where(rng.random(400) < 0.7, 0.0, rng.lognormal(0, 2, 400)),
            np.where(rng.random(250) < 0.6, 0.0, rng.lognormal(0, 2, 250)),
        ),
        "heavy tails": (rng.standard_cauchy(500), rng.standard_cauchy(350) * 1.5),
        "large numbers": (1e9 + normal(200), 1e9 + 0.3 + normal(90)),
        "signed zeros": (np.array([-0.0, 0.0, 1.0, -0.0]), np.array([0.0, -0.0, -1.0])),
        "infinities": (np.array([-np.inf, 0.0, 1.0, 3.0]), np.array([0.5, np.inf, np.inf, 2.0])),
    }


def merged(x, y):
    z = np.unique(np.concatenate([x, y]))
    return z, np.searchsorted(np.sort(x), z, "right"), np.searchsorted(np.sort(y), z, "right")


def cvm(x, y):
    """nm/N^2 sum (F - G)^2 over all values, in integers."""
    n, m = len(x), len(y)
    z, f, g = merged(x, y)
    h = np.diff(np.concatenate([[0], f + g]))
    total = sum(int(k) * (int(a) * m - int(b) * n) ** 2 for k, a, b in zip(h, f, g))
    return total / (n * m * (n + m) ** 2)


def kuiper(x, y):
    z, f, g = merged(x, y)
    cross = [int(a) * len(y) - int(b) * len(x) for a, b in zip(f, g)]
    return (max(cross + [0]) - min(cross + [0])) / (len(x) * len(y))


def cvm_limit(t, n, m):
    """Smirnov's series for the limiting law at Anderson's standardised statistic."""
    n, m, k = mpmath.mpf(n), mpmath.mpf(m), mpmath.mpf(n) * m
    total = n + m
    mean = (1 + 1 / total) / 6
    variance = (total + 1) * (4 * k * total - 3 * (n * n + m * m) - 2 * k) / (45 * total**2 * 4 * k)
    x = mpmath.mpf(1) / 6 + (mpmath.mpf(t) - mean) / mpmath.sqrt(45 * variance)
    if x < 0.003:
        return 1.0
    nodes, p = 300, mpmath.mpf(0)
    for k in range(1, 40):
        term = mpmath.mpf(0)
        for i in range(nodes):
            phi = mpmath.pi * (2 * i + 1) / (2 * nodes)
            cos, sin = mpmath.cos(phi), mpmath.sin(phi)
            s = mpmath.pi * (2 * k - mpmath.mpf(1) / 2 + cos / 2)
            root = sin / mpmath.sqrt(mpmath.sin(mpmath.pi / 2 * sin**2 / (1 + abs(cos))))
            term += root * mpmath.exp(-s * s * x / 2) / mpmath.sqrt(s)
        p += (-1) ** (k - 1) * term * mpmath.pi / nodes
        if term < 1e-25 * p:
            break
    return float(p)


def case(name, x, y):
    n, m = len(x), len(y)
    out = {"name": name, "reference": bits(x), "current": bits(y)}
    untied = len(np.unique(np.concatenate([x, y]))) == n + m
    for side in ["two-sided", "less", "greater"]:
        key = side.replace("-", "_")
        with warnings.catch_warnings():
            # scipy's count of paths overflows for far tails; it says so and gives the limit.
            warnings.simplefilter("error")
            try:
                ks = stats.ks_2samp(x, y, alternative=side, method="exact")
                out["ks_" + key] = [ks.statistic, ks.pvalue]
            except RuntimeWarning:
                out["ks_" + key] = None
        u = stats.mannwhitneyu(y, x, alternative=side, method="asymptotic")
        out["u_" + key] = [u.statistic, u.pvalue]
        small = untied and min(n, m) <= 40
        out["u_exact_" + key] = (
            stats.mannwhitneyu(y, x, alternative=side, method="exact").pvalue if small else None
        )
    out["kuiper"] = kuiper(x, y)
    out["cvm"] = cvm(x, y)
    if untied:
        out["cvm_scipy"] = stats.cramervonmises_2samp(x, y, method="asymptotic").statistic
        method = "exact" if max(n, m) <= 20 else "asymptotic"
        p = stats.cramervonmises_2samp(x, y, method=method).pvalue
        if method == "asymptotic":
            # scipy's 1 - cdf has an absolute error of 1e-7 in the tail.
            limit = cvm_limit(out["cvm"], n, m)
            assert abs(p - limit) < 1e-6
            p = limit
        out["cvm_p"] = p
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out["ad_midrank"] = stats.anderson_ksamp([x, y], variant="midrank").statistic
        out["ad_right"] = stats.anderson_ksamp([x, y], variant="right").statistic
        out["ad_p_table"] = stats.anderson_ksamp([x, y], variant="midrank").pvalue
    if np.isfinite(np.concatenate([x, y])).all():
        # Sums of exact differences: scipy's own lose digits where the values are large.
        z, f, g = merged(x, y)
        diff = [mpmath.mpf(int(a)) / n - mpmath.mpf(int(b)) / m for a, b in zip(f, g)]
        gaps = [mpmath.mpf(float(b)) - mpmath.mpf(float(a)) for a, b in zip(z[:-1], z[1:])]
        w1 = float(mpmath.fsum(abs(d) * gap for d, gap in zip(diff, gaps)))
        energy = float(mpmath.sqrt(2 * mpmath.fsum(d * d * gap for d, gap in zip(diff, gaps))))
        assert math.isclose(w1, stats.wasserstein_distance(x, y), rel_tol=1e-9, abs_tol=1e-12)
        assert math.isclose(energy, stats.energy_distance(x, y), rel_tol=1e-9, abs_tol=1e-12)
        out["w1"], out["energy"] = w1, energy
        if min(n, m) >= 5:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    es = stats.epps_singleton_2samp(x, y)
                out["epps_singleton"] = [es.statistic, es.pvalue]
            except (RuntimeWarning, ValueError, np.linalg.LinAlgError):
                pass
    return out


def kuiper_p_cases():
    """P(V >= v) of equal sizes by the closed form in exact rationals, and of small ones by
    enumeration."""
    cases = []
    for n, h in [(10, 4), (50, 18), (200, 60), (1000, 120), (1000, 600), (480, 480), (5000, 300)]:
        top = mpmath.binomial(2 * n, n)
        p = mpmath.mpf(0)
        for k in range(1, n // h + 1):
            p += h * mpmath.binomial(2 * n, n + k * h) - (h + 1) * mpmath.binomial(
                2 * n, n + k * (h + 1)
            )
        cases.append([h / n, n, n, float(2 * p / top)])
    for n, m in [(5, 7), (6, 4), (8, 3), (6, 9)]:
        ranges = []
        for where in itertools.combinations(range(n + m), n):
            up = np.full(n + m, -n)
            up[list(where)] = m
            walk = np.concatenate([[0], np.cumsum(up)])
            ranges.append(int(walk.max() - walk.min()))
        for r in sorted(set(ranges))[:: max(1, len(set(ranges)) // 4)]:
            cases.append([r / (n * m), n, m, sum(x >= r for x in ranges) / len(ranges)])
    return cases


def ks_p_cases():
    """Tails: equal sizes in closed form (Gnedenko and Korolyuk), and Kolmogorov's series."""
    cases = []
    for n, h in [(1000, 100), (1000, 500), (1000, 800), (490, 490), (40000, 2000)]:
        top = mpmath.binomial(2 * n, n)
        one = mpmath.binomial(2 * n, n - h) / top
        two = 2 * sum((-1) ** (k - 1) * mpmath.binomial(2 * n, n - k * h) for k in range(1, n // h + 1)) / top
        cases.append({"d": h / n, "n": n, "m": n, "two_sided": float(two), "one_sided": float(one)})
    for d, n, m in [(0.01, 60000, 100000), (0.05, 90000, 110000), (0.1, 80000, 70000)]:
        x = mpmath.mpf(d) * mpmath.sqrt(mpmath.mpf(n) * m / (n + m))
        two = 2 * mpmath.nsum(lambda k: (-1) ** (int(k) - 1) * mpmath.exp(-2 * k * k * x * x), [1, 30])
        small, large = min(n, m), max(n, m)
        one = mpmath.exp(
            -2 * x * x
            - 2 * x * (large + 2 * small) / mpmath.sqrt(mpmath.mpf(n) * m * (n + m)) / 3
        )
        cases.append({"d": d, "n": n, "m": m, "two_sided": float(two), "one_sided": float(one)})
    return cases


def main():
    out = {
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "mpmath": mpmath.__version__,
        },
        "cases": [case(name, np.asarray(x), np.asarray(y)) for name, (x, y) in samples().items()],
        "kuiper_p": kuiper_p_cases(),
        "ks_p": ks_p_cases(),
    }
    (HERE / "order.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
