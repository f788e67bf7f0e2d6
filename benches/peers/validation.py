"""Validation by the peers and by us, on the same files in the same run.

    python benches/peers/validation.py --data /some/scratch --ours "cargo bench --bench validation --"

Needs great_expectations, pandera with polars, duckdb, pyarrow, pandas and numpy; what is not
installed is left out, and says so. Each line is one piece of work: its name, who did it, and the
best of three in ms. The data are made once in --data (about 2 GB at full size; --scale 0.1 makes
a tenth, in a folder of its own) and stay there.

--ours is a command that is given the data's folder as its last argument and prints lines
`name ms`, with the names below; its other lines are passed over. Work, and the files it reads:

    nine            nine.arrow     five columns in memory: not null, unique, two ranges, a set, a mean,
                                   not null mostly, lengths; and
    nine_regex                     these with the ninth, a regex
    wide            wide.arrow     226 checks of 80 columns in memory: 80 null counts, 80 ranges, 66 means
    parquet         tall.parquet   16 checks of 10 columns: 10 ranges, 6 null counts
    parquet_rows    tall.parquet   the same, and the numbers of the failing rows
    distinct_random distinct.arrow exact distinct counts in memory, each of one column: numbers drawn at
    distinct_dense                 random, all of a range in random order,
    distinct_sorted                ascending, and
    distinct_text                  strings
"""

import sys
import time
from importlib.metadata import PackageNotFoundError, version

from comparison import Times, settle, words

args = words(__doc__, scaled=True).parse_args()
settle(args)

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

SMALL, LARGE = int(1_000_000 * args.scale), int(10_000_000 * args.scale)
KINDS = ["placed", "shipped", "delivered", "returned", "lost"]
REGEX = r"^[a-z0-9.]+@[a-z0-9]+\.[a-z]{2,}$"
times = Times(args, 16, 22)
best, wanted = times.best, times.wanted


# The data -----------------------------------------------------------------------------------------

def make():
    """Writes what is missing."""
    draw = np.random.default_rng(20240301)
    args.data.mkdir(parents=True, exist_ok=True)
    path = {n: args.data / n for n in ("nine.arrow", "wide.arrow", "tall.parquet", "distinct.arrow")}
    if not path["nine.arrow"].exists():
        users = draw.integers(0, 10**9, SMALL)
        table = pa.table({
            "id": pa.array(draw.permutation(SMALL).astype("int64")),
            "x": pa.array(draw.normal(100.0, 15.0, SMALL)),
            "y": pa.array(draw.exponential(2.0, SMALL), mask=draw.random(SMALL) < 0.05),
            "kind": pa.array(KINDS).take(pa.array(draw.integers(0, 4, SMALL))),
            "email": pa.array([f"user{u}@example{u % 97}.org" for u in users.tolist()]),
        })
        feather.write_feather(table, path["nine.arrow"], compression="uncompressed")
    if not path["wide.arrow"].exists():
        columns = {f"c{i}": pa.array(draw.normal(i, 1.0, SMALL), mask=draw.random(SMALL) < 0.01 * (i % 3)) for i in range(80)}
        feather.write_feather(pa.table(columns), path["wide.arrow"], compression="uncompressed")
    if not path["tall.parquet"].exists():
        writer, left = None, LARGE
        while left:
            n = min(left, 1_000_000)
            part = pa.table({f"c{i}": pa.array(draw.normal(i, 1.0, n), mask=draw.random(n) < 0.01 * (i % 3)) for i in range(10)})
            writer = writer or pq.ParquetWriter(path["tall.parquet"], part.schema)
            writer.write_table(part)
            left -= n
        writer.close()
    if not path["distinct.arrow"].exists():
        number = draw.integers(0, 2**62, LARGE)
        table = pa.table({
            "random": pa.array(number),
            "dense": pa.array(draw.permutation(LARGE).astype("int64")),
            "sorted": pa.array(np.cumsum(draw.integers(1, 9, LARGE)).astype("int64")),
            "text": pa.array(number).cast(pa.string()),
        })
        feather.write_feather(table, path["distinct.arrow"], compression="uncompressed")
    return path


def loaded(path):
    return feather.read_table(path, memory_map=False)


# The peers ----------------------------------------------------------------------------------------

def great_expectations(table):
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.core import ExpectationSuite

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    where = context.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
    plain = [
        gxe.ExpectColumnValuesToNotBeNull(column="id"),
        gxe.ExpectColumnValuesToBeUnique(column="id"),
        gxe.ExpectColumnValuesToBeBetween(column="x", min_value=0, max_value=200),
        gxe.ExpectColumnValuesToBeBetween(column="y", min_value=0, max_value=100),
        gxe.ExpectColumnValuesToBeInSet(column="kind", value_set=KINDS),
        gxe.ExpectColumnMeanToBeBetween(column="x", min_value=99, max_value=101),
        gxe.ExpectColumnValuesToNotBeNull(column="y", mostly=0.9),
        gxe.ExpectColumnValueLengthsToBeBetween(column="email", min_value=5, max_value=40),
    ]
    suites = {
        "nine": context.suites.add(ExpectationSuite(name="plain", expectations=plain)),
        "nine_regex": context.suites.add(ExpectationSuite(
            name="regex", expectations=[e.copy(update={"id": None}) for e in plain] + [gxe.ExpectColumnValuesToMatchRegex(column="email", regex=REGEX)])),
    }
    frame = table.to_pandas()
    for name, suite in suites.items():
        def judged():
            found = where.get_batch({"dataframe": frame}).validate(suite)
            assert found.success, [r.to_json_dict() for r in found.results if not r.success]

        best(name, "great_expectations", judged)


def pandera(table):
    import pandera.polars as pap
    import polars as pl

    frame = pl.from_arrow(table)

    def schema(regex):
        email = [pap.Check.str_length(5, 40)] + ([pap.Check.str_matches(REGEX)] if regex else [])
        mean = pap.Check(lambda d: d.lazyframe.select(pl.col(d.key).mean().is_between(99, 101)))
        mostly = pap.Check(lambda d: d.lazyframe.select(pl.col(d.key).is_not_null().mean() >= 0.9))
        return pap.DataFrameSchema({
            "id": pap.Column(pl.Int64, unique=True, nullable=False),
            "x": pap.Column(pl.Float64, [pap.Check.in_range(0, 200), mean], nullable=True),
            "y": pap.Column(pl.Float64, [pap.Check.in_range(0, 100), mostly], nullable=True),
            "kind": pap.Column(pl.String, pap.Check.isin(KINDS), nullable=True),
            "email": pap.Column(pl.String, email, nullable=True),
        })

    for name, rules in (("nine", schema(False)), ("nine_regex", schema(True))):
        best(name, "pandera (polars)", lambda: rules.validate(frame, lazy=True))


def connected():
    import duckdb

    link = duckdb.connect(config={"threads": args.threads})
    link.execute("SET preserve_insertion_order = false")
    return link


def duckdb_nine(table):
    link = connected()
    link.register("arrow", table)
    link.execute("CREATE TABLE nine AS SELECT * FROM arrow")
    plain = [
        "count(*) - count(id)", "count(id) - count(DISTINCT id)", "count(*) FILTER (NOT x BETWEEN 0 AND 200)",
        "count(*) FILTER (NOT y BETWEEN 0 AND 100)", f"count(*) FILTER (kind NOT IN ({', '.join(repr(k) for k in KINDS)}))",
        "avg(x)", "count(y) / count(*)", "count(*) FILTER (NOT length(email) BETWEEN 5 AND 40)",
    ]
    for source, who in (("nine", "duckdb (its table)"), ("arrow", "duckdb (arrow)")):
        for name, checks in (("nine", plain), ("nine_regex", [*plain, f"count(*) FILTER (NOT regexp_matches(email, '{REGEX}'))"])):
            best(name, who, lambda: link.execute(f"SELECT {', '.join(checks)} FROM {source}").fetchall())


def duckdb_wide(table):
    link = connected()
    link.register("arrow", table)
    link.execute("CREATE TABLE wide AS SELECT * FROM arrow")
    checks = [f"count(*) - count(c{i})" for i in range(80)]
    checks += [f"count(*) FILTER (NOT c{i} BETWEEN {i - 4} AND {i + 4})" for i in range(80)]
    checks += [f"avg(c{i})" for i in range(66)]
    for source, who in (("wide", "duckdb (its table)"), ("arrow", "duckdb (arrow)")):
        best("wide", who, lambda: link.execute(f"SELECT {', '.join(checks)} FROM {source}").fetchall())


def duckdb_parquet(path):
    link = connected()
    outside = [f"NOT c{i} BETWEEN {i - 4.5} AND {i + 4.5}" for i in range(10)]
    checks = [f"count(*) FILTER ({o})" for o in outside] + [f"count(*) - count(c{i})" for i in range(6)]
    aggregates = f"SELECT {', '.join(checks)} FROM '{path}'"
    rows = f"SELECT file_row_number FROM read_parquet('{path}', file_row_number = true) WHERE {' OR '.join(outside)}"
    best("parquet", "duckdb", lambda: link.execute(aggregates).fetchall())
    best("parquet_rows", "duckdb (two queries)", lambda: (link.execute(aggregates).fetchall(), link.execute(rows).fetchall()))


def duckdb_distinct(table):
    link = connected()
    link.register("arrow", table)
    link.execute("SET preserve_insertion_order = true")
    link.execute("CREATE TABLE numbers AS SELECT * FROM arrow")
    for column in ("random", "dense", "sorted", "text"):
        for source, who in (("numbers", "duckdb (its table)"), ("arrow", "duckdb (arrow)")):
            best(f"distinct_{column}", who, lambda: link.execute(f"SELECT count(DISTINCT {column}) FROM {source}").fetchall())


def main():
    start = time.perf_counter()
    path = make()
    present = []
    for name in ("great_expectations", "pandera", "polars", "duckdb", "pandas", "pyarrow", "numpy"):
        try:
            present.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            print(f"{name} is not installed and left out")
    print(f"python {sys.version.split()[0]}, {', '.join(present)}")
    print(f"{SMALL:,} and {LARGE:,} rows, {args.threads} threads, best of {args.runs}; data ready in {time.perf_counter() - start:.1f} s")
    work = []
    if wanted("nine", "nine_regex"):
        work += [(peer, "nine.arrow", loaded) for peer in (great_expectations, pandera, duckdb_nine)]
    if wanted("wide"):
        work.append((duckdb_wide, "wide.arrow", loaded))
    if wanted("parquet", "parquet_rows"):
        work.append((duckdb_parquet, "tall.parquet", lambda p: p))
    if wanted("distinct_random", "distinct_dense", "distinct_sorted", "distinct_text"):
        work.append((duckdb_distinct, "distinct.arrow", loaded))
    for peer, file, read in work:
        try:
            peer(read(path[file]))
        except ImportError as error:
            print(f"{peer.__name__} is left out: {error}")
    times.ours()
    times.ratios()


if __name__ == "__main__":
    main()
