"""Golden values of the streaming detectors: `python make_stream.py > stream.json`.

Needs river, frouros, scipy and numpy in one environment. Each case is a detector's description, a
stream, the peer (or the paper's formulas, written plainly below) that the numbers are from, whether
the detector was made anew at each drift, where it said drift and warning, and its statistic at some
values. Where a peer does not do what its paper says, `differs` holds what the peer says.
"""

import json
import math
from importlib.metadata import version

import numpy as np
from frouros.detectors.concept_drift import (
    ADWIN, BOCD, CUSUM, DDM, ECDDWT, EDDM, HDDMA, HDDMW, RDDM, STEPD, ADWINConfig, BOCDConfig, CUSUMConfig, ECDDWTConfig,
    GeometricMovingAverage, GeometricMovingAverageConfig, HDDMAConfig, STEPDConfig,
)
from frouros.detectors.concept_drift.streaming.change_detection.bocd import BaseBOCDModel
from river import drift, stats
from scipy.stats import ks_2samp, norm
from scipy.stats import t as student_t

rng = np.random.default_rng(20250601)


def bernoulli(*parts):
    return [int(x) for p, n in parts for x in rng.random(n) < p]


def normal(*parts):
    return [round(float(x), 3) for mean, sd, n in parts for x in mean + sd * rng.standard_normal(n)]


STREAMS = {
    "errors_none": bernoulli((0.2, 2000)),
    "errors_abrupt": bernoulli((0.1, 800), (0.4, 600), (0.05, 600), (0.3, 400)),
    "errors_gradual": [int(rng.random() < 0.1 + 0.3 * min(1, max(0, (i - 700) / 600))) for i in range(2000)],
    "errors_rare": bernoulli((0.004, 1500), (0.03, 500)),
    "errors_early": ([0] * 30 + [1] * 40) * 5,
    "none": normal((0, 1, 1500)),
    "abrupt": normal((0, 1, 500), (1.5, 1, 400), (-1, 2, 500)),
    "gradual": [round(float(x), 3) for x in rng.standard_normal(1500) + np.clip((np.arange(1500) - 500) / 300, 0, 3)],
    "spread": normal((3, 0.2, 400), (3, 1, 400)),
    "tied": [round(float(x)) for x in 1.5 * rng.standard_normal(700)] + [round(float(x)) for x in 2 + 1.5 * rng.standard_normal(400)],
}
ERRORS = [s for s in STREAMS if s.startswith("errors")]
NUMBERS = [s for s in STREAMS if not s.startswith("errors")]
EVERY = 29

cases, windows, differs = [], [], []


def kind(name, **params):
    return {"kind": name, "version": 1, "params": params}


def case(detector, stream, peer, answers, statistic=True, warnings=True, into=None, anew=True):
    """`answers` gives (drift, warning, statistic or None) for every value."""
    found = list(answers)
    drifts = [i for i, a in enumerate(found) if a[0]]
    marks = {i for i in range(len(found)) if i % EVERY == 0} | set(drifts)
    entry = {
        "detector": detector, "stream": stream, "peer": peer, "anew": anew, "drifts": drifts,
        "warnings": [i for i, a in enumerate(found) if a[1]] if warnings else None,
        "statistics": [[i, float(found[i][2])] for i in sorted(marks)
                       if statistic and found[i][2] is not None and math.isfinite(found[i][2])],
    }
    (cases if into is None else into).append(entry)
    return drifts


def frouros(make, stream, level):
    """A detector of frouros that is made anew at each drift."""
    detector = make()
    for x in STREAMS[stream]:
        detector.update(value=x)
        yield bool(detector.drift), bool(getattr(detector, "warning", False)), level(detector)
        if detector.drift:
            detector = make()


def river(make, stream, level=lambda d: None):
    detector = make()
    for x in STREAMS[stream]:
        detector.update(x)
        warning = bool(getattr(detector, "warning_detected", False)) and not detector.drift_detected
        yield bool(detector.drift_detected), warning, level(detector)


# DDM: frouros; river begins one value later.
def ddm_level(d):
    if d.num_instances < 30 or d.min_std == 0:
        return None
    p = d.error_rate.mean
    return (p + math.sqrt(max(p * (1 - p), 0) / d.num_instances) - d.min_error_rate) / d.min_std


for s in ERRORS:
    case(kind("ddm"), s, "frouros", frouros(DDM, s, ddm_level))
    case(kind("ddm"), s, "river", river(lambda: drift.binary.DDM(warm_start=29), s), statistic=False)


# EDDM: frouros, whose warnings last for one value and ours until the next error; river divides by n - 1.
def eddm_level(d):
    enough = d.num_instances >= 30 and d.num_misclassified_instances >= 30
    if not enough or d.last_distance_error != d.num_instances:
        return None
    return (d.mean_distance_error + 2 * d.std_distance_error) / d.max_distance_threshold


for s in ERRORS:
    a = case(kind("eddm"), s, "frouros", frouros(EDDM, s, eddm_level), warnings=False)
    b = case(kind("eddm"), s, "river", river(drift.binary.EDDM, s), statistic=False, warnings=False, into=[])
    if a != b:
        differs.append({"detector": kind("eddm"), "stream": s, "peer": "river", "drifts": b})


# RDDM: the implementation of the authors in MOA, written plainly. frouros agrees up to the first drift.
def rddm(stream, n_min=129, warning=1.773, level=2.258, longest=40000, kept=7000, limit=1400):
    values, begin, warned, least, anew, cut, changed = STREAMS[stream], 0, None, None, False, False, False
    past = []  # what the rate is computed from
    for i, x in enumerate(values):
        if anew or cut:
            past = past[-kept:]
            if warned is not None:
                past = past[-(i - warned):]
            if anew:
                least = None
                for n in range(n_min + 1, len(past) + 1):
                    p = sum(past[:n]) / n
                    s = math.sqrt(p * (1 - p) / n)
                    if least is None or p + s < sum(least):
                        least = (p, s)
            warned, anew, cut = None, False, False
        past.append(x)
        n = len(past)
        p = sum(past) / n
        s = math.sqrt(p * (1 - p) / n)
        if n < n_min:
            yield False, False, None
            continue
        if least is None or p + s < sum(least):
            least = (p, s)
        z = (p + s - least[0]) / least[1] if least[1] > 0 else None
        if p + s > least[0] + level * least[1]:
            if warned is None:
                past = [x]
            else:
                past = past[-kept:]
            anew = True
            yield True, False, None
        elif p + s > least[0] + warning * least[1]:
            if warned is not None and i - warned >= limit:
                past, warned, anew = [x], None, True
                yield True, False, None
            else:
                warned = i if warned is None else warned
                yield False, True, z
        else:
            warned = None
            cut = n >= longest
            yield False, False, z


SMALL = dict(n_min=60, longest=400, kept=150, limit=50)
for s in ERRORS:
    a = case(kind("rddm"), s, "paper", rddm(s), anew=False)
    case(kind("rddm", min_values=60, max_concept=400, min_concept=150, warning_limit=50), s, "paper", rddm(s, **SMALL), anew=False)
    detector = RDDM()
    b = []
    for i, x in enumerate(STREAMS[s]):
        detector.update(value=x)
        if detector.drift:
            b.append(i)
    assert a[:1] == b[:1], (s, a, b)
    if a != b:
        differs.append({"detector": kind("rddm"), "stream": s, "peer": "frouros", "drifts": b})


# HDDM-A: frouros; its two sides divide by 0. river tests at alpha / 2 on one side, too.
def hddm_a_level(alpha):
    def level(d):
        n, k = d.test_type.z.num_values, d.test_type.x.num_values
        if d.num_instances < 30 or k in (0, n):
            return None
        return (d.test_type.z.mean - d.test_type.x.mean) / math.sqrt((n - k) / (2 * k * n) * math.log(1 / alpha))
    return level


for s in ERRORS:
    config = lambda: HDDMA(HDDMAConfig(min_num_instances=30))
    case(kind("hddm_a", min_values=30), s, "frouros", frouros(config, s, hddm_a_level(0.001)))
    b = [i for i, a in enumerate(river(drift.binary.HDDMA, s)) if a[0]]
    differs.append({"detector": kind("hddm_a"), "stream": s, "peer": "river", "drifts": b})


# Both sides: plainly.
def hddm_a(stream, drift_level, warning_level, both):
    sides = 2 if both else 1
    log_d, log_w = math.log(sides / drift_level), math.log(sides / warning_level)
    start, values = 0, STREAMS[stream]
    means = []
    for i in range(len(values)):
        window = values[start:i + 1]
        n = len(window)
        z = sum(window) / n
        means.append((n, z))
        eps = lambda k: math.sqrt(log_d / (2 * k))
        # The latest of the cuts where the bound is least, and most.
        x = min(reversed(means), key=lambda m: m[1] + eps(m[0]))
        y = max(reversed(means), key=lambda m: m[1] - eps(m[0]))
        sides = [(x, 1)] + ([(y, -1)] if both else [])
        level = [sign * (z - mean) / math.sqrt((n - k) / (2 * k * n) * log_d) for (k, mean), sign in sides if k < n]
        level = max(level, default=None)
        found = level is not None and level >= 1
        yield found, level is not None and not found and level >= math.sqrt(log_w / log_d), level
        if found:
            start, means = i + 1, []


for s in ERRORS:
    case(kind("hddm_a", two_sided=True), s, "paper", hddm_a(s, 0.001, 0.005, True))
    case(kind("hddm_a"), s, "paper", hddm_a(s, 0.001, 0.005, False))


# HDDM-W: river with the weight of the first value as the sum of squares has it. As it is, it differs.
class FirstValueWeighsOne(drift.binary.hddm_w.SampleInfo):
    def update(self, x):
        first = not self._is_init
        super().update(x)
        if first:
            self._ibc = 1.0


def hddm_w(make, stream):
    original = drift.binary.hddm_w.SampleInfo
    drift.binary.hddm_w.SampleInfo = FirstValueWeighsOne
    yield from river(make, stream, hddm_w_level)
    drift.binary.hddm_w.SampleInfo = original


def hddm_w_level(d):
    def over(before, since, sign):
        if not (before._is_init and since._is_init):
            return None
        bound = math.sqrt((before.ibc + since.ibc) * math.log(1 / d.drift_confidence) / 2)
        return sign * (since.ewma - before.ewma) / bound
    sides = [over(d._s1_incr, d._s2_incr, 1)] + ([over(d._s1_decr, d._s2_decr, -1)] if d.two_sided_test else [])
    return max((side for side in sides if side is not None), default=None)


for s in ERRORS:
    case(kind("hddm_w"), s, "river, first weight 1", hddm_w(drift.binary.HDDMW, s))
    both = lambda: drift.binary.HDDMW(drift_confidence=0.001, warning_confidence=0.005, two_sided_test=True)
    case(kind("hddm_w", two_sided=True, alpha_drift=0.002, alpha_warning=0.01), s, "river, first weight 1", hddm_w(both, s), warnings=False)
    b = [i for i, a in enumerate(river(drift.binary.HDDMW, s)) if a[0]]
    differs.append({"detector": kind("hddm_w"), "stream": s, "peer": "river", "drifts": b})
    detector, b = HDDMW(), []
    for i, x in enumerate(STREAMS[s]):
        detector.update(value=x)
        if detector.drift:
            b.append(i)
    differs.append({"detector": kind("hddm_w", min_values=30), "stream": s, "peer": "frouros", "drifts": b})


# ECDD: frouros.
def ecdd_level(d):
    p, n = d.p.mean, d.num_instances
    if n < 30 or p in (0, 1):
        return None
    sigma = math.sqrt(0.2 / 1.8 * (1 - 0.8 ** (2 * n)) * p * (1 - p))
    return (d.z.mean - p) / (sigma * d.config.control_limit_func(p=p))


for s in ERRORS:
    for arl in (100, 400, 1000):
        # Above a rate of .35 the polynomials leave their range; where L < 0 frouros alarms below p.
        if s not in ("errors_none", "errors_rare") and arl != 400:
            continue
        make = lambda: ECDDWT(ECDDWTConfig(average_run_length=arl))
        case(kind("ecdd", limit=f"arl{arl}"), s, "frouros", frouros(make, s, ecdd_level))


# STEPD: frouros, where the difference exceeds its correction; its levels are of one side.
def stepd_level(d):
    n = d.num_instances
    if n < 60 or d.correct_total in (0, n):
        return None
    older, recent = d.correct_overall / d.num_instances_overall, d.correct_window / d.num_instances_window
    level = d._calculate_statistic()
    return math.copysign(max(level, 0), recent - older)


for s in ERRORS:
    make = lambda: STEPD(STEPDConfig(alpha_d=0.0015, alpha_w=0.025))
    found = list(frouros(make, s, stepd_level))
    ours = kind("stepd", alpha_drift=0.003, alpha_warning=0.05)
    if s == "errors_rare":
        differs.append({"detector": ours, "stream": s, "peer": "frouros", "drifts": [i for i, a in enumerate(found) if a[0]]})
    else:
        case(ours, s, "frouros", found)


# Page-Hinkley: river. frouros leaves the minimum out.
def page_hinkley_level(d):
    up, down = d._sum_increase - d._min_increase, d._max_decrease - d._sum_decrease
    if d._x_mean.n < d.min_instances:
        return None
    return {"up": up, "down": down, "both": max(up, down)}[d.mode]


for s in NUMBERS + ["errors_abrupt"]:
    for threshold in (50.0, 8.0):
        for mode in ("both", "up", "down"):
            make = lambda: drift.PageHinkley(threshold=threshold, mode=mode)
            case(kind("page_hinkley", threshold=threshold, direction=mode), s, "river", river(make, s, page_hinkley_level))


# CUSUM and GMA: frouros, upwards.
for s in NUMBERS + ["errors_abrupt"]:
    for threshold in (50.0, 8.0):
        make = lambda: CUSUM(CUSUMConfig(lambda_=threshold))
        level = lambda d: d.sum_ if d.num_instances >= 30 else None
        case(kind("cusum", threshold=threshold, direction="up"), s, "frouros", frouros(make, s, level))
    for threshold in (1.0, 0.3):
        make = lambda: GeometricMovingAverage(GeometricMovingAverageConfig(lambda_=threshold))
        case(kind("gma", threshold=threshold, direction="up"), s, "frouros", frouros(make, s, level))


# Charts for a known level, both sides: plainly.
def chart(stream, kind_of_chart):
    up = down = g = 0.0
    for x in STREAMS[stream]:
        z = (x - 0.1) / 1.1
        up, down, g = max(0, up + z - 0.5), max(0, down - z - 0.5), 0.1 * z + 0.9 * g
        level, limit = (max(up, down), 5) if kind_of_chart == "cusum" else (abs(g), 2.814 * math.sqrt(0.1 / 1.9))
        yield level > limit, False, level
        if level > limit:
            up = down = g = 0.0


KNOWN = {"known": {"mean": 0.1, "sd": 1.1}}
for s in NUMBERS:
    case(kind("cusum", baseline=KNOWN, min_values=1, allowance=0.5, threshold=5.0), s, "textbook", chart(s, "cusum"))
    case(kind("gma", baseline=KNOWN, min_values=1, threshold=2.814 * math.sqrt(0.1 / 1.9), **{"lambda": 0.1}), s, "textbook", chart(s, "gma"))


# ADWIN: plainly, from the values themselves where river keeps running sums. With `anew` it is river's,
# which forgets the whole window after a drift; frouros makes no cut after the newest bucket of a size.
def adwin(stream, delta=0.002, clock=32, most=5, least=5, grace=10, anew=False, trace=None):
    rows, tick = [], 0  # of lists of values; rows[r] holds buckets of 2**r, the oldest first
    for x in STREAMS[stream]:
        tick += 1
        carried, r = [x], 0
        while carried is not None:
            if r == len(rows):
                rows.append([])
            rows[r].append(carried)
            carried = None
            if len(rows[r]) > most:
                carried, rows[r] = rows[r][0] + rows[r][1], rows[r][2:]
            r += 1
        found, again = False, tick % clock == 0 and sum(len(b) for row in rows for b in row) > grace
        while again:
            again = False
            window = [v for row in reversed(rows) for b in row for v in b]
            n, log = len(window), math.log(2 * math.log(len(window)) / delta)
            variance = float(np.var(window))
            cut = 0
            for row in reversed(rows):
                for b in row:
                    cut += len(b)
                    if cut < least or n - cut < least:
                        continue
                    m = 1 / (cut - least + 1) + 1 / (n - cut - least + 1)
                    bound = math.sqrt(2 * m * variance * log) + 2 / 3 * log * m
                    before, after = sum(window[:cut]) / cut, sum(window[cut:]) / (n - cut)
                    if abs(before - after) > bound:
                        again = True
                        break
                if again:
                    break
            if again:
                found = True
                rows[-1] = rows[-1][1:]
                while rows and not rows[-1]:
                    rows.pop()
        if trace is not None:
            window = [v for row in reversed(rows) for b in row for v in b]
            trace.append((len(window), float(np.mean(window)), float(np.var(window))))
        yield found, False, None
        if found and anew:
            rows, tick = [], 0


for s in STREAMS:
    for options in ({}, {"delta": 0.05}):
        detector = drift.ADWIN(**options)
        b, seen = [], []
        for i, x in enumerate(STREAMS[s]):
            detector.update(x)
            seen.append((int(detector.width), detector.estimation, detector.variance))
            if detector.drift_detected:
                b.append(i)
        make = lambda: drift.ADWIN(**options)
        case(kind("adwin", **options), s, "river", river(make, s), statistic=False)
        assert b == [i for i, a in enumerate(adwin(s, anew=True, **options)) if a[0]], s
        trace = []
        a = case(kind("adwin", **options), s, "paper", adwin(s, trace=trace, **options), statistic=False, anew=False)
        if a != b:
            differs.append({"detector": kind("adwin", **options), "stream": s, "peer": "river", "drifts": b})
        if s not in ERRORS:
            c = a  # frouros takes no negative sums
        else:
            c = [i for i, x in enumerate(frouros(lambda: ADWIN(ADWINConfig(**options)), s, lambda d: None)) if x[0]]
        if a[:1] != c[:1]:
            differs.append({"detector": kind("adwin", **options), "stream": s, "peer": "frouros", "drifts": c})
        # Until the first cut river's window is ours.
        stop = min(a[:1] + b[:1] + [len(seen)])
        for i in range(0, stop, 97):
            assert seen[i][0] == trace[i][0] and abs(seen[i][1] - trace[i][1]) < 1e-9, (s, i, seen[i], trace[i])
        marks = [[i, *trace[i]] for i in range(0, len(trace), 97)]
        windows.append({"detector": kind("adwin", **options), "stream": s, "windows": marks})


# KSWIN: river, where the sample is all of the older values and chance has no part.
for s in NUMBERS:
    for alpha in (0.0001, 0.005):
        make = lambda: drift.KSWIN(alpha=alpha, window_size=60, stat_size=30)
        def distances(stream):
            detector, window = make(), []
            for x in STREAMS[stream]:
                detector.update(x)
                window = (window + [x])[-60:]
                d = ks_2samp(window[:30], window[30:]).statistic if len(window) == 60 else None
                yield detector.drift_detected, False, d
                if detector.drift_detected:
                    window = []
        case(kind("kswin", alpha=alpha, window=60, recent=30), s, "river", distances(s))


# Incremental KS: scipy at every value.
def ks_windows(stream, n, m, alpha, sliding):
    exact = "exact" if n == m or n * m <= 2**20 else "asymp"
    reference, latest = [], []
    for x in STREAMS[stream]:
        if len(reference) < n:
            reference.append(x)
            yield False, False, None
            continue
        if len(latest) == m:
            oldest, latest = latest[0], latest[1:]
            if sliding:
                reference = reference[1:] + [oldest]
        latest.append(x)
        if len(latest) < m:
            yield False, False, None
            continue
        d = ks_2samp(reference, latest, method="asymp").statistic
        # The p-value only where it may be near the level: it is slow.
        p = ks_2samp(reference, latest, method=exact).pvalue if d * math.sqrt(n * m / (n + m)) > 1.2 else 1.0
        yield p <= alpha, False, d
        if p <= alpha:
            reference, latest = latest[-n:], []


for s in NUMBERS:
    for n, m, alpha, mode in ((100, 100, 0.001, "fixed"), (100, 60, 0.01, "sliding"), (40, 90, 0.001, "fixed")):
        case(kind("incremental_ks", reference=n, window=m, alpha=alpha, mode=mode), s, "scipy", ks_windows(s, n, m, alpha, mode == "sliding"), anew=False)
ties = stats.KolmogorovSmirnov()
for _ in range(5):
    ties.update(1, 1)


# BOCD: frouros with a model of unknown variance.
class Unknown(BaseBOCDModel):
    def __init__(self, mean, weight, shape, scale):
        self.prior = (mean, weight, shape, scale)
        self.params = [np.array([p]) for p in self.prior]

    def log_pred_prob(self, idx, value):
        mean, weight, shape, scale = self.params
        return student_t.logpdf(value, 2 * shape, mean, np.sqrt(scale * (weight + 1) / (shape * weight)))

    def update(self, value, **_):
        mean, weight, shape, scale = self.params
        new = ((weight * mean + value) / (weight + 1), weight + 1, shape + 0.5,
               scale + weight * (value - mean) ** 2 / (2 * (weight + 1)))
        self.params = [np.append([p], n) for p, n in zip(self.prior, new)]

    mean_params = property(lambda self: self.params[0])
    var_params = property(lambda self: self.params[3] / self.params[2])


def bocd_level(d):
    n = d.num_instances
    return None if n < 30 else float(np.exp(d.log_r[n, :n]).sum())


for s in ("abrupt", "none", "spread"):
    STREAMS[s + "_part"] = STREAMS[s][200:800]
    for hazard, prior in ((0.01, (0.0, 1.0, 1.0, 1.0)), (0.002, (1.0, 0.1, 2.0, 0.5))):
        make = lambda: BOCD(BOCDConfig(model=Unknown(*prior), hazard=hazard))
        params = dict(zip(("mean", "mean_weight", "shape", "scale"), prior))
        case(kind("bocd", hazard=hazard, max_runs=1000, **params), s + "_part", "frouros", frouros(make, s + "_part", bocd_level))


# Shewhart's chart: plainly.
def c4(n):
    return math.sqrt(2 / (n - 1)) * math.gamma(n / 2) / math.gamma((n - 1) / 2)


def shewhart(stream, n, points, root):
    values, groups, limits, z = STREAMS[stream], [], None, []
    for i in range(len(values)):
        found = False
        if (i + 1) % n == 0:
            groups.append(values[i + 1 - n:i + 1])
            mean = float(np.mean(groups[-1]))
            if limits is None:
                if len(groups) == points:
                    means = [float(np.mean(g)) for g in groups]
                    sigma = (np.mean(np.abs(np.diff(means))) * math.sqrt(math.pi) / 2 if n == 1
                             else np.mean([np.std(g, ddof=1) for g in groups]) / c4(n))
                    limits = (float(np.mean(means)), float(sigma) / (math.sqrt(n) if root else 1))
            else:
                z.append((mean - limits[0]) / limits[1])
                found = (abs(z[-1]) > 3
                         or any(sign * z[-1] > 2 and sum(sign * v > 2 for v in z[-3:]) >= 2 for sign in (1, -1))
                         or any(sign * z[-1] > 1 and sum(sign * v > 1 for v in z[-5:]) >= 4 for sign in (1, -1))
                         or any(len(z) >= 8 and all(sign * v > 0 for v in z[-8:]) for sign in (1, -1)))
        yield found, False, z[-1] if z else None
        if found:
            z = []


for s in ("none", "abrupt", "gradual"):
    for n, points, root in ((1, 100, True), (5, 25, True), (5, 25, False)):
        limits = "standard_error" if root else "standard_deviation"
        # The statistic of the value after a drift is that of the rules begun anew.
        case(kind("shewhart", subgroup=n, baseline={"first": points}, limits=limits), s, "textbook", shewhart(s, n, points, root), anew=False)

print(json.dumps({
    "made_by": {p: version(p) for p in ("river", "frouros", "scipy", "numpy")},
    "streams": STREAMS, "cases": cases, "windows": windows, "differs": differs,
    "river_ks_of_equal_tied_samples": ties.get(),
}).replace("}, {", "},\n{"))
