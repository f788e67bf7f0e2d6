"""Golden values of metrics by group: fairlearn to the edges, scikit-learn, AIF360 and aequitas.

    python tests/golden/make_group_metrics.py

writes mlops-fairness/tests/golden/group_metrics.json. Deterministic; records the versions. NaN is
null.
"""

import json
import math
import pathlib
import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd
from aequitas.bias import Bias
from aequitas.group import Group
from aif360.sklearn import metrics as aif
from fairlearn import metrics as fl
from sklearn import metrics as skm

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent.parent / "mlops-fairness" / "tests" / "golden" / "group_metrics.json"

METRICS = {
    "count": fl.count,
    "selection_rate": fl.selection_rate,
    "true_positive_rate": fl.true_positive_rate,
    "false_positive_rate": fl.false_positive_rate,
    "true_negative_rate": fl.true_negative_rate,
    "false_negative_rate": fl.false_negative_rate,
    "positive_predictive_value": skm.precision_score,
    "accuracy": skm.accuracy_score,
    "zero_one_loss": skm.zero_one_loss,
    "balanced_accuracy": skm.balanced_accuracy_score,
    "f1": skm.f1_score,
}
METHODS = ["between_groups", "to_overall"]


def plain(value):
    """What JSON can hold."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (str, bool)):
        return value
    value = float(value)
    return None if math.isnan(value) else value


def key(index):
    return ", ".join(index) if isinstance(index, tuple) else str(index)


def of_fairlearn(rows, features, controls=(), weight=None):
    """All that a MetricFrame says, by control cell where there are controls."""
    weights = rows[weight] if weight else None
    params = {name: {"sample_weight": weights} for name in METRICS if name != "count"}
    frame = fl.MetricFrame(
        metrics=METRICS,
        y_true=rows["y"],
        y_pred=rows["p"],
        sensitive_features=rows[list(features)],
        control_features=rows[list(controls)] if controls else None,
        sample_params=params if weight else None,
    )

    def split(table):
        """A table by control cell, or the one column."""
        if not controls:
            return {"": {k: v for k, v in table.items()}}
        return {key(cell): dict(row) for cell, row in table.iterrows()}

    found = {
        "overall": split(frame.overall),
        "group_min": split(frame.group_min()),
        "group_max": split(frame.group_max()),
        "by_group": {key(group): dict(row) for group, row in frame.by_group.iterrows()},
    }
    for method in METHODS:
        found[f"difference {method}"] = split(frame.difference(method=method))
        found[f"ratio {method}"] = split(frame.ratio(method=method))
    if controls:
        return found
    args = {"y_true": rows["y"], "y_pred": rows["p"], "sensitive_features": rows[list(features)]}
    if weight:
        args["sample_weight"] = rows[weight]
    named = {}
    for method in METHODS:
        for name in [
            "demographic_parity_difference",
            "demographic_parity_ratio",
            "equal_opportunity_difference",
            "equal_opportunity_ratio",
        ]:
            named[f"{name} {method}"] = getattr(fl, name)(**args, method=method)
        for name in ["equalized_odds_difference", "equalized_odds_ratio"]:
            for agg in ["worst_case", "mean"]:
                named[f"{name} {method} {agg}"] = getattr(fl, name)(**args, method=method, agg=agg)
    found["named"] = named
    return found


def case(name, rows, features, controls=(), weight=None):
    columns = {c: rows[c].tolist() for c in rows.columns}
    columns = {c: [None if pd.isna(v) else v for v in vs] for c, vs in columns.items()}
    return {
        "name": name,
        "columns": columns,
        "features": list(features),
        "controls": list(controls),
        "weight": weight,
        "fairlearn": plain(of_fairlearn(rows, features, controls, weight)),
    }


def people(rng, n, sexes, races=("a", "b", "c")):
    sex, race = rng.choice(sexes, n), rng.choice(races, n)
    y = (rng.random(n) < 0.35 + 0.1 * (sex == sexes[0])).astype(int)
    tilt = 0.1 * (sex == sexes[-1]) + 0.15 * (race == races[0])
    p = (rng.random(n) < 0.2 + 0.4 * y + tilt).astype(int)
    w = np.round(rng.gamma(2.0, 1.0, n), 3)
    dept = rng.choice(["x", "y"], n)
    return pd.DataFrame({"sex": sex, "race": race, "dept": dept, "y": y, "p": p, "w": w})


def edges(rng):
    """Frames in which something is divided by 0."""
    base = people(rng, 90, ["F", "M", "N"])
    yield "no positives in a group", base.assign(y=base.y.where(base.sex != "F", 0))
    yield "no negatives in a group", base.assign(y=base.y.where(base.sex != "F", 1))
    yield "no positives at all", base.assign(y=0)
    yield "no negatives at all", base.assign(y=1)
    yield "a group without selection", base.assign(p=base.p.where(base.sex != "M", 0))
    yield "nobody selected", base.assign(p=0)
    yield "everybody selected", base.assign(p=1)
    yield "perfect", base.assign(p=base.y)
    yield "perfectly wrong", base.assign(p=1 - base.y)
    yield "one group", base[base.sex == "F"]
    yield "one row", base.head(1)
    yield "a group of one row", pd.concat([base[base.sex != "N"], base[base.sex == "N"].head(1)])


def of_aif360(rng):
    cases = []
    for n, groups in [(200, 2), (400, 5)]:
        g = rng.integers(0, groups, n)
        y = (rng.random(n) < 0.3 + 0.3 * g / groups).astype(int)
        p = (rng.random(n) < 0.2 + 0.5 * y + 0.1 * g / groups).astype(int)
        w = np.round(rng.gamma(2.0, 1.0, n), 3)
        x = rng.normal(size=(n, 3))
        labels = pd.Series(y, index=pd.Index([f"g{i}" for i in g], name="g"))
        found = {}
        for alpha in [2, 1, 0.5, 3]:
            found[f"total {alpha}"] = aif.generalized_entropy_error(y, p, alpha=alpha)
            found[f"between {alpha}"] = aif.between_group_generalized_entropy_error(
                labels, p, alpha=alpha
            )
        found["cv"] = aif.coefficient_of_variation(1 + p - y)
        for concentration in [1.0, 0.25]:
            args = {"prot_attr": "g", "concentration": concentration}
            found[f"edf labels {concentration}"] = aif.smoothed_edf(labels, **args)
            found[f"edf {concentration}"] = aif.smoothed_edf(labels, p, **args)
            found[f"edf weighted {concentration}"] = aif.smoothed_edf(
                labels, p, sample_weight=w, **args
            )
            found[f"amplification {concentration}"] = aif.df_bias_amplification(labels, p, **args)
        for k in [1, 5, 12]:
            found[f"consistency {k}"] = aif.consistency_score(x, p, n_neighbors=k)
        cases.append({
            "g": [f"g{i}" for i in g], "y": y, "p": p, "w": w, "x": x.T, "aif360": found,
        })
    return plain(cases)


def of_aequitas(rng):
    n = 600
    g = rng.choice(["a", "b", "c", "d"], n, p=[0.4, 0.3, 0.2, 0.1])
    y = (rng.random(n) < 0.35).astype(int)
    p = (rng.random(n) < 0.15 + 0.4 * y + 0.15 * (g == "a")).astype(int)
    rows = pd.DataFrame({"g": g.astype(object), "score": p, "label_value": y})
    # aequitas knows no text but pandas' older kind.
    rows["g"] = rows["g"].astype(object)
    counts, _ = Group().get_crosstabs(rows, attr_cols=["g"])
    kept = ["tpr", "tnr", "for", "fdr", "fpr", "fnr", "npv", "precision", "pprev", "prev"]
    by_group = {row.attribute_value: {k: row[k] for k in kept} for _, row in counts.iterrows()}
    bias = Bias().get_disparity_predefined_groups(
        counts, original_df=rows, ref_groups_dict={"g": "b"}, alpha=0.05, check_significance=False
    )
    columns = [c for c in bias.columns if c.endswith("_disparity")]
    disparities = {row.attribute_value: {c: row[c] for c in columns} for _, row in bias.iterrows()}
    return plain({"g": g, "y": y, "p": p, "by_group": by_group, "disparities": disparities})


def of_classes(rng):
    n = 500
    g = rng.choice(["a", "b"], n)
    y = rng.choice(["low", "mid", "top", "out"], n, p=[0.4, 0.3, 0.2, 0.1])
    p = np.where(rng.random(n) < 0.6, y, rng.choice(["low", "mid", "top", "out"], n))
    w = np.round(rng.gamma(2.0, 1.0, n), 3)
    found = {}
    for name, mask in [("a", g == "a"), ("b", g == "b"), ("all", g != "")]:
        for kind, weight in [("", None), (" weighted", w[mask])]:
            t, s = y[mask], p[mask]
            classes = sorted(set(t) | set(s))
            args = {"labels": classes, "average": None, "sample_weight": weight}
            one = {
                "accuracy": skm.accuracy_score(t, s, sample_weight=weight),
                "positive_predictive_value": dict(zip(classes, skm.precision_score(t, s, **args))),
                "true_positive_rate": dict(zip(classes, skm.recall_score(t, s, **args))),
                "f1": dict(zip(classes, skm.f1_score(t, s, **args))),
            }
            for average in ["macro", "weighted"]:
                args = {"average": average, "sample_weight": weight}
                one[f"f1 {average}"] = skm.f1_score(t, s, **args)
                one[f"positive_predictive_value {average}"] = skm.precision_score(t, s, **args)
                one[f"true_positive_rate {average}"] = skm.recall_score(t, s, **args)
            found[name + kind] = one
    return plain({"g": g, "y": y, "p": p, "w": w, "found": found})


def of_errors(rng):
    n = 300
    g = rng.choice(["a", "b", "c"], n)
    y = 50 + 10 * rng.normal(size=n)
    p = y + rng.normal(size=n) * (1 + (g == "b")) + 0.5 * (g == "c")
    w = np.round(rng.gamma(2.0, 1.0, n), 3)
    found = {}
    for name, mask in [(k, g == k) for k in "abc"] + [("all", g != "")]:
        for kind, weight in [("", None), (" weighted", w[mask])]:
            args = (y[mask], p[mask])
            found[name + kind] = {
                "mean_absolute_error": skm.mean_absolute_error(*args, sample_weight=weight),
                "mean_squared_error": skm.mean_squared_error(*args, sample_weight=weight),
                "root_mean_squared_error": skm.root_mean_squared_error(*args, sample_weight=weight),
                "mean_error": np.average(p[mask] - y[mask], weights=weight),
                "r2": skm.r2_score(*args, sample_weight=weight),
                "mean_prediction": fl.mean_prediction(*args, sample_weight=weight),
                "mean_label": np.average(y[mask], weights=weight),
            }
    return plain({"g": g, "y": y, "p": p, "w": w, "found": found})


def calibration_error(y, s, bins, w=None):
    """Naeini et al., in numpy: the bins are closed below."""
    w = np.ones(len(y)) if w is None else w
    at = np.minimum((s * bins).astype(int), bins - 1)
    error = 0.0
    for b in range(bins):
        m = at == b
        if w[m].sum() > 0:
            gap = np.average(s[m], weights=w[m]) - np.average(y[m], weights=w[m])
            error += w[m].sum() / w.sum() * abs(gap)
    return error


def between_curves(a, b):
    """∫ |TPR₁ − TPR₂|, exactly: cut where either curve has a corner and where they cross."""
    def upper(curve, x):
        """The curve's limits at x from the right and from the left."""
        fpr, tpr = curve
        i = np.searchsorted(fpr, x, side="right") - 1
        j = np.searchsorted(fpr, x, side="left")
        right = tpr[i] if i + 1 >= len(fpr) else tpr[i] + (tpr[i + 1] - tpr[i]) * (x - fpr[i]) / (
            fpr[i + 1] - fpr[i]
        )
        left = tpr[j] if fpr[j] == x else tpr[j - 1] + (tpr[j] - tpr[j - 1]) * (x - fpr[j - 1]) / (
            fpr[j] - fpr[j - 1]
        )
        return right, left

    corners = np.unique(np.concatenate([a[0], b[0]]))
    area = 0.0
    for x0, x1 in zip(corners, corners[1:]):
        d0 = upper(a, x0)[0] - upper(b, x0)[0]
        d1 = upper(a, x1)[1] - upper(b, x1)[1]
        if d0 * d1 >= 0:
            area += (x1 - x0) * (abs(d0) + abs(d1)) / 2
        else:
            area += (x1 - x0) * (d0 * d0 + d1 * d1) / (2 * (abs(d0) + abs(d1)))
    return area


def of_scores(rng):
    cases = []
    for name, digits in [("all different", None), ("many ties", 1)]:
        n = 400
        g = rng.choice(["a", "b"], n)
        y = (rng.random(n) < 0.4).astype(int)
        s = np.clip(0.3 + 0.3 * y + 0.2 * rng.normal(size=n) + 0.05 * (g == "b"), 0.001, 0.999)
        s = s if digits is None else np.round(s, digits)
        w = np.round(rng.gamma(2.0, 1.0, n), 3)
        found = {}
        for group, mask in [(k, g == k) for k in "ab"] + [("all", g != "")]:
            for kind, weight in [("", None), (" weighted", w[mask])]:
                t, p = y[mask], s[mask]
                found[group + kind] = {
                    "roc_auc": skm.roc_auc_score(t, p, sample_weight=weight),
                    "average_precision": skm.average_precision_score(t, p, sample_weight=weight),
                    "log_loss": skm.log_loss(t, p, sample_weight=weight),
                    "brier": skm.brier_score_loss(t, p, sample_weight=weight),
                    "calibration_error": calibration_error(t, p, 10, weight),
                    "mean_prediction": fl.mean_prediction(t, p, sample_weight=weight),
                    "base_rate": np.average(t, weights=weight),
                }
        curves = [skm.roc_curve(y[g == k], s[g == k], drop_intermediate=False)[:2] for k in "ab"]
        cases.append({
            "name": name, "g": g, "y": y, "s": s, "w": w, "found": found,
            "abroca": between_curves(*curves),
        })
    return plain(cases)


def main():
    rng = np.random.default_rng(11)
    cases = [
        case("two features", people(rng, 300, ["F", "M"]), ["sex", "race"]),
        case("weights", people(rng, 250, ["F", "M", "N"]), ["sex"], weight="w"),
        case("control", people(rng, 300, ["F", "M"]), ["sex"], controls=["dept"]),
        case("control, two features", people(rng, 400, ["F", "M"]), ["sex", "race"], ["dept"]),
        case("missing combinations", people(rng, 14, ["F", "M", "N"]), ["sex", "race"]),
        case("small cells", people(rng, 24, ["F", "M"]), ["sex", "race"], controls=["dept"]),
    ]
    cases += [case(name, rows, ["sex"]) for name, rows in edges(rng)]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    golden = {
        "versions": {
            name: version(name)
            for name in ["fairlearn", "scikit-learn", "numpy", "pandas", "aif360", "aequitas"]
        },
        "fairlearn": cases,
        "aif360": of_aif360(rng),
        "aequitas": of_aequitas(rng),
        "classes": of_classes(rng),
        "errors": of_errors(rng),
        "scores": of_scores(rng),
    }
    OUT.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
