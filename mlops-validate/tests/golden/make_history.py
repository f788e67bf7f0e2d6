"""Records what numpy, scipy and statsmodels say of series and their next values.

Needs numpy, scipy and statsmodels. Writes history.json beside this file:

    python make_history.py
"""

import json
import pathlib
import sys
import warnings

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.tsa.holtwinters import ExponentialSmoothing

warnings.filterwarnings("ignore")
rng = np.random.default_rng(20261121)


def samples():
    for n in [3, 8, 9, 10, 31, 100]:
        x = rng.normal(50, 4, n)
        yield x
        x = rng.lognormal(3, 1, n)
        yield x
    yield np.array([1, 1, 1, 1, 2, 3.0, 9])
    yield 1e9 + rng.normal(0, 1e-3, 20)


def one_sample(x):
    n = len(x)
    mean, sd = x.mean(), x.std(ddof=1)
    scale = sd * np.sqrt(1 + 1 / n)
    limits = {
        str(alpha): stats.t.interval(1 - alpha, n - 1, loc=mean, scale=scale)
        for alpha in [0.05, 0.0027]
    }
    return {
        "values": x.tolist(),
        "mean": mean,
        "scale": scale,
        "limits": limits,
        "above": stats.t.isf(0.01, n - 1, loc=mean, scale=scale),
        "p_value": 2 * stats.t.sf(abs(x[0] - mean) / scale, n - 1),
        "median": float(np.median(x)),
        "mad": float(stats.median_abs_deviation(x, scale="normal")),
        "diff": {str(k): float(np.diff(x, n=k)[-1]) for k in range(1, min(n, 9))},
    }


def seasonal(n, m, noise, slope=0.3):
    t = np.arange(n)
    season = rng.normal(0, 5, m)
    walk = np.cumsum(rng.normal(0, noise / 3, n))
    return 40 + slope * t + season[t % m] + walk + rng.normal(0, noise, n)


def holt_winters(y, m, weights):
    one, two = y[:m].mean(), y[m : 2 * m].mean()
    trend = (two - one) / m
    level = one - trend * (m + 1) / 2
    season = y[:m] - (level + trend * np.arange(1, m + 1))
    model = ExponentialSmoothing(
        y, trend="add", seasonal="add", seasonal_periods=m, initialization_method="known",
        initial_level=level, initial_trend=trend, initial_seasonal=season,
    )
    alpha, beta, gamma = weights
    fixed = model.fit(smoothing_level=alpha, smoothing_trend=beta, smoothing_seasonal=gamma, optimized=False)
    best = None
    for method in ["L-BFGS-B", "SLSQP", "trust-constr"]:
        for brute in [True, False]:
            try:
                fit = model.fit(optimized=True, use_brute=brute, method=method)
            except Exception:
                continue
            sse = float(((y - fit.fittedvalues)[m:] ** 2).sum())
            if np.isfinite(sse) and (best is None or sse < best[0]):
                best = (sse, float(fit.forecast(1)[0]), [float(fit.params[f"smoothing_{k}"]) for k in ["level", "trend", "seasonal"]])
    return {
        "values": y.tolist(),
        "period": m,
        "weights": weights,
        "fixed_sse": float(((y - fixed.fittedvalues)[m:] ** 2).sum()),
        "fixed_forecast": float(fixed.forecast(1)[0]),
        "best_sse": best[0],
        "best_forecast": best[1],
        "best_weights": best[2],
    }


out = {
    "versions": {
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "statsmodels": statsmodels.__version__,
    },
    "samples": [one_sample(x) for x in samples()],
    "holt_winters": [
        holt_winters(seasonal(n, m, noise), m, weights)
        for n, m, noise, weights in [
            (28, 7, 1.0, (0.3, 0.1, 0.2)),
            (70, 7, 2.0, (0.5, 0.05, 0.4)),
            (60, 12, 0.5, (0.8, 0.9, 0.1)),
            (26, 4, 3.0, (0.05, 0.5, 0.9)),
            (200, 24, 1.0, (0.2, 0.02, 0.3)),
            (40, 2, 1.0, (0.6, 0.3, 0.35)),
        ]
    ],
}
path = pathlib.Path(__file__).with_name("history.json")
path.write_text(json.dumps(out, indent=1) + "\n")
