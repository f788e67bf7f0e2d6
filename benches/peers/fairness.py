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

import argparse
import os
import pathlib
import shlex
import subprocess
import sys
import time
import warnings
from importlib.metadata import version

ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ask.add_argument("--data", type=pathlib.Path, required=True, help="a folder for the data")
ask.add_argument("--ours", help="a command that prints lines `name ms`")
ask.add_argument("--scale", type=float, default=1.0, help="of the number of rows")
ask.add_argument("--threads", type=int, default=2)
ask.add_argument("--only", help="names that begin so")
ask.add_argument("--runs", type=int, default=3)
args = ask.parse_args()
if args.scale != 1:
    args.data /= f"scale_{args.scale:g}"

os.environ.update({name: str(args.threads) for name in (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")})
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
warnings.simplefilter("ignore")

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
from fairlearn import metrics as fl
from sklearn.metrics import accuracy_score

SIZES = {"1m": int(1_000_000 * args.scale), "10m": int(10_000_000 * args.scale)}
PATIENCE = 10.0
TIMES = {}


def wanted(name):
    return not args.only or name.startswith(args.only)


def report(name, who, ms):
    TIMES[name, who] = ms
    print(f"{name:14}  {who:24}  {ms:12.3f} ms", flush=True)


def best(name, who, work):
    if not wanted(name):
        return
    least = float("inf")
    for _ in range(args.runs):
        start = time.perf_counter()
        work()
        took = time.perf_counter() - start
        least = min(least, took)
        if took > PATIENCE:
            break
    report(name, who, least * 1e3)


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


def ours(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        parts = line.split()
        try:
            name, ms = parts[0], float(parts[1])
        except (IndexError, ValueError):
            continue
        if wanted(name):
            report(name, "mlops", min(ms, TIMES.get((name, "mlops"), ms)))
    if done.returncode:
        print(f"{command[0]} ended with {done.returncode}", file=sys.stderr)


def main():
    make()
    print(f"{SIZES['1m']:,} and {SIZES['10m']:,} rows, {args.threads} threads, best of {args.runs}")
    if args.ours:
        ours([*shlex.split(args.ours), str(args.data)])
    fairlearn()
    if args.ours:
        # In turn, so that a busy machine is as unkind to either.
        ours([*shlex.split(args.ours), str(args.data)])
    print("\nHow many times as long as we took:")
    for (name, who), ms in TIMES.items():
        if who != "mlops" and (name, "mlops") in TIMES:
            print(f"{name:14}  {who:24}  {ms / TIMES[name, 'mlops']:12.0f}")


if __name__ == "__main__":
    main()
