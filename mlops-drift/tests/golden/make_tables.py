"""Golden values of statistics of count tables and moments: tables.json.

The numbers are mpmath's at 60 digits, from the definitions; scipy's and statsmodels' of the same
thing are held against them here, to the peer's own accuracy, so that a number in the file is both.
"""

import json
import platform
from itertools import combinations
from pathlib import Path

import mpmath
import numpy as np
import scipy
import statsmodels
from mpmath import mp, mpf
from scipy import stats
from scipy.spatial.distance import jensenshannon
from statsmodels.stats.proportion import proportions_ztest, test_proportions_2indep

mp.dps = 60
rng = np.random.default_rng(20261121)
furthest = {}


def agree(what, peer, truth, tolerance):
    """The peer's number is ours, to this relative tolerance; remembers how far off it was."""
    if tolerance is None:
        return
    peer = mpf(float(peer))
    far = abs(peer - truth) / max(abs(truth), mpf("1e-290"))
    furthest[what] = max(furthest.get(what, 0.0), float(far))
    assert far <= tolerance, (what, peer, mp.nstr(truth, 20), float(far))


def num(x):
    return float(x)


# Tails ------------------------------------------------------------------------------------------

def chi2_sf(x, df):
    return mp.gammainc(mpf(df) / 2, mpf(x) / 2, mp.inf, regularized=True)


def norm_sf(z):
    return mp.erfc(mpf(z) / mp.sqrt(2)) / 2


def t_sf(t, df):
    t, df = mpf(t), mpf(df)
    if t < 0:
        return 1 - t_sf(-t, df)
    return mp.betainc(df / 2, mpf(1) / 2, 0, df / (df + t * t), regularized=True) / 2


def f_sf(x, a, b):
    x, a, b = mpf(x), mpf(a), mpf(b)
    return mp.betainc(b / 2, a / 2, 0, b / (b + a * x), regularized=True)


# Tables -----------------------------------------------------------------------------------------

def shares(counts, add):
    add = mpf(add)
    total = sum(map(mpf, counts)) + add * len(counts)
    return [(mpf(c) + add) / total for c in counts]


def kl(p, q):
    if any(x > 0 and y == 0 for x, y in zip(p, q)):
        return None
    return sum(x * mp.log(x / y) for x, y in zip(p, q) if x > 0)


def table(name, reference, current):
    n, m = sum(reference), sum(current)
    q, p = shares(reference, 0), shares(current, 0)
    half = [(x + y) / 2 for x, y in zip(p, q)]
    near = all(abs(x - y) < mpf("1e-5") for x, y in zip(p, q))
    js = (kl(p, half) + kl(q, half)) / 2
    # Near equality scipy's own sums cancel: its G of "nearly the same" is −6.7e-7, where it is
    # 6.7e-10. There the definition stands alone.
    loose = None if near else 1e-9
    fp, fq = np.array(current) / m, np.array(reference) / n
    if js > 0:
        agree("jensenshannon", jensenshannon(fq, fp), mp.sqrt(js), loose)
        agree("jensenshannon", jensenshannon(fq, fp, 2), mp.sqrt(js / mp.log(2)), loose)
    out = {"name": name, "reference": reference, "current": current}
    out["js_divergence_nats"] = num(js)
    out["js_distance_bits"] = num(mp.sqrt(js / mp.log(2)))
    for key, add in [("plain", 0), ("add_half", 0.5), ("add_one", 1)]:
        # Cells that are empty on both sides take no part.
        pairs = [(r, c) for r, c in zip(reference, current) if r + c]
        a, b = shares([c for _, c in pairs], add), shares([r for r, _ in pairs], add)
        forth, back = kl(a, b), kl(b, a)
        for side, d, x, y in [("forth", forth, a, b), ("back", back, b, a)]:
            out[f"kl_{side}_{key}"] = None if d is None else num(d)
            peer = stats.entropy([float(v) for v in x], [float(v) for v in y])
            assert (d is None) == np.isinf(peer)
            if d:
                agree("entropy", peer, d, loose)
        if add:
            out[f"psi_{key}"] = num(sum((x - y) * mp.log(x / y) for x, y in zip(a, b)))
    clip = mpf(1e-4)
    a, b = [max(x, clip) for x in p], [max(x, clip) for x in q]
    out["kl_forth_clip"] = num(sum(x * mp.log(x / y) for x, y in zip(a, b)))
    out["kl_back_clip"] = num(sum(y * mp.log(y / x) for x, y in zip(a, b)))
    squares = sum((mp.sqrt(x) - mp.sqrt(y)) ** 2 for x, y in zip(p, q))
    out["hellinger"] = num(mp.sqrt(squares / 2))
    out["l_infinity"] = num(max(abs(x - y) for x, y in zip(p, q)))
    out["total_variation"] = num(sum(abs(x - y) for x, y in zip(p, q)) / 2)

    pairs = [(r, c) for r, c in zip(reference, current) if r + c]
    df = len(pairs) - 1
    g, x2 = mpf(0), mpf(0)
    for r, c in pairs:
        er, ec = mpf(r + c) * n / (n + m), mpf(r + c) * m / (n + m)
        x2 += (r - er) ** 2 / er + (c - ec) ** 2 / ec
        g += 2 * sum(o * mp.log(o / e) for o, e in [(mpf(r), er), (mpf(c), ec)] if o)
    out["degrees_of_freedom"] = df
    out["chi_square"], out["g"] = num(x2), num(g)
    out["chi_square_p"] = num(chi2_sf(x2, df)) if df else 1.0
    out["g_p"] = num(chi2_sf(g, df)) if df else 1.0
    if df:
        array = np.array(pairs).T
        peer = stats.chi2_contingency(array, correction=False)
        agree("chi2_contingency", peer.statistic, x2, loose)
        peer = stats.chi2_contingency(array, correction=False, lambda_="log-likelihood")
        agree("chi2_contingency, G", peer.statistic, g, loose)
        if num(chi2_sf(g, df)) > 1e-280 and not near:
            agree("chi2_contingency, G, p", peer.pvalue, chi2_sf(g, df), 1e-9)
    fitted = all(r or not c for r, c in zip(reference, current))
    if fitted:
        expected = [(r, c, mpf(r) * m / n) for r, c in zip(reference, current) if r]
        x2 = sum((c - e) ** 2 / e for r, c, e in expected)
        df = len(expected) - 1
        if df:
            peer = stats.chisquare([c for r, c, e in expected], [float(e) for r, c, e in expected])
            agree("chisquare", peer.statistic, x2, loose)
        out["fit"] = num(x2)
        out["fit_p"] = num(chi2_sf(x2, df)) if df else 1.0
        x2 = x2 / (1 + mpf(m) / n)
        out["fit_sampled"] = num(x2)
        out["fit_sampled_p"] = num(chi2_sf(x2, df)) if df else 1.0
    else:
        for key in ["fit", "fit_p", "fit_sampled", "fit_sampled_p"]:
            out[key] = None
    return out


def tables():
    draw = lambda n, p: [int(x) for x in rng.multinomial(n, p)]
    even, skewed = [0.1] * 10, [0.4, 0.3, 0.15, 0.1, 0.04, 0.01]
    yield table("even", draw(1000, even), draw(700, even))
    yield table("skewed", draw(500, skewed), draw(300, skewed))
    yield table("moved", draw(5000, skewed), draw(3000, skewed[::-1]))
    yield table("far apart", [9000, 1000, 3], [3, 900, 8000])
    yield table("unequal sizes", [100, 50, 50], [1_000_000, 600_000, 400_000])
    yield table("a category is new", [60, 40, 0], [50, 40, 10])
    yield table("a category is gone", [60, 40, 5], [50, 40, 0])
    yield table("empty on both sides", [60, 0, 40], [30, 0, 30])
    yield table("the same shares", [10, 20, 70], [20, 40, 140])
    yield table("one category", [10], [20])
    yield table("disjoint", [5, 0, 7], [0, 9, 0])
    yield table("nearly the same", [10**9, 2 * 10**9, 3 * 10**9], [10**9 + 1, 2 * 10**9, 3 * 10**9 - 1])
    yield table("huge and close", [10**12, 10**12 + 3 * 10**6], [10**12 + 10**6, 10**12])
    yield table("a small sample of many", [10**6, 10**6, 10**6], [1, 0, 2])
    yield table("many cells", draw(20_000, [1 / 200] * 200), draw(30_000, [1 / 200] * 200))


# Two shares -------------------------------------------------------------------------------------

def hypergeometric_tails(good, bad, drawn, k):
    """P(K ≤ k), P(K ≥ k), and the sum over outcomes no likelier than k, in exact integers or, for
    many rows, by 60-digit ratios from the mode."""
    low, high = max(0, drawn - bad), min(drawn, good)
    # A common factor does not matter: weights relative to that of the first outcome kept.
    middle = (drawn + 1) * (good + 1) // (good + bad + 2)
    spread = int(mp.sqrt(mpf(drawn) * good / (good + bad) * bad / (good + bad))) + 1
    first, last = max(low, min(k, middle) - 45 * spread), min(high, max(k, middle) + 45 * spread)
    weights, w = {}, mpf(1)
    middle = min(max(middle, first), last)
    weights[middle] = w
    for j in range(middle, last):
        w = w * (good - j) * (drawn - j) / ((j + 1) * (bad - drawn + j + 1))
        weights[j + 1] = w
    w = mpf(1)
    for j in range(middle, first, -1):
        w = w * j * (bad - drawn + j) / ((good - j + 1) * (drawn - j + 1))
        weights[j - 1] = w
    total = mp.fsum(weights.values())
    bound = weights[k] * (1 + mpf("1e-40"))
    less = mp.fsum(v for j, v in weights.items() if j <= k) / total
    greater = mp.fsum(v for j, v in weights.items() if j >= k) / total
    both = mp.fsum(v for v in weights.values() if v <= bound) / total
    return less, greater, min(both, mpf(1))


def fisher():
    cases = [
        ([3, 12], [7, 9]), ([900, 1000], [840, 1000]), ([0, 100], [0, 30]), ([8, 10], [1, 6]),
        ([0, 2000], [40, 100]), ([1, 1], [0, 1]), ([5, 10], [5, 10]), ([10, 20], [30, 60]),
        ([50, 100], [20, 100]), ([20, 100], [50, 100]), ([100, 1000], [700, 1000]),
        ([3, 100_000], [9, 100_000]), ([5000, 10_000], [5100, 10_000]),
        ([200_000, 1_000_000], [201_000, 1_000_000]), ([0, 500], [500, 500]),
        ([200_000, 1_000_000], [216_000, 1_000_000]), ([12, 10**8], [3, 10**9]),
    ]
    for (r, n), (c, m) in cases:
        less, greater, both = hypergeometric_tails(r + c, n + m - r - c, m, c)
        if n + m <= 300_000:
            array = [[c, m - c], [r, n - r]]
            for side, truth in [("two-sided", both), ("less", less), ("greater", greater)]:
                if truth > mpf("1e-280"):
                    peer = stats.fisher_exact(array, alternative=side).pvalue
                    agree("fisher_exact", peer, truth, 1e-8)
        odds = None if (m - c) * r == 0 else num(mpf(c * (n - r)) / ((m - c) * r))
        yield {"reference": [r, n], "current": [c, m], "less": num(less), "greater": num(greater),
               "two_sided": num(both), "odds_ratio": odds}


def z():
    for (r, n), (c, m) in [([30, 100], [50, 100]), ([900, 1000], [840, 900]), ([1, 50], [3, 70]),
                           ([5, 10**6], [80, 10**6]), ([10**5, 10**6], [110_000, 10**6]),
                           ([10**9, 3 * 10**9], [10**9 + 1, 3 * 10**9]), ([1, 40], [0, 40])]:
        p, q, h = mpf(c) / m, mpf(r) / n, mpf(c + r) / (m + n)
        pooled = (p - q) / mp.sqrt(h * (1 - h) * (mpf(1) / m + mpf(1) / n))
        unpooled = (p - q) / mp.sqrt(p * (1 - p) / m + q * (1 - q) / n)
        loose = 1e-6 if n > 10**8 else 1e-9
        peer = proportions_ztest([c, r], [m, n])
        agree("proportions_ztest", peer[0], pooled, loose)
        agree("proportions_ztest, p", peer[1], 2 * norm_sf(abs(pooled)), loose)
        if 0 < c and 0 < r:
            peer = test_proportions_2indep(c, m, r, n, method="wald", correction=False)
            agree("test_proportions_2indep", peer.statistic, unpooled, loose)
        case = {"reference": [r, n], "current": [c, m]}
        for key, value in [("pooled", pooled), ("unpooled", unpooled)]:
            case[key] = [num(value), num(2 * norm_sf(abs(value))), num(norm_sf(-value)), num(norm_sf(value))]
        yield case


# Moments ----------------------------------------------------------------------------------------

def t_tests():
    cases = [
        ([13, 15.0, 87.5], [11, 12.0, 39.0]), ([2, 0.0, 1.0], [2, 1.0, 1.0]),
        ([1000, 0.0, 1.0], [800, 0.1, 4.0]), ([1000, 0.0, 1.0], [800, 3.0, 1.0]),
        ([50, 1e9, 1e-3], [60, 1e9 + 1, 2e-3]), ([30, 0.0, 1e-300], [30, 1e-150, 2e-300]),
        ([20, 5.0, 0.0], [40, 6.0, 2.0]), ([10**6, 0.0, 1.0], [10**6, 0.0001, 1.0]),
        ([400, 0.0, 1.0], [500, -9.0, 1.0]),
    ]
    for a, b in cases:
        (n, y, u), (m, x, s) = [[mpf(v) for v in side] for side in (a, b)]
        left, right = s / m, u / n
        welch = (x - y) / mp.sqrt(left + right)
        df = (left + right) ** 2 / (left**2 / (m - 1) + right**2 / (n - 1))
        pooled_variance = ((m - 1) * s + (n - 1) * u) / (m + n - 2)
        pooled = (x - y) / mp.sqrt(pooled_variance * (1 / m + 1 / n))
        case = {"reference": a, "current": b, "welch_df": num(df)}
        for key, t, d, equal in [("welch", welch, df, False), ("pooled", pooled, m + n - 2, True)]:
            two = 2 * t_sf(abs(t), d)
            case[key] = [num(t), num(two), num(t_sf(-t, d)), num(t_sf(t, d))]
            if 1e-100 < s + u:
                peer = stats.ttest_ind_from_stats(b[1], b[2]**0.5, b[0], a[1], a[2]**0.5, a[0], equal_var=equal)
                agree("ttest_ind_from_stats", peer.statistic, t, 1e-9)
                if two > mpf("1e-280"):
                    agree("ttest_ind_from_stats, p", peer.pvalue, two, 1e-9)
        yield case


def variances():
    cases = [
        ([13, 39.0], [11, 87.5]), ([2, 1.0], [3, 1.5]), ([1000, 1.0], [500, 1.0]),
        ([1000, 1.0], [500, 2.0]), ([5000, 1.0], [5000, 1.0 + 2.0**-20]), ([100, 1e-200], [200, 3e-200]),
        ([2000, 1.0], [3000, 6.0]), ([5000, 1.0], [500, 0.06]),
    ]
    for a, b in cases:
        (n, u), (m, s) = [[mpf(v) for v in side] for side in (a, b)]
        f = s / u
        greater, less = f_sf(f, m - 1, n - 1), f_sf(1 / f, n - 1, m - 1)
        if greater > mpf("1e-280"):
            agree("f.sf", stats.f.sf(num(f), b[0] - 1, a[0] - 1), greater, 1e-8)
        pooled = ((m - 1) * s + (n - 1) * u) / (m + n - 2)
        x2 = (m - 1) * mp.log(pooled / s) + (n - 1) * mp.log(pooled / u)
        x2 /= 1 + (1 / (m - 1) + 1 / (n - 1) - 1 / (m + n - 2)) / 3
        yield {"reference": a, "current": b, "f": num(f), "f_two_sided": num(min(1, 2 * min(less, greater))),
               "f_less": num(less), "f_greater": num(greater), "bartlett": num(x2), "bartlett_p": num(chi2_sf(x2, 1))}


def levene_of(reference, current, centre):
    both = []
    for side in (current, reference):
        values = sorted(mpf(float(v)) for v in side)
        if centre == "mean":
            c = mp.fsum(values) / len(values)
        else:
            c = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
        both.append([abs(v - c) for v in values])
    m, n = map(len, both)
    means = [mp.fsum(d) / len(d) for d in both]
    all_of = (means[0] * m + means[1] * n) / (m + n)
    between = m * (means[0] - all_of) ** 2 + n * (means[1] - all_of) ** 2
    within = mp.fsum((v - mean) ** 2 for d, mean in zip(both, means) for v in d)
    w = between * (m + n - 2) / within
    agree("levene", stats.levene(current, reference, center=centre).statistic, w, 1e-9)
    return [num(w), num(f_sf(w, 1, m + n - 2)), num(means[0] / means[1]) if means[1] else None]


def arrays():
    bits = lambda x: [int(v) for v in np.asarray(x, dtype=np.float64).view(np.uint64)]
    cases = [
        ("normal", rng.normal(size=40), 1.3 * rng.normal(size=31)),
        ("odd and even", rng.normal(size=21), rng.normal(size=20)),
        ("tied", rng.integers(0, 4, 60) * 1.0, rng.integers(0, 6, 80) * 1.0),
        ("heavy tails", np.exp(2 * rng.normal(size=50)), np.exp(2 * rng.normal(size=70))),
        ("far from 0", 1e6 + rng.normal(size=30), 1e6 + 3 * rng.normal(size=30)),
        ("one side constant", np.full(8, 3.0), rng.normal(size=12)),
    ]
    for name, x, y in cases:
        case = {"name": name, "reference": bits(x), "current": bits(y)}
        case["levene_median"] = levene_of(x, y, "median")
        case["levene_mean"] = levene_of(x, y, "mean")
        case["welch"] = None
        peer = stats.ttest_ind(y, x, equal_var=False)
        case["welch"] = [float(peer.statistic), float(peer.pvalue)]
        if np.ptp(x) > 0:
            case["bartlett"] = float(stats.bartlett(y, x).statistic)
        else:
            case["bartlett"] = None
        yield case


# Calibration ------------------------------------------------------------------------------------

def beta_binomial_tail(m, a, b, k):
    """P(K ≥ k)."""
    term = mp.binomial(m, k) * mp.beta(k + a, m - k + b) / mp.beta(a, b)
    total = mpf(0)
    for j in range(k, m + 1):
        total += term
        if j < m:
            term *= mpf(m - j) * (a + j) / ((j + 1) * (b + m - j - 1))
    return total


def unseen():
    for n1, n2, n, m, ks in [(4, 3, 100, 100, [0, 1, 5, 30, 100]), (0, 0, 1000, 500, [0, 1, 3, 90]),
                             (50, 50, 2000, 20_000, [400, 700, 3000]), (99, 0, 100, 50, [50, 49]),
                             (1, 0, 20_000, 2000, [1, 4, 120, 140])]:
        a, b = mpf(n1 + 1), mpf(n - n1)
        v = a * b / (n + 1)
        w = v / (v + 2 * n2 + 1)
        a, b = a * w, b * w
        limit = mpf(float(stats.beta.ppf(0.95, float(a), float(b))))
        # scipy's own accuracy, bettered by Newton.
        for _ in range(4):
            density = limit ** (a - 1) * (1 - limit) ** (b - 1) / mp.beta(a, b)
            limit -= (mp.betainc(a, b, 0, limit, regularized=True) - mpf(0.95)) / density
        for k in ks:
            tail = beta_binomial_tail(m, a, b, k)
            # scipy's is 1 less a sum, by logarithms of beta functions.
            if tail > mpf("1e-4"):
                agree("betabinom.sf", stats.betabinom.sf(k - 1, m, float(a), float(b)), tail, 1e-4)
            yield {"singletons": n1, "doubletons": n2, "n": n, "m": m, "unseen": k, "p_value": num(tail),
                   "upper_limit": num(limit)}


def out_of_range():
    for n, m, below, above in [(100, 100, 2, 3), (1000, 500, 0, 7), (10, 20, 20, 0), (10**6, 10**5, 3, 1),
                               (2, 3, 0, 0), (50, 10_000, 400, 10), (300, 300, 280, 10), (5000, 900, 0, 130),
                               (10**6, 10**6, 900, 0), (2000, 20_000, 0, 0)]:
        at_least = lambda ends, k: beta_binomial_tail(m, mpf(ends), mpf(n - ends + 1), k)
        more = at_least(2, below + above)
        # Summed from its own side: 1 less the other tail would do at 60 digits, too.
        fewer = 1 - at_least(2, below + above + 1) if below + above < m else mpf(1)
        if more > mpf("1e-4"):
            agree("betabinom.sf", stats.betabinom.sf(below + above - 1, m, 2, n - 1), more, 1e-4)
        yield {"n": n, "m": m, "below": below, "above": above, "p_more": num(more), "p_fewer": num(fewer),
               "p_below": num(at_least(1, below)), "p_above": num(at_least(1, above))}


def compositions(total, parts):
    for bars in combinations(range(total + parts - 1), parts - 1):
        edges = (-1, *bars, total + parts - 1)
        yield [edges[i + 1] - edges[i] - 1 for i in range(parts)]


def psi_half(reference, current):
    q, p = [(np.array(c) + 0.5) / (sum(c) + 0.5 * len(c)) for c in (reference, current)]
    return float(np.sum((p - q) * np.log(p / q)))


def simulated():
    """Exact p-values by listing every outcome, with scipy's probabilities."""
    for reference, current in [([3, 4, 5], [6, 1, 1]), ([10, 10, 10, 10], [2, 1, 3, 9]), ([2, 2, 2], [4, 0, 8])]:
        m = sum(current)
        seen = psi_half(reference, current) - 1e-12
        alpha = [*reference[:-1], reference[-1] + 1]
        quantile = sum(stats.dirichlet_multinomial.pmf(c, alpha, m) for c in compositions(m, len(alpha))
                       if psi_half(reference, c) >= seen)
        both = [r + c for r, c in zip(reference, current)]
        exchanged = sum(stats.multivariate_hypergeom.pmf(c, both, m) for c in compositions(m, len(both))
                        if all(x <= y for x, y in zip(c, both))
                        and psi_half([y - x for x, y in zip(c, both)], c) >= seen)
        yield {"reference": reference, "current": current, "quantile_bins_p": float(quantile),
               "permutation_p": float(exchanged)}


golden = {
    "tables": list(tables()),
    "fisher": list(fisher()),
    "z": list(z()),
    "t": list(t_tests()),
    "variances": list(variances()),
    "arrays": list(arrays()),
    "unseen": list(unseen()),
    "out_of_range": list(out_of_range()),
    "simulated": list(simulated()),
}
golden["versions"] = {
    "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
    "statsmodels": statsmodels.__version__, "mpmath": mpmath.__version__,
}
golden["furthest_a_peer_was_off"] = dict(sorted(furthest.items()))
Path(__file__).with_name("tables.json").write_text(json.dumps(golden, indent=1) + "\n")
for what, far in golden["furthest_a_peer_was_off"].items():
    print(f"{what}: {far:.1e}")
