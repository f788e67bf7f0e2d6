"""Lets pandera write schemas and judge data/orders.csv by them.

    python make_pandera.py

Needs pandera[io], pandas and polars. In pandera/, NAME.yaml and NAME.json are as pandera saves
them, NAME.full.yaml is the same with its defaults written out, and NAME.expected.json holds the
failure cases: the check, its column, how many values fail it and the rows (the frame's labels).
"""

import json
import pathlib
import platform
import warnings

warnings.simplefilter("ignore")

import pandas as pd
import pandera
import pandera.pandas as pa
import polars as pl
from pandera.api.checks import Check

HERE = pathlib.Path(__file__).parent
OUT = HERE / "pandera"
VERSIONS = {"pandera": pandera.__version__, "pandas": pd.__version__, "polars": pl.__version__, "python": platform.python_version()}

orders = pd.read_csv(HERE / "data" / "orders.csv", parse_dates=["created_at", "shipped_at"], dtype={"country": "str"})
first = pd.Timestamp("2024-03-01")


def verdicts(schema, frame):
    try:
        schema.validate(frame, lazy=True)
        return []
    except (pandera.errors.SchemaErrors, pandera.errors.SchemaError) as error:
        cases = error.failure_cases
        if not hasattr(cases, "groupby"):
            cases = cases.to_pandas()
        if isinstance(cases, pl.DataFrame):
            cases = pd.DataFrame(cases.to_dicts())
        found = []
        for (where, column, check), group in cases.groupby(["schema_context", "column", "check"], dropna=False, sort=False):
            rows = [x for x in group["index"].tolist() if x is not None and x == x]
            found.append({
                "context": str(where),
                "column": None if column is None or column != column else str(column),
                "check": str(check),
                "failures": len(group),
                "rows": json.loads(json.dumps(rows, default=str)),
            })
        return found


def saved(name, schema, frame, data, full=True):
    (OUT / f"{name}.yaml").write_text(schema.to_yaml())
    if full:
        (OUT / f"{name}.full.yaml").write_text(schema.to_yaml(minimal=False))
    (OUT / f"{name}.json").write_text(schema.to_json(indent=1) + "\n")
    found = verdicts(schema, frame)
    report = {"versions": VERSIONS, "data": data, "success": not found, "failures": found}
    (OUT / f"{name}.expected.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(name, len(found), "checks failed:", [(f["column"], f["check"], f["failures"]) for f in found])


# Every built-in check, alone on a column or with others.
saved("everything", pa.DataFrameSchema(
    {
        "order_id": pa.Column("int64", [Check.gt(1000), Check.ge(1001), Check.ne(1)], unique=True, title="Order", description="the key"),
        "customer_id": pa.Column("int64", [Check.lt(100), Check.le(10, raise_warning=False)]),
        "status": pa.Column("str", [
            Check.isin(["placed", "shipped", "delivered", "returned"]),
            Check.notin(["", "unknown"]),
            Check.str_length(min_value=3, max_value=9),
            Check.unique_values_eq({"placed", "shipped", "delivered", "returned", "lost"}),
        ]),
        "amount": pa.Column("float64", [
            Check.in_range(0, 250, include_min=False, include_max=True),
            Check.greater_than(0.0),
            Check.less_than_or_equal_to(226.75),
        ]),
        "discount": pa.Column("float64", [Check.between(0, 0.5)], nullable=True),
        "quantity": pa.Column("int64", [Check.in_range(1, 7), Check.equal_to(3, n_failure_cases=2)]),
        "email": pa.Column("str", [
            Check.str_matches(r"[^@]+@[^@]+\.org$"),
            Check.str_contains("@"),
            Check.str_startswith("user"),
            Check.str_endswith(".org"),
            Check.str_length(max_value=20),
        ], nullable=True),
        "country": pa.Column("str", Check.str_length(2, 2), nullable=False),
        "created_at": pa.Column("datetime64[us]", [Check.ge(first), Check.lt(pd.Timestamp("2024-03-09"))]),
        "shipped_at": pa.Column("datetime64[us]", Check.ge(first, ignore_na=True), nullable=True),
        "payload": pa.Column("str", Check.str_startswith("{", error="an object")),
    },
    strict=True, ordered=True, name="orders", title="Orders", description="every built-in check",
    metadata={"owner": "shop"},
), orders, "orders.csv")

# Dtypes as text, coercion, columns by pattern, rows unique together, columns that may be absent.
text = pd.read_csv(HERE / "data" / "orders.csv", dtype="str")
saved("coerced", pa.DataFrameSchema(
    {
        "order_id": pa.Column("int64", coerce=True, unique=True, report_duplicates="exclude_first"),
        "customer_id": pa.Column("Int32", Check.in_range(1, 10), coerce=True),
        "amount": pa.Column("float32", Check.gt(0), coerce=True),
        "created_at": pa.Column("datetime64[us]", coerce=True),
        r"^(email|country)$": pa.Column("str", Check.str_length(min_value=2), nullable=True, regex=True),
        "coupon": pa.Column("str", nullable=True, required=False),
    },
    unique=["order_id", "customer_id"], report_duplicates="all", strict=False, coerce=False,
), text, "orders.csv, every column read as text")

# Strict without what the frame has more, and a column that is not there.
saved("strict", pa.DataFrameSchema(
    {
        "order_id": pa.Column("int64"),
        "status": pa.Column("category", coerce=True),
        "warehouse": pa.Column("str"),
    },
    strict=True, unique_column_names=True,
), orders, "orders.csv")

# An index, and checks on the frame.
saved("index", pa.DataFrameSchema(
    {"amount": pa.Column("float64", Check.gt(0)), "quantity": pa.Column("int64")},
    index=pa.Index("int64", Check.ge(1001), unique=True, name="order_id"),
), orders.set_index("order_id"), "orders.csv, order_id as the index")
saved("levels", pa.DataFrameSchema(
    {"amount": pa.Column("float64", nullable=True)},
    index=pa.MultiIndex([
        pa.Index("int64", Check.in_range(1, 10), name="customer_id"),
        pa.Index("int64", Check.gt(0), name="order_id"),
    ], strict=True, unique=["customer_id", "order_id"]),
), orders.set_index(["customer_id", "order_id"]), "orders.csv, customer_id and order_id as the index")
saved("frame", pa.DataFrameSchema(
    {"quantity": pa.Column("int64"), "customer_id": pa.Column("int64")},
    checks=[Check.ge(1), Check.le(20)], strict="filter",
), orders[["quantity", "customer_id"]], "orders.csv, quantity and customer_id")

# Rows that fail are left out; a check that only warns.
saved("lenient", pa.DataFrameSchema(
    {
        "order_id": pa.Column("int64"),
        "amount": pa.Column("float64", Check.gt(0, raise_warning=True)),
        "status": pa.Column("str", Check.isin(["placed", "shipped", "delivered", "returned"])),
    },
    drop_invalid_rows=True,
), orders, "orders.csv; pandera drops the failing rows instead of failing")

# What pandera infers from the frame.
saved("inferred", pa.infer_schema(orders), orders, "orders.csv")

# The same on polars.
try:
    import pandera.polars as pap

    schema = pap.DataFrameSchema({
        "order_id": pap.Column(pl.Int64, [pap.Check.gt(1000)], unique=True),
        "status": pap.Column(pl.String, pap.Check.isin(["placed", "shipped", "delivered", "returned"])),
        "amount": pap.Column(pl.Float64, pap.Check.in_range(0, 250, include_min=False)),
        "email": pap.Column(pl.String, [pap.Check.str_matches(r"^[^@]+@[^@]+\.org$"), pap.Check.str_length(5, 40)], nullable=True),
        "created_at": pap.Column(pl.Datetime("us"), nullable=False),
    }, strict=False)
    frame = pl.read_csv(HERE / "data" / "orders.csv", try_parse_dates=True)
    saved("polars", schema, frame, "orders.csv", full=False)
except Exception as error:
    print("polars:", type(error).__name__, error)
