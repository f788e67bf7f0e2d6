"""Group metrics by fairlearn and by us, on the same files in the same run.

    python benches/peers/fairness.py --data /some/scratch --ours "cargo bench --bench fairness --"

Needs fairlearn, numpy, pandas, pyarrow and scikit-learn. Each line is one piece of work: its name,
who did it, and the best of the runs in ms (one run where it takes longer than ten seconds). The
data are made once in --data (about 0.5 GB; --scale 0.1 makes a tenth, in a folder of its own) and
stay there. They are read into memory before the clock starts: Arrow columns for us, pandas columns
of objects and integers for fairlearn, which it is given as it likes them.

--ours is a command that is given the data's folder as its last argument and prints lines
`name ms`, with the names below; its other lines are passed over.

    parity_1m    demographic parity alone over 1 M rows and 5 groups of strings: difference and
    parity_10m   ratio; 10 M rows by us only
    metrics_1m   ours: all twelve rates and four more metrics, by group and overall, with every
    metrics_10m  difference and ratio, of one pass; fairlearn's: the six metrics that it has
    crossed_1m   the same over the 10 intersections of two features
    crossed_10m
    weighted_1m  the same with weights, over 5 groups
    weighted_10m
"""

from importlib.metadata import version

from comparison import Times, settle, words

args = words(__doc__, scaled=True).parse_args()
settle(args)

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
from fairlearn import metrics as fl
from sklearn.metrics import accuracy_score

SIZES = {"1m": int(1_000_000 * args.scale), "10m": int(10_000_000 * args.scale)}
times = Times(args, 14, 24, digits=3)
best = times.best


def make():
    args.data.mkdir(parents=True, exist_ok=True)
    for size, n in SIZES.items():
        path = args.data / f"people_{size}.arrow"
        if path.exists():
            continue
        rng = np.random.default_rng(5)
        race = np.array(["White", "Black", "Asian", "Other", "Latino"])
        sex = np.array(["F", "M"])
        g, s = rng.integers(0, 5, n), rng.integers(0, 2, n)
        y = rng.random(n) < 0.3
        p = rng.random(n) < 0.2 + 0.4 * y + 0.02 * g
        table = pa.table({
            "race": pa.array(race[g], pa.string()), "sex": pa.array(sex[s], pa.string()),
            "y": pa.array(y), "p": pa.array(p), "w": pa.array(rng.gamma(2.0, 1.0, n)),
        })
        part = path.with_suffix(".part")
        feather.write_feather(table, part, compression="uncompressed", chunksize=1 << 20)
        part.rename(path)


SIX = {
    "selection_rate": fl.selection_rate,
    "tpr": fl.true_positive_rate,
    "fpr": fl.false_positive_rate,
    "tnr": fl.true_negative_rate,
    "fnr": fl.false_negative_rate,
    "accuracy": accuracy_score,
}


def fairlearn():
    who = f"fairlearn {version('fairlearn')}"
    table = feather.read_table(args.data / "people_1m.arrow")
    rows = table.to_pandas()
    y, p = rows["y"].astype(int), rows["p"].astype(int)
    race, both = rows["race"].astype(object), rows[["race", "sex"]].astype(object)

    def parity():
        of = {"y_true": y, "y_pred": p, "sensitive_features": race}
        return fl.demographic_parity_difference(**of)

    def metrics(features, weights=None):
        params = {name: {"sample_weight": weights} for name in SIX}
        frame = fl.MetricFrame(
            metrics=SIX, y_true=y, y_pred=p, sensitive_features=features,
            sample_params=params if weights is not None else None,
        )
        return frame.difference(), frame.ratio(), frame.group_min(), frame.group_max()

    best("parity_1m", who, parity)
    best("metrics_1m", who, lambda: metrics(race))
    best("crossed_1m", who, lambda: metrics(both))
    best("weighted_1m", who, lambda: metrics(race, rows["w"]))


def main():
    make()
    print(f"{SIZES['1m']:,} and {SIZES['10m']:,} rows, {args.threads} threads, best of {args.runs}")
    times.ours()
    fairlearn()
    # In turn, so that a busy machine is as unkind to either.
    times.ours()
    times.ratios()


if __name__ == "__main__":
    main()
