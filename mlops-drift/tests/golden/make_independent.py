"""Golden cases made from the documentation alone: exact rational arithmetic and mpmath where a
formula is short, scipy, statsmodels and scikit-learn elsewhere. Writes independent.json.

    python make_independent.py

Every number is relative to its own size: 1e-12 for statistics, 1e-9 for p-values. `[value, scale]`
is relative to the scale where the value itself is a small difference of such numbers.

Where the documentation left a choice, it was read as the library has it, so that these are no
independent evidence: the weights of the e-process' beginnings (1/2, then 1/(2j(j - 1))) and its six
concentrations at most, the size of the Beta law of the unseen mass, the bin of a middle rank in the
calibration error, PSI's p of one cell, how ties standardise Cramer-von Mises. Left out: p of the
energy distance with more than one gap, and of Anderson-Darling with ties.
"""
import json, math, random, sys, os
from fractions import Fraction as Q
from itertools import product
import numpy as np, scipy, statsmodels, sklearn, mpmath
from mpmath import mp, mpf
from scipy import stats
mp.dps = 40
rng = np.random.default_rng(20261121)
cases = []
def add(f, want, **inputs): cases.append({"f": f, **inputs, "want": want})
def M(q): return mpf(q.numerator) / q.denominator
def fl(x): return float(x)

# ---- samples ------------------------------------------------------------------------------------
def r(v, d=4): return [round(float(x), d) for x in v]
def lin(n, a, b, scale, offset, power=1):
    return {"n": n, "a": a, "b": b, "scale": scale, "offset": offset, "power": power}
def values(s):
    if isinstance(s, dict):
        out = []
        for i in range(s["n"]):
            h = float(i * s["a"] % s["b"]); v = h
            for _ in range(s["power"] - 1): v *= h
            out.append(s["offset"] + s["scale"] * v)
        return out
    return [float(x) for x in s]
inf = float("inf")
zi = lambda n, p, d: [0.0 if rng.random() < p else x for x in r(rng.gamma(0.7, 3, n), d)]
pairs = {
    "one_one": ([1.5], [-2.5]),
    "one_three": ([0.0], [-1.0, 0.0, 7.0]),
    "two_two_tied": ([5.0, 5.0], [5.0, 7.0]),
    "three_three": ([-3.0, -1.0, -2.0], [-2.5, -0.5, 4.0]),
    "seven_thirteen": (r(rng.normal(0, 1, 7)), r(rng.normal(0.5, 2, 13))),
    "seventeen": (r(rng.normal(3, 1, 17), 6), r(rng.normal(3.9, 1, 17), 6)),
    "twenty_nineteen": (r(rng.exponential(1, 20), 6), r(rng.exponential(2, 19), 6)),
    "integers": ([float(x) for x in rng.integers(0, 4, 41)], [float(x) for x in rng.integers(1, 5, 23)]),
    "zero_inflated": (zi(60, 0.7, 3), zi(37, 0.5, 3)),
    "half_zero": (zi(101, 0.5, 1), zi(99, 0.5, 1)),
    "huge_offset": ([1e9 + x for x in r(rng.normal(0, 1, 31), 5)], [1e9 + x for x in r(rng.normal(0.3, 1, 29), 5)]),
    "huge_offset_small_noise": ([1e9 + x for x in r(rng.normal(0, 1e-5, 12), 7)], [1e9 + x for x in r(rng.normal(0, 2e-5, 15), 7)]),
    "tiny": ([x * 1e-100 for x in r(rng.normal(0, 1, 15), 3)], [x * 1e-100 for x in r(rng.normal(1, 1, 11), 3)]),
    "huge": ([x * 1e120 for x in r(rng.normal(0, 1, 15), 3)], [x * 1e120 for x in r(rng.normal(1, 1, 11), 3)]),
    "negative_skew": (r(-np.exp(rng.normal(0, 2, 50)), 5), r(-np.exp(rng.normal(0.4, 1, 9)), 5)),
    "infinite": ([-inf, -inf, 0.0, 1.0, 2.0, 3.5, inf, 4.0, 8.0], [-inf, 0.5, 1.0, inf, inf, inf, 9.0]),
    "many_few": (r(rng.normal(0, 1, 333), 3), r(rng.normal(1.2, 0.2, 5), 3)),
    "far": (r(rng.normal(0, 1, 120), 3), r(rng.normal(4, 1, 80), 3)),
    "apart": (lin(60, 7, 61, 1.0, 0.0), lin(55, 3, 59, 1.0, 1000.0)),
    "constant": ([4.0] * 5, [4.0] * 3),
    "constants_apart": ([4.0] * 6, [4.5] * 8),
    "zeros": ([0.0, -0.0, 1.0, -1.0, 2.0], [-0.0, 0.0, -1.0, 3.0, 3.0, 5.0]),
    "same": (lin(50, 7, 53, 0.25, -3.0), lin(50, 7, 53, 0.25, -3.0)),
    "medium": (lin(401, 311, 1009, 0.5, -100.0), lin(300, 577, 1013, 0.5, -82.0)),
    "skewed": (lin(151, 67, 157, 1e-3, 0.0, 3), lin(151, 59, 163, 1e-3, 0.0, 3)),
    "one_many": ([0.75], lin(500, 3, 509, 0.01, -1.0)),
    "large": (lin(20011, 7919, 20021, 0.125, 0.0), lin(15013, 6133, 15017, 0.125, 200.0)),
    "large_tied": (lin(30011, 7919, 101, 0.125, 0.0), lin(15013, 6133, 97, 0.125, 0.25)),
}
def runs(x, y):
    d = {}
    for v in x: d.setdefault(v + 0.0, [0, 0])[0] += 1
    for v in y: d.setdefault(v + 0.0, [0, 0])[1] += 1
    return [(v, *d[v]) for v in sorted(d)]

# ---- laws ---------------------------------------------------------------------------------------
def paths(n, m, inside):
    row = [0] * (m + 1)
    for i in range(n + 1):
        for j in range(m + 1):
            c = 1 if i == j == 0 else (row[j] if i else 0) + (row[j - 1] if j else 0)
            row[j] = c if inside(m * i - n * j) else 0
    return row[m]
def ks_p(k, n, m, side):
    """P(max >= k/(nm)), counted."""
    if k == 0: return mpf(1)
    if n * m > 200_000:
        z = mpf(k) / (n * m) * mp.sqrt(mpf(n) * m / (n + m))
        if side == "two": return 2 * sum((-1) ** (j - 1) * mp.exp(-2 * j * j * z * z) for j in range(1, 200))
        a, b = max(n, m), min(n, m)
        return mp.exp(-2 * z * z - 2 * z * (a + 2 * b) / (3 * mp.sqrt(mpf(a) * b * (a + b))))
    ok = (lambda c: abs(c) < k) if side == "two" else (lambda c: c < k) if side == "greater" else (lambda c: -c < k)
    c = math.comb(n + m, n)
    return M(Q(c - paths(n, m, ok), c))
def kuiper_p(w, n, m):
    """P(V >= w/(nm)): closed walks counted by their lowest point."""
    if w == 0: return mpf(1)
    g = math.gcd(n, m)
    if n == m and w // n > 0 and n > 20:
        h = w // n; c0 = math.comb(2 * n, n)
        rho = lambda j: Q(math.comb(2 * n, n + j), c0) if j <= n else Q(0)
        return M(2 * sum(h * rho(k * h) - (h + 1) * rho(k * (h + 1)) for k in range(1, n // h + 2)))
    if n * m > 2 ** 24:
        return None
    if w // g * n * m > 3e5: return None
    small = 0
    for a in range(-(w - g), 1, g):
        small += paths(n, m, lambda c: a <= c <= a + w - g) - paths(n, m, lambda c: a + g <= c <= a + w - g)
    c = math.comb(n + m, n)
    return M(Q(c - small, c))
def kuiper_limit(v, n, m):
    b, a = max(n, m), min(n, m)      # m >= n in the documentation: a is n, b is m
    lam = mp.sqrt(mpf(n) * m / (n + m)) * (v + mpf(b + 2 * a) / (3 * n * m) - mpf(math.gcd(n, m)) / (2 * n * m))
    return 2 * sum((4 * k * k * lam * lam - 1) * mp.exp(-2 * k * k * lam * lam) for k in range(1, 200))
def cvm_sf(x):
    mp.dps = 60
    x = mpf(x)
    if x <= 0: mp.dps = 40; return mpf(1)
    s, j = mpf(0), 0
    while True:
        u = (4 * j + 1) ** 2 / (16 * x)
        t = mp.gamma(j + mpf(1) / 2) / (mp.gamma(mpf(1) / 2) * mp.factorial(j)) * mp.sqrt(4 * j + 1) * mp.exp(-u) * mp.besselk(mpf(1) / 4, u)
        s += t; j += 1
        if u > 5 and t < mpf(10) ** -58: break
    out = 1 - s / (mp.pi * mp.sqrt(x)); mp.dps = 40
    return out
def ad_sf(z):
    """Anderson & Darling (1954), the limit of A^2."""
    mp.dps = 30; z = mpf(z)
    if z <= 0: mp.dps = 40; return mpf(1)
    s, j = mpf(0), 0
    while True:
        c = (4 * j + 1) ** 2 * mp.pi ** 2 / (8 * z)
        i = mp.quad(lambda w: mp.exp(z / (8 * (w * w + 1)) - c * (1 + w * w)), [0, 1 / mp.sqrt(c), 3 / mp.sqrt(c), 9 / mp.sqrt(c)])
        t = mp.binomial(-mpf(1) / 2, j) * (4 * j + 1) * i
        s += t; j += 1
        if c > 5 and abs(t) < mpf(10) ** -27: break
    out = 1 - mp.sqrt(2 * mp.pi) / z * s; mp.dps = 40
    return out
def bridge_var(a, P, v):
    """Variance of sum a B^2 of a bridge at shares P with variances v on the diagonal."""
    a, P, v = map(np.asarray, (a, P, v))
    K = np.minimum.outer(P, P) * (1 - np.maximum.outer(P, P)); np.fill_diagonal(K, v)
    return 2 * float(a @ (K * K) @ a)

# ---- statistics of two arrays -------------------------------------------------------------------
def cvm(x, y, R):
    n, m, N = len(x), len(y), len(x) + len(y)
    tot = i = j = 0; tied = False; B = []
    for _, p, q in R:
        i += p; j += q; tot += (p + q) * (m * i - n * j) ** 2; tied |= p + q > 1; B.append((p + q, i + j))
    T = Q(tot, n * m * N * N)
    if not tied and n <= 20 and m <= 20:
        rows = {}
        for i in range(n + 1):
            for j in range(m + 1):
                d = {} if i or j else {0: 1}
                for p in ((i - 1, j), (i, j - 1)):
                    for s, c in rows.get(p, {}).items():
                        k = s + (m * i - n * j) ** 2; d[k] = d.get(k, 0) + c
                rows[i, j] = d
            for j in range(m + 1): rows.pop((i - 1, j), None)
        return T, M(Q(sum(c for s, c in rows[n, m].items() if s >= tot), math.comb(N, n))), True
    mean = Q(0) + sum(Q(t * b * (N - b), N * N) for t, b in B) / (N - 1)
    var = Q((N + 1) * (4 * n * m * N - 3 * (n * n + m * m) - 2 * n * m), 45 * N * N * 4 * n * m)
    ratio = 1.0
    if tied:
        if N > 3000: return T, None, False
        P = np.array([b / N for _, b in B]); u = np.arange(1, N + 1) / N
        ratio = bridge_var([t for t, _ in B], P, P * (1 - P)) / bridge_var(np.ones(N), u, u * (1 - u))
        if ratio == 0: return T, mpf(1), False
    return T, cvm_sf(mpf(1) / 6 + (M(T) - M(mean)) / mp.sqrt(45 * M(var) * ratio)), False
def ad(n, m, R, ties):
    N = n + m; L = len(R)
    if L < 2 or N < 4: return None
    H, h = sum(1 / mpf(i) for i in range(1, N)), 1 / mpf(n) + 1 / mpf(m)
    # sigma^2 of Scholz & Stephens with k = 2
    inv = np.concatenate([[0], np.cumsum(1.0 / np.arange(1, N))])
    g = float(sum((inv[N - 1] - inv[i]) / (N - i) for i in range(1, N - 1)))
    if N <= 800: # to 1e-13
        inv = [mpf(0)]
        for i in range(1, N): inv.append(inv[-1] + 1 / mpf(i))
        g = sum((inv[N - 1] - inv[i]) / (N - i) for i in range(1, N - 1))
    k = 2
    a = (4 * g - 6) * (k - 1) + (10 - 6 * g) * h
    b = (2 * g - 4) * k * k + 8 * H * k + (2 * g - 14 * H - 4) * h - 8 * H + 4 * g - 6
    c = (6 * H + 2 * g - 2) * k * k + (4 * H - 4 * g + 6) * k + (2 * H - 6) * h + 4 * H
    d = (2 * H + 6) * k * k - 4 * H * k
    var = (a * mpf(N) ** 3 + b * N * N + c * N + d) / ((mpf(N) - 1) * (N - 2) * (N - 3))
    i = j = 0; tot = Q(0); W, P, V = [], [], []
    for idx, (_, p, q) in enumerate(R):
        l = p + q
        if ties == "midrank":
            i2, j2 = 2 * i + p, 2 * j + q; B = Q(i2 + j2, 2); w = B * (N - B) - Q(N * l, 4)
            cr = Q(m * i2 - n * j2, 2)
        else:
            if idx == L - 1: break
            B = Q(i + j + l); w = B * (N - B); cr = Q(m * (i + p) - n * (j + q))
        i += p; j += q
        # sum over samples of (N M - n_i B)^2/n_i is cross^2 N/(nm)
        tot += l * cr * cr / w
        W.append(l / w); P.append(B / N); V.append(w / (N * N))
    f = Q(1, n * m)
    if ties == "midrank": f *= Q(N - 1, N)
    A2 = tot * f
    mean = sum(w * v for w, v in zip(W, V)) * f * N * N * n * m / (N - 1)   # var(cross) = nm N^2/(N-1) v
    tied = L < N
    u = np.arange(1, N) / N
    ratio = 1.0
    if tied:
        ratio = bridge_var([float(w * f * n * m * N * N) for w in W], [float(p) for p in P], [float(v) for v in V])
        ratio /= bridge_var(1 / (u * (1 - u)), u, u * (1 - u)) # weights 1/(P(1-P)) a row
    return A2, mean, var, ratio, tied
SINF = mp.sqrt(2 * (mp.pi ** 2 / 3 - 3))
def moments(x):
    q = [Q(v) for v in x]; n = len(q); mu = sum(q) / n
    return n, mu, (sum((v - mu) ** 2 for v in q) / (n - 1) if n > 1 else None)
def t_sf(t, df):
    if df > 300: return mpf(float(stats.t.sf(float(t), float(df))))
    t, df = mpf(t), mpf(df)
    p = mp.betainc(df / 2, mpf(1) / 2, 0, df / (df + t * t), regularized=True) / 2
    return p if t >= 0 else 1 - p
def f_tail(F, a, b, upper=True):
    if a + b > 300: return mpf(float((stats.f.sf if upper else stats.f.cdf)(float(F), a, b)))
    F, a, b = mpf(F), mpf(a), mpf(b)
    if upper: return mp.betainc(b / 2, a / 2, 0, b / (b + a * F), regularized=True)
    return mp.betainc(a / 2, b / 2, 0, a * F / (b + a * F), regularized=True)
def chi_sf(x, df): return mp.gammainc(mpf(df) / 2, mpf(x) / 2, mp.inf, regularized=True) if x > 0 else mpf(1)
def three(up, lo): return {"two": fl(min(mpf(1), 2 * min(up, lo))), "greater": fl(up), "less": fl(lo)}
def spread_tests(n, x, s, m, y, u):
    """Reference n, x, s; current m, y, u; exact moments."""
    out = {}
    d = y - x
    if s + u > 0:
        se = u / m + s / n; t = M(d) / mp.sqrt(M(se)); df = M(se * se / ((u / m) ** 2 / (m - 1) + (s / n) ** 2 / (n - 1)))
        out["welch"] = {"statistic": fl(t), "df": fl(df), "difference": fl(d), **three(t_sf(t, df), t_sf(-t, df))}
        v = ((n - 1) * s + (m - 1) * u) / (n + m - 2); t = M(d) / mp.sqrt(M(v * (Q(1, n) + Q(1, m))))
        out["pooled"] = {"statistic": fl(t), "df": n + m - 2, "difference": fl(d), **three(t_sf(t, n + m - 2), t_sf(-t, n + m - 2))}
    if s > 0 and u > 0:
        F = u / s
        out["f"] = {"statistic": fl(F), **three(f_tail(M(F), m - 1, n - 1), f_tail(M(F), m - 1, n - 1, False))}
        v = ((n - 1) * s + (m - 1) * u) / (n + m - 2)
        st = (n + m - 2) * mp.log(M(v)) - (n - 1) * mp.log(M(s)) - (m - 1) * mp.log(M(u))
        st /= 1 + (mpf(1) / (n - 1) + mpf(1) / (m - 1) - mpf(1) / (n + m - 2)) / 3
        out["bartlett"] = {"statistic": fl(st), "two": fl(chi_sf(st, 1))}
    return out
def levene(x, y, centre):
    out = []
    for v in (x, y):
        q = sorted(Q(a) for a in v); n = len(q)
        c = sum(q) / n if centre == "mean" else (q[(n - 1) // 2] + q[n // 2]) / 2
        out.append([abs(a - c) for a in q])
    a, b = out; n, m = len(a), len(b); ma, mb = sum(a) / n, sum(b) / m
    within = sum((v - ma) ** 2 for v in a) + sum((v - mb) ** 2 for v in b)
    if within == 0: return None
    g = (sum(a) + sum(b)) / (n + m)
    W = (n + m - 2) * (n * (ma - g) ** 2 + m * (mb - g) ** 2) / within
    return {"statistic": fl(W), "p": fl(f_tail(M(W), 1, n + m - 2)), "ratio": fl(mb / ma) if ma else None}
def energy(R, n, m):
    i = j = 0; integral = Q(0); P, D = [], []; N = n + m
    for (v, p, q), (w, _, _) in zip(R, R[1:]):
        i += p; j += q; d = Q(w) - Q(v); integral += Q(m * i - n * j, n * m) ** 2 * d
        P.append((i + j) / N); D.append(d)
    want = {"distance": fl(mp.sqrt(2 * M(integral))), "statistic": fl(Q(n * m, N) * 2 * integral)}
    if len(P) == 1 and N > 2:    # with one gap the law is that of one square
        s = max(D); D = np.array([float(d / s) for d in D]); P = np.array(P)
        K = np.minimum.outer(P, P) * (1 - np.maximum.outer(P, P)); A = K * np.sqrt(np.outer(D, D)) * (1 / n + 1 / m) * N / (N - 1)
        k1, k2, k3 = np.trace(A), 2 * np.sum(A * A), 8 * np.sum((A @ A) * A)
        sh, th = 4 * k2 ** 3 / k3 ** 2, k3 / (2 * k2); z = (M(integral / s) - (k1 - sh * th)) / th
        want["p"] = fl(mp.gammainc(mpf(sh), z, mp.inf, regularized=True)) if z > 0 else 1.0
    return want
def epps(x, y):
    x, y = np.array(x), np.array(y); n, m = len(x), len(y); N = n + m
    if min(n, m) < 5: return None
    s = stats.iqr(np.concatenate([x, y])) / 2
    if s == 0: return None
    sp = stats.epps_singleton_2samp(x, y)
    t = np.array([0.4, 0.8]) / s
    g = lambda v: np.vstack([np.cos(np.outer(t, v)), np.sin(np.outer(t, v))])
    z = np.hstack([g(x), g(y)]); d = g(x).mean(1) - g(y).mean(1); S = np.cov(z, bias=True)
    if np.linalg.cond(S) > 1e6: return None
    sc = n * m / N * (N - 1) / N * d @ np.linalg.solve(S, d)
    return {"statistic": float(sp.statistic), "wald": float(sp.pvalue), "score": float(sc), "p": fl(chi_sf(sc, 4))}

for name, (sx, sy) in pairs.items():
    x, y = values(sx), values(sy); n, m, N = len(x), len(y), len(x) + len(y); R = runs(x, y); w = {}
    i = j = 0; up = lo = 0; cur = [0]
    for _, p, q in R: i += p; j += q; up, lo = max(up, m * i - n * j), max(lo, n * j - m * i)
    k = max(up, lo)
    w["ks"] = {"statistic": k / (n * m), "plus": up / (n * m), "minus": lo / (n * m), "exact": n * m <= 200_000,
               "two": fl(ks_p(k, n, m, "two")), "greater": fl(ks_p(up, n, m, "greater")), "less": fl(ks_p(lo, n, m, "less"))}
    V = up + lo; kp = kuiper_p(V, n, m)
    if n * m > 2 ** 24 and n != m: kp = kuiper_limit(mpf(V) / (n * m), n, m)
    w["kuiper"] = {"statistic": V / (n * m), "p": None if kp is None else fl(kp)}
    T, p, ex = cvm(x, y, R); w["cvm"] = {"statistic": fl(T), "p": None if p is None else fl(p), "exact": ex}
    if N <= 1000:
        for ties in ("midrank", "right"):
            a = ad(n, m, R, ties)
            if a:
                A2, mean, var, ratio, tied = a
                w["ad_" + ties] = {"a_squared": fl(A2), "statistic": [fl((M(A2) - 1) / mp.sqrt(var)), fl(max(1, A2) / mp.sqrt(var))], "tied": tied}
                z = 1 + SINF * (M(A2) - M(mean)) / mp.sqrt(var * ratio)
                # With ties the documentation does not fix the digits of p.
                if not tied and z < 60: w["ad_" + ties]["p"] = fl(ad_sf(z))
    below = U2 = 0
    for _, p, q in R: U2 += q * (2 * below + p); below += p
    tied = any(p + q > 1 for _, p, q in R)
    w["mw"] = {"statistic": U2 / 2, "superiority": fl(Q(U2, 2 * n * m)), "exact": not tied and min(n, m) * n * m <= 2 ** 22 and math.comb(N, n) <= 2 ** 127}
    if len(R) == 1: w["mw"].update(two=1.0, less=1.0, greater=1.0)
    elif w["mw"]["exact"]:
        for alt, nm in (("two-sided", "two"), ("less", "less"), ("greater", "greater")):
            w["mw"][nm] = float(stats.mannwhitneyu(y, x, alternative=alt, method="exact").pvalue)
    else:
        t3 = sum((p + q) ** 3 - (p + q) for _, p, q in R)
        sd = mp.sqrt(mpf(n) * m / 12 * (N + 1 - mpf(t3) / (N * (N - 1)))); mu = mpf(n * m) / 2; U = mpf(U2) / 2
        sf = lambda z: mp.erfc(z / mp.sqrt(2)) / 2
        w["mw"].update(greater=fl(sf((U - mu - mpf(1) / 2) / sd)), less=fl(sf((mu - U - mpf(1) / 2) / sd)),
                       two=fl(min(mpf(1), 2 * sf((max(U, 2 * mu - U) - mu - mpf(1) / 2) / sd))))
    if all(map(math.isfinite, x + y)):
        W = Q(0); i = j = 0
        for (v, p, q), (v2, _, _) in zip(R, R[1:]): i += p; j += q; W += abs(Q(m * i - n * j, n * m)) * (Q(v2) - Q(v))
        mx, my = moments(x), moments(y)
        w["wasserstein"] = {"statistic": fl(W), "normalised": fl(M(W) / mp.sqrt(M(mx[2]))) if n > 1 and mx[2] > 0 else None}
        w["energy"] = energy(R, n, m) if name != "huge" else None
        if n > 1 and m > 1 and N < 1000:
            w["moments"] = {"mean": fl(mx[1]), "variance": fl(mx[2])}
            once = lambda t: (t[0], Q(fl(t[1])), Q(fl(t[2])))   # a mean and a variance are floats
            w.update(spread_tests(*once(mx), *once(my)))
            for c in ("median", "mean"):
                lv = levene(x, y, c)
                if lv: w["levene_" + c] = lv if not name.startswith("huge_offset") else "any"
        if name not in ("huge_offset", "huge_offset_small_noise") and N < 1000:
            e = epps(x, y)
            if e: w["epps"] = e
    add("pair", w, name=name, x=sx if isinstance(sx, dict) else [str(v) if math.isinf(v) else v for v in sx],
        y=sy if isinstance(sy, dict) else [str(v) if math.isinf(v) else v for v in sy])
    print(name, file=sys.stderr, flush=True)

print(len(cases), file=sys.stderr, flush=True)
# ---- p-values by their arguments ----------------------------------------------------------------
for n, m in [(1, 1), (1, 9), (2, 3), (6, 6), (5, 8), (9, 12), (40, 25), (97, 97), (30, 101)]:
    for k in sorted({max(1, round(f * n * m)) for f in (0.05, 0.2, 0.5, 0.8, 1.0)}):
        g = math.gcd(n, m); k = max(g, k // g * g)     # a difference that exists
        kp = kuiper_p(k, n, m)
        add("ks_p", {s: fl(ks_p(k, n, m, s)) for s in ("two", "greater", "less")} | {"kuiper": None if kp is None else fl(kp)},
            n=n, m=m, k=k)
for n, m, d in [(10 ** 6, 10 ** 6 + 1, 0.004), (10 ** 7, 3 * 10 ** 5, 0.01), (10 ** 6, 10 ** 6 - 7, 0.03), (50_000, 1_000_000, 0.06)]:
    k = round(d * n * m); add("ks_p", {s: fl(ks_p(k, n, m, s)) for s in ("two", "greater", "less")} | {"kuiper": fl(kuiper_limit(mpf(k) / (n * m), n, m))}, n=n, m=m, k=k)

print(len(cases), file=sys.stderr, flush=True)
# ---- moments ------------------------------------------------------------------------------------
for a, b in [((2, 0.0, 1e-300), (2, 1e-150, 4e-300)), ((3, 1e9, 0.25), (100000, 1e9 + 0.5, 9.0)), ((1000000, -5.0, 2.0), (17, -5.5, 0.01)),
             ((50, 0.0, 1.0), (60, 40.0, 1.0)), ((5, 1.0, 0.0), (7, 2.0, 3.0)), ((400, 0.0, 1.0), (300, 0.0, 1.0 + 2 ** -30)), ((40, 3.0, 1.0), (40, 3.0, 1e6))]:
    q = lambda s: (s[0], Q(s[1]), Q(s[2]))
    add("moments", spread_tests(*q(a), *q(b)), reference=list(a), current=list(b))

print(len(cases), file=sys.stderr, flush=True)
# ---- tables -------------------------------------------------------------------------------------
def table(rf, cu):
    mp.dps = 90
    n, m = sum(rf), sum(cu); w = {}; R = [(a, b) for a, b in zip(rf, cu) if a + b]; N = n + m
    x2 = sum(Q((a * m - b * n) ** 2, (a + b) * n * m) for a, b in R); df = len(R) - 1
    me = min(Q((a + b) * min(n, m), N) for a, b in R)
    w["chi"] = {"statistic": fl(x2), "p": fl(chi_sf(M(x2), df)) if df else 1.0, "df": df, "min": fl(me)}
    xlx = lambda o, e: o * mp.log(mpf(o) / e) if o else mpf(0)
    G = 2 * sum(xlx(a, M(Q((a + b) * n, N))) + xlx(b, M(Q((a + b) * m, N))) for a, b in R)
    w["g"] = {"statistic": [fl(G), 1e-12 if G < 1e-9 else 0.0], "p": fl(chi_sf(G, df)) if df else 1.0}
    p, q = [mpf(b) / m for a, b in R], [mpf(a) / n for a, b in R]
    w["hellinger"] = fl(mp.sqrt(sum((mp.sqrt(s) - mp.sqrt(t)) ** 2 for s, t in zip(p, q)) / 2))
    w["linf"] = fl(max(abs(s - t) for s, t in zip(p, q)))
    tv = sum(abs(s - t) for s, t in zip(p, q)) / 2; al = mpf(1) - mpf(0.9)
    t = mp.sqrt(mp.log(2 / al) / 2 * (mpf(1) / n + mpf(1) / m)); b = sum(mp.sqrt(s * (1 - s) / m + u * (1 - u) / n) for s, u in zip(p, q)) / 2
    w["tv"] = {"value": fl(tv), "low": fl(max(mpf(0), tv - t - b)), "high": fl(min(mpf(1), tv + t))}
    kl = lambda s, u: sum(a * mp.log(a / b) for a, b in zip(s, u) if a)
    h = [(a + b) / 2 for a, b in zip(p, q)]; js = (kl(p, h) + kl(q, h)) / 2
    w["js"] = {"nats": fl(js), "bits": fl(js / mp.log(2)), "distance": fl(mp.sqrt(js))}
    ok = lambda s, u: all(b for a, b in zip(s, u) if a)
    w["kl"] = {"cr": fl(kl(p, q)) if ok(p, q) else None, "rc": fl(kl(q, p)) if ok(q, p) else None}
    w["psi"] = {}
    for rule, v in (("half", 0.5), ("add", 2.0), ("clip", 0.01), ("shares", 1e-6), ("refuse", 0)):
        if rule in ("half", "add"):
            k = len(R); P = [(b + mpf(v)) / (m + k * mpf(v)) for _, b in R]; S = [(a + mpf(v)) / (n + k * mpf(v)) for a, _ in R]
        elif rule == "clip": P, S = [max(a, mpf(v)) for a in p], [max(a, mpf(v)) for a in q]
        elif rule == "shares": P, S = [a + mpf(v) for a in p], [a + mpf(v) for a in q]
        else: P, S = p, q
        if rule == "clip" and len(R) < len(rf): continue
        if all(P) and all(S):
            w["psi"][rule] = fl(sum((a - b) * mp.log(a / b) for a, b in zip(P, S)))
            if rule != "refuse": w["kl"][rule] = [fl(kl(P, S)), fl(kl(S, P)), fl(sum(abs(a - b) for a, b in zip(P, S)))]
            elif len(R) == len(rf):
                psi = sum((a - b) * mp.log(a / b) for a, b in zip(p, q)); K = len(R)
                gp = [mp.log(a / b) + 1 - b / a for a, b in zip(p, q)]; gq = [-mp.log(a / b) + 1 - a / b for a, b in zip(p, q)]
                var = lambda g, s, c: (sum(u * u * e for u, e in zip(g, s)) - sum(u * e for u, e in zip(g, s)) ** 2) / c
                bias = (sum((1 / a + b / a ** 2) * a * (1 - a) for a, b in zip(p, q)) / m + sum((1 / b + a / b ** 2) * b * (1 - b) for a, b in zip(p, q)) / n) / 2
                e = mpf(1) / n + mpf(1) / m; v = var(gp, p, m) + var(gq, q, n) + 2 * (K - 1) * e * e
                z = mp.sqrt(2) * mp.erfinv(mpf(0.9))
                w["psi_test"] = {"noise": fl((K - 1) * e), "p": fl(chi_sf(psi / e, K - 1) if K > 1 else 1) if me >= 20 or K == 1 else None,
                                 "low": [fl(max(mpf(0), psi - bias - z * mp.sqrt(v))), 1e-3], "high": [fl(max(mpf(0), psi - bias + z * mp.sqrt(v))), 1e-3]}
    mp.dps = 40
    return w
for rf, cu in [([1], [1]), ([3], [70]), ([1, 0], [0, 1]), ([1, 2], [2, 1]), ([0, 5, 0, 7], [3, 5, 0, 7]), ([10, 0, 3], [1, 4, 0]),
               ([1000, 2000, 3000], [1000, 2000, 3001]), ([10 ** 9, 2 * 10 ** 9, 5 * 10 ** 8], [10 ** 9 + 40000, 2 * 10 ** 9, 5 * 10 ** 8 - 90000]),
               ([500, 1, 1, 1, 1, 1], [3, 3, 3, 3, 3, 3]), ([10 ** 12, 7], [10, 10]), ([900, 50, 50], [50, 50, 900]), ([20, 20, 20], [20, 20, 20]),
               ([40, 60, 100, 300], [30, 70, 90, 400]), ([10 ** 15, 10 ** 15], [10 ** 15 + 1, 10 ** 15 - 1]), (list(range(1, 42)), list(range(41, 0, -1))),
               ([100] * 30, [100 + (i * 7 % 11) for i in range(30)]), ([5000, 5000], [1, 0])]:
    add("table", table(rf, cu), reference=rf, current=cu)
for known, cu in [([1.0, 2.0, 3.0], [5, 9, 14]), ([0.25, 0.25, 0.5, 0.0], [100, 300, 7, 0]), ([1e-9, 1.0], [1, 1000]), ([7.0], [3]), ([1e300, 3e300], [10, 20])]:
    S = sum(Q(v) for v in known); m = sum(cu)
    st = sum((c - m * Q(v) / S) ** 2 / (m * Q(v) / S) for v, c in zip(known, cu) if v); df = sum(1 for v in known if v) - 1
    add("gof_known", {"statistic": fl(st), "p": fl(chi_sf(M(st), df)) if df else 1.0, "df": df}, shares=known, current=cu)
for rf, cu in [([10, 20, 30], [9, 9, 9]), ([1, 1000000], [3, 40]), ([5, 0, 5], [1000, 0, 4000]), ([8], [2])]:
    n, m = sum(rf), sum(cu)
    st = sum((c - Q(m * a, n)) ** 2 / Q(m * a, n) for a, c in zip(rf, cu) if a) / (1 + Q(m, n)); df = sum(1 for a in rf if a) - 1
    add("gof_sampled", {"statistic": fl(st), "p": fl(chi_sf(M(st), df)) if df else 1.0, "df": df}, reference=rf, current=cu)
for a, n, b, m in [(0, 1, 1, 1), (0, 5, 0, 7), (5, 5, 7, 7), (3, 3, 0, 3), (1, 1000, 9, 1000), (7, 30, 12, 13), (500, 1000, 10, 700), (2, 100000, 3, 5), (300, 900, 310, 900), (1, 3, 2, 4), (50, 100, 50, 100), (3, 4000, 2000, 4001)]:
    # a of n reference rows, b of m current ones
    s, N = a + b, n + m; lo, hi = max(0, s - n), min(s, m)
    pr = {k: math.comb(m, k) * math.comb(n, s - k) for k in range(lo, hi + 1)}; tot = math.comb(N, s)
    up, dn, tw = (sum(v for k, v in pr.items() if f(k, v)) for f in (lambda k, v: k >= b, lambda k, v: k <= b, lambda k, v: v <= pr[b]))
    want = {"two": fl(M(Q(tw, tot))), "greater": fl(M(Q(up, tot))), "less": fl(M(Q(dn, tot)))}
    want["odds"] = fl(Q(b * (n - a), (m - b) * a)) if (m - b) * a else None
    h = Q(s, N)
    for nm, v in (("pooled", h * (1 - h) * (Q(1, n) + Q(1, m))), ("unpooled", Q(a, n) * (1 - Q(a, n)) / n + Q(b, m) * (1 - Q(b, m)) / m)):
        if v:
            d = Q(b, m) - Q(a, n); z = M(d) / mp.sqrt(M(v)); sf = lambda z: mp.erfc(z / mp.sqrt(2)) / 2
            want[nm] = {"statistic": fl(z), "difference": fl(d), **three(sf(z), sf(-z))}
        else: want[nm] = None
    add("shares", want, a=a, n=n, b=b, m=m)

print(len(cases), file=sys.stderr, flush=True)
# ---- exact laws of simulated p-values ------------------------------------------------------------
def psi_half(rf, cu):
    n, m, k = sum(rf), sum(cu), len(rf)
    return sum(((c + .5) / (m + k / 2) - (a + .5) / (n + k / 2)) * math.log(((c + .5) / (m + k / 2)) / ((a + .5) / (n + k / 2))) for a, c in zip(rf, cu))
def tvd(rf, cu): n, m = sum(rf), sum(cu); return sum(abs(Q(c, m) - Q(a, n)) for a, c in zip(rf, cu)) / 2
def compositions(m, k):
    if k == 1: yield (m,); return
    for i in range(m + 1):
        for rest in compositions(m - i, k - 1): yield (i, *rest)
rising = lambda a, c: math.prod(range(a, a + c))
for rf, cu in [([5, 5, 5], [9, 1, 0]), ([1, 1], [0, 3]), ([0, 7, 4], [2, 6, 4]), ([12, 11, 12, 13], [2, 5, 1, 12]), ([30, 3], [5, 9])]:
    al = [a or 1 for a in rf]; al[-1] = rf[-1] + 1; m, A = sum(cu), sum(al)
    dm = {c: Q(math.factorial(m) * math.prod(Q(rising(a, v), math.factorial(v)) for a, v in zip(al, c)), rising(A, m)) for c in compositions(m, len(rf))}
    assert sum(dm.values()) == 1
    w = {"parameters": al}
    for nm, st in (("psi", psi_half), ("tv", tvd)):
        o = st(rf, cu); law = sorted(((st(rf, c), p) for c, p in dm.items()), reverse=True)
        w["dm_" + nm] = fl(sum(p for s, p in law if s >= o - 1e-12))
        if nm == "psi": w["psi_law"] = []
        if nm == "psi":
            tail = Q(0)
            for s, p in law:
                if tail > Q(1, 5): break
                tail += p; w["psi_law"].append([round(float(s), 12), float(f"{fl(p):.6g}")])
        t = [a + c for a, c in zip(rf, cu)]; N = sum(t)
        hg = {c: Q(math.prod(math.comb(a, v) for a, v in zip(t, c)), math.comb(N, m)) for c in compositions(m, len(rf)) if all(v <= a for a, v in zip(t, c))}
        w["perm_" + nm] = fl(sum(p for c, p in hg.items() if st([a - v for a, v in zip(t, c)], c) >= o - 1e-12))
    w["mean"] = [fl(Q(a * m, A)) for a in al]
    add("simulated", w, reference=rf, current=cu)
for rf, m, al in [([100] * 5, 400, 0.01), ([30, 40, 50], 10 ** 6, 0.2), ([5000, 30], 5000, 0.05)]:
    add("psi_threshold", {"value": fl(mpf(stats.chi2.isf(al, len(rf) - 1)) * (mpf(1) / sum(rf) + mpf(1) / m))}, reference=rf, m=m, alpha=al)

print(len(cases), file=sys.stderr, flush=True)
# ---- outside, unseen ----------------------------------------------------------------------------
def bb(m, a, b, k, upper):
    """Beta-binomial tail for real a, b."""
    a, b = mpf(a), mpf(b); ks = range(k, m + 1) if upper else range(0, k + 1)
    t = lambda k: mp.exp(mp.loggamma(m + 1) - mp.loggamma(k + 1) - mp.loggamma(m - k + 1) + mp.loggamma(k + a) + mp.loggamma(m - k + b) - mp.loggamma(m + a + b) + mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b))
    ks = list(ks)
    return sum(map(t, ks)) if len(ks) else mpf(0)
for n, m, lo, up in [(2, 1, 0, 0), (2, 1, 1, 0), (2, 3, 1, 2), (3, 1, 0, 1), (10, 10, 0, 3), (100, 50, 2, 0), (1000, 7, 0, 7), (20, 900, 10, 500), (10000, 300, 3, 20), (500, 500, 0, 0), (10 ** 9, 40, 1, 5), (7, 1500, 0, 1499)]:
    k = lo + up; more, few = bb(m, 2, n - 1, k, True), bb(m, 2, n - 1, k, False)
    add("outside", {"share": k / m, "more": fl(more), "fewer": fl(few), "two": fl(min(mpf(1), 2 * min(more, few))), "below": fl(bb(m, 1, n, lo, True)), "above": fl(bb(m, 1, n, up, True))}, n=n, m=m, below=lo, above=up)
for counts, u, m in [([1], 1, 1), ([1, 1, 1], 2, 5), ([2], 0, 3), ([5, 5], 1, 10), ([1] * 5 + [2] * 3 + [50], 4, 40), ([1000, 1], 3, 100), ([10 ** 6], 2, 500), ([1] * 40 + [2], 30, 30), ([3, 0, 1, 1, 2, 0, 9], 6, 200), ([7, 3, 2, 1], 50, 60)]:
    n, n1, n2 = sum(counts), counts.count(1), counts.count(2)
    w = {"n": n, "n1": n1, "n2": n2, "estimate": n1 / n}
    if n1 < n:
        mu = mpf(n1 + 1) / (n + 1)    # in the variance too, one row more and alone
        v = ((n1 + 1) * (1 - mu) + 2 * n2 + 1) / mpf(n + 1) ** 2
        s = mu * (1 - mu) / v
        if s > 0:
            a, b = mu * s, (1 - mu) * s; w["p"] = fl(bb(m, a, b, u, True))
            w["upper"] = float(stats.beta.ppf(0.9, float(a), float(b)))
    else: w["p"] = 1.0; w["upper"] = 1.0
    add("unseen", w, counts=counts, unseen=u, m=m)

print(len(cases), file=sys.stderr, flush=True)
# ---- e-process ----------------------------------------------------------------------------------
def ldm(c, a):
    A, C = sum(a), sum(c)
    return mp.loggamma(A) - mp.loggamma(A + C) + sum(mp.loggamma(x + y) - mp.loggamma(x) for x, y in zip(a, c) if y)
for rf, looks in [([10, 12], [[1, 0], [0, 1], [3, 3]]), ([500, 300, 200], [[5, 3, 2], [0, 0, 0], [4, 4, 2], [0, 9, 1], [0, 10, 3]]),
                  ([0, 100, 3], [[2, 5, 0], [3, 0, 0]]), ([10 ** 6, 2 * 10 ** 6, 50], [[1000, 2000, 0], [900, 2100, 3], [1100, 1900, 30]]),
                  ([3, 2, 2], [[1000, 0, 0]]), ([100] * 7, [[(i * j * 5 + 3) % 11 + (10 if j == 3 and i > 12 else 0) for j in range(7)] for i in range(25)]),
                  ([50, 50], [[10000, 0], [10000, 0]]), ([9, 0, 0, 0, 5], [[1, 0, 0, 0, 0]] * 6)]:
    k, n = len(rf), sum(rf); al = [mpf(a) + mpf(1) / k for a in rf]; q = [a / (n + 1) for a in al]
    kap = []; v = mpf(k) / 2
    while v < n and len(kap) < 6: kap.append(v); v *= 4
    seen, trace, best = [], [], mpf(-10 ** 9); real = [c for c in looks if sum(c)]
    since = []
    for c in real:
        seen.append(c); t = len(seen); terms = []
        for j in range(1, t + 1):
            cnt = [sum(s[i] for s in seen[j - 1:]) for i in range(k)]; bef = [sum(s[i] for s in seen[:j - 1]) for i in range(k)]
            null = ldm(cnt, [a + b for a, b in zip(al, bef)])
            alt = mp.log(sum(mp.exp(ldm(cnt, [kk * x for x in q]) - null) for kk in kap) / len(kap))
            wj = mpf(1) / (2 * j * (j - 1)) if j > 1 else mpf(1) / 2
            terms.append(mp.log(wj) + alt)
        e = mp.log(sum(mp.exp(x) for x in terms) + mpf(1) / (2 * t)); trace.append(fl(e)); best = max(best, e)
    print("e", file=sys.stderr, flush=True)
    add("e_process", {"trace": trace, "max": [fl(max(best, mpf(0))), 1.0], "p": fl(min(mpf(1), mp.exp(-max(best, mpf(0))))), "looks": len(real)}, reference=rf, looks=looks)

print(len(cases), file=sys.stderr, flush=True)
# ---- performance --------------------------------------------------------------------------------
from sklearn.isotonic import IsotonicRegression
from sklearn.tree import DecisionTreeRegressor
from sklearn.metrics import roc_auc_score
for x, y in [([1.0], [3.0]), ([2.0, 1.0, 3.0], [1.0, 5.0, 0.0]), (r(rng.integers(0, 9, 40)), r(rng.normal(0, 1, 40), 3)), (r(rng.normal(0, 1, 57), 2), r(rng.normal(0, 1, 57), 2)), ([1e9 + v for v in range(12)], r(rng.normal(1e6, 1, 12), 3))]:
    at = sorted(set(x)) + [min(x) - 1, max(x) + 1] + [(a + b) / 2 for a, b in zip(sorted(x), sorted(x)[1:])]
    f = IsotonicRegression(out_of_bounds="clip").fit(x, y)
    add("isotonic", {"y": [float(v) for v in f.predict(at)]}, x=x, y=y, at=at)
def cbpe(score, pred):
    p = [Q(s) for s in score]; n = len(p)
    tp = sum(a for a, b in zip(p, pred) if b); fp = sum(1 - a for a, b in zip(p, pred) if b); fn = sum(a for a, b in zip(p, pred) if not b); tn = sum(1 - a for a, b in zip(p, pred) if not b)
    d = lambda a, b: fl(a / b) if b else None
    area = Q(0); neg = Q(0)
    for s in sorted(set(score)):
        a = sum(Q(t) for t in score if t == s); b = sum(1 - Q(t) for t in score if t == s); area += a * (neg + b / 2); neg += b
    return {"accuracy": d(tp + tn, n), "f1": d(2 * tp, 2 * tp + fp + fn), "precision": d(tp, tp + fp), "recall": d(tp, tp + fn), "specificity": d(tn, tn + fp),
            "true_positives": fl(tp), "false_positives": fl(fp), "false_negatives": fl(fn), "true_negatives": fl(tn), "roc_auc": d(area, sum(p) * neg)}
ref_s = [0.1, 0.3, 0.6, 0.9] * 25; ref_y = [bool(rng.random() < s) for s in ref_s]
for score, thr in [([0.25], 0.5), ([0.5], 0.5), ([0.0, 1.0], 0.5), ([0.1, 0.2, 0.3], 0.5), ([0.9, 0.8, 0.8, 0.7], 0.5), (r(rng.beta(0.5, 2, 137), 3), 0.3), (r(rng.random(501), 2), 0.5), ([1e-9, 1 - 1e-9, 0.5, 0.5, 0.125], 0.125), ([0.0, 0.0], 0.5), ([1.0, 1.0], 0.5)]:
    w = cbpe(score, [s >= thr for s in score])
    rp = [s >= thr for s in ref_s]
    w["reference_accuracy"] = sum(a == b for a, b in zip(rp, ref_y)) / 100; w["reference_roc_auc"] = float(roc_auc_score(ref_y, ref_s))
    # the labels' own variance, which the band holds at least
    w["accuracy_labels_std"] = math.sqrt(sum(s * (1 - s) for s in score)) / len(score)
    w["beyond"] = sum(s < 0.1 or s > 0.9 for s in score)
    add("cbpe", w, score=score, threshold=thr, ref_score=ref_s, ref_y=ref_y)
def ece(y, s, bins):
    n = len(s); o = sorted(range(n), key=lambda i: s[i]); rank = {}; i = 0; out = {}
    while i < n:
        j = i
        while j < n and s[o[j]] == s[o[i]]: j += 1
        out.setdefault((i + j - 1) * bins // (2 * n), []).extend(o[i:j]); i = j
    return fl(sum(abs(sum(Q(s[i]) for i in g) - sum(y[i] for i in g)) for g in out.values()) / n)
for n, bins, d in [(1, 1, 3), (7, 3, 3), (100, 10, 3), (101, 10, 1), (64, 200, 2)]:
    s = r(rng.random(n), d); y = [bool(rng.random() < v ** 2) for v in s]; add("ece", {"value": ece(y, s, bins)}, y=y, score=s, bins=bins)
for n, depth, leaf in [(20, 1, 1), (50, 2, 3), (60, 3, 5)]:
    x = r(rng.permutation(n) * 1.5); y = r(rng.normal(0, 1, n) + np.array(x) / n, 3)
    f = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=leaf).fit(np.array(x)[:, None], y)
    add("tree", {"y": [float(v) for v in f.predict(np.array(x)[:, None])]}, x=x, y=y, depth=depth, leaf=leaf)

out = {"made_with": {"python": sys.version.split()[0], "numpy": np.__version__, "scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "scikit-learn": sklearn.__version__, "mpmath": mpmath.__version__}, "cases": cases}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "independent.json")
with open(path, "w") as f: f.write("{\"made_with\":" + json.dumps(out["made_with"]) + ",\n\"cases\":[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]}\n")
print(os.path.getsize(path), len(cases), file=sys.stderr)
