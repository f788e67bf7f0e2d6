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

import time

from comparison import Times, settle, words

args = words(__doc__, scaled=True, interpreters=True).parse_args()
settle(args)

import numpy as np

SMALL, LARGE, COLUMNS = int(1_000_000 * args.scale), int(10_000_000 * args.scale), 20
KINDS = ["normal", "lognormal", "uniform", "integers", "sorted", "constant"]
times = Times(args, 18, 40)
best = times.best


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


# The run ------------------------------------------------------------------------------------------

def main():
    if args.as_peer:
        return times.peers(PEERS)
    start = time.perf_counter()
    make()
    print(f"{COLUMNS} x {SMALL:,} and {LARGE:,} rows, {args.threads} threads, best of {args.runs}; data ready in {time.perf_counter() - start:.1f} s")
    times.ours()
    times.interpreters(__file__, "--scale", args.scale)
    times.ratios()


if __name__ == "__main__":
    main()
