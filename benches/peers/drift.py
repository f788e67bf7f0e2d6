"""Drift by the peers and by us, on the same files in the same run.

    python benches/peers/drift.py --data /some/scratch --ours "cargo bench --bench drift --"

Needs numpy, pyarrow and scipy, and as peers evidently, scouter-ml, nannyml and alibi-detect; what
is not installed is left out, and says so. The peers want different versions of the same libraries:
--python names further interpreters, each of which measures the peers that it has. Each line is one
piece of work: its name, who did it, and the best of the runs in ms (a peer that takes longer than
ten seconds runs once). The data are made once in --data (about 5 GB at full size; --scale 0.1
makes a tenth, in a folder of its own) and stay there.

--ours is a command that is given the data's folder as its last argument and prints lines
`name ms`, with the names below; its other lines are passed over. Work, and the files it reads:

    twenty_KIND     KIND.arrow     20 columns of 1 M rows against a stored profile (ours), or against
                                   the reference itself (peers): all statistics, or the one named.
                                   KIND is normal, lognormal, uniform, integers, sorted, constant;
                                   the peers get the normal ones, which is kind to them
    ks_shift        ks.arrow       the exact two-sample KS of 10 M + 10 M raw numbers, shifted,
    ks_null                        from one law, and
    ks_ties                        with heavy ties
"""

import argparse
import logging
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version

ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ask.add_argument("--data", type=pathlib.Path, required=True, help="a folder for the data")
ask.add_argument("--ours", help="a command that prints lines `name ms`")
ask.add_argument("--python", action="append", default=[], help="another interpreter with peers; may be repeated")
ask.add_argument("--scale", type=float, default=1.0, help="of the number of rows")
ask.add_argument("--threads", type=int, default=2)
ask.add_argument("--only", help="names that begin so")
ask.add_argument("--runs", type=int, default=3)
ask.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
args = ask.parse_args()
if args.scale != 1 and not args.as_peer:
    args.data /= f"scale_{args.scale:g}"

os.environ.update({
    "TQDM_DISABLE": "1", "DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
    **{name: str(args.threads) for name in (
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")},
})
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")

import numpy as np

SMALL, LARGE, COLUMNS = int(1_000_000 * args.scale), int(10_000_000 * args.scale), 20
PATIENCE = 10.0
KINDS = ["normal", "lognormal", "uniform", "integers", "sorted", "constant"]
TIMES = {}


def wanted(*names):
    return not args.only or any(n.startswith(args.only) for n in names)


def report(name, who, ms):
    TIMES[name, who] = ms
    print(f"{name:18}  {who:40}  {ms:12.1f} ms", flush=True)


def best(name, who, work):
    """The least of the runs; a peer that fails is a line of its own."""
    if not wanted(name):
        return
    least = float("inf")
    try:
        for _ in range(args.runs):
            start = time.perf_counter()
            work()
            least = min(least, time.perf_counter() - start)
            if least > PATIENCE:
                break
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        print(f"{name:18}  {who:40}  failed: {type(error).__name__}: {said[:120]}", flush=True)
        return
    report(name, who, least * 1e3)


# The data -----------------------------------------------------------------------------------------

def drawn(draw, kind, n):
    if kind == "normal":
        return draw.normal(size=n)
    if kind == "lognormal":
        return draw.lognormal(sigma=3.0, size=n)
    if kind == "uniform":
        return draw.random(n)
    if kind == "integers":
        return draw.integers(0, 50, n).astype("float64")
    if kind == "sorted":
        return np.sort(draw.normal(size=n))
    return np.full(n, 7.5)


def make():
    """Writes what is missing: raw 64-bit floats, column after column, as numpy and Rust read them."""
    draw = np.random.default_rng(20240301)
    args.data.mkdir(parents=True, exist_ok=True)
    names = [f"{kind}_{side}.arrow" for kind in KINDS for side in ("reference", "current")] + ["ks.arrow"]
    if all((args.data / name).exists() for name in names):
        return
    import pyarrow as pa
    import pyarrow.feather as feather

    for kind in KINDS:
        for side in ("reference", "current"):
            path = args.data / f"{kind}_{side}.arrow"
            if not path.exists():
                table = pa.table({f"x{i}": drawn(draw, kind, SMALL) for i in range(COLUMNS)})
                feather.write_feather(table, path, compression="uncompressed")
    path = args.data / "ks.arrow"
    if not path.exists():
        table = pa.table({
            "reference": draw.normal(size=LARGE), "shift": draw.normal(0.02, 1.0, LARGE), "null": draw.normal(size=LARGE),
            "ties_reference": draw.poisson(3.0, LARGE).astype("float64"), "ties": draw.poisson(3.01, LARGE).astype("float64"),
        })
        feather.write_feather(table, path, compression="uncompressed")


def columns(file, names=None):
    import pyarrow.feather as feather

    table = feather.read_table(args.data / file, columns=names, memory_map=False)
    return {name: table[name].combine_chunks().to_numpy() for name in table.column_names}


def both():
    import pandas as pd

    return tuple(pd.DataFrame(columns(f"normal_{side}.arrow")) for side in ("reference", "current"))


# The peers ----------------------------------------------------------------------------------------

def scipy():
    from scipy.stats import ks_2samp

    raw = columns("ks.arrow")
    for name, pair in (("ks_shift", ("reference", "shift")), ("ks_null", ("reference", "null")), ("ks_ties", ("ties_reference", "ties"))):
        a, b = (raw[p] for p in pair)
        best(name, "scipy ks_2samp (asymp)", lambda: ks_2samp(a, b, method="asymp"))
        best(name, "numpy, sorting both", lambda: (np.sort(a), np.sort(b)))


def evidently():
    from evidently import Dataset, DataDefinition, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=[f"x{i}" for i in range(COLUMNS)])
    reference, current = (Dataset.from_pandas(frame, data_definition=definition) for frame in both())
    for name, options in (("default", {}), ("ks", {"method": "ks"}), ("psi", {"method": "psi"})):
        best("twenty_normal", f"evidently ({name})", lambda: Report([DataDriftPreset(**options)]).run(current, reference).dict())


def scouter():
    from scouter import Drifter, PsiDriftConfig

    reference, current = both()
    profile = Drifter().create_drift_profile(reference, PsiDriftConfig(name="a", space="b", version="0.1.0"))
    best("twenty_normal", "scouter (psi, stored profile)", lambda: Drifter().compute_drift(current, profile))


def nannyml():
    import nannyml as nml

    reference, current = both()
    for method in ("kolmogorov_smirnov", "jensen_shannon", "wasserstein"):
        fitted = nml.UnivariateDriftCalculator(
            column_names=list(reference.columns), continuous_methods=[method], chunk_number=1,
        ).fit(reference)
        best("twenty_normal", f"nannyml ({method}, fitted)", lambda: fitted.calculate(current).to_df())


def alibi_detect():
    from alibi_detect.cd import KSDrift

    reference, current = (frame.to_numpy() for frame in both())
    best("twenty_normal", "alibi-detect (ks)", lambda: KSDrift(reference).predict(current))


PEERS = {"scipy": scipy, "evidently": evidently, "scouter-ml": scouter, "nannyml": nannyml, "alibi-detect": alibi_detect}


def peers():
    for name, peer in PEERS.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        print(f"# {name} {found}, python {sys.version.split()[0]}", flush=True)
        try:
            peer()
        except Exception as error:
            print(f"{name} is left out: {type(error).__name__}: {error}", flush=True)


# The run ------------------------------------------------------------------------------------------

def read(command, who=None):
    """Runs a command and takes its lines `name ms`, or those of a peer as they were reported."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        if who is None and line.endswith(" ms") and wanted(line.split()[0]):
            report(*re.split(r" {2,}", line)[:2], float(line.split()[-2]))
        elif who is None:
            print(line)
        else:
            parts = line.split()
            try:
                name, ms = parts[0], float(parts[1])
            except (IndexError, ValueError):
                continue
            if wanted(name):
                report(name, who, ms)
    if done.returncode:
        print(f"{command[0]} ended with {done.returncode}", file=sys.stderr)


def main():
    if args.as_peer:
        return peers()
    start = time.perf_counter()
    make()
    print(f"{COLUMNS} x {SMALL:,} and {LARGE:,} rows, {args.threads} threads, best of {args.runs}; data ready in {time.perf_counter() - start:.1f} s")
    if args.ours:
        read([*shlex.split(args.ours), str(args.data)], "mlops")
    this = ["--as-peer", "--data", str(args.data), "--scale", str(args.scale), "--threads", str(args.threads), "--runs", str(args.runs)]
    this += ["--only", args.only] if args.only else []
    for python in [sys.executable, *args.python]:
        read([python, __file__, *this])
    print("\nHow many times as long as we took:")
    for (name, who), ms in TIMES.items():
        if who != "mlops" and (name, "mlops") in TIMES:
            print(f"{name:18}  {who:40}  {ms / TIMES[name, 'mlops']:12.1f}")


if __name__ == "__main__":
    main()
