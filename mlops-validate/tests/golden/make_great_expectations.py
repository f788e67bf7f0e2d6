"""Runs Great Expectations over a table of small cases and records what it answers.

    python make_great_expectations.py great_expectations.json

Needs great_expectations, pandas, pyarrow and SQLAlchemy; the versions are recorded. A case is a
small frame, an expectation in Great Expectations' own words, and its complete result. The cases are in
great_expectations_cases.py. Every case runs on three frames of the same values: "nullable" (pandas' Int64, Float64, boolean, string),
"pyarrow" (Arrow-backed columns) and "numpy" (pandas' defaults). `result` is what the backend
named in `backend` said; a backend that said otherwise is in `others`. Expectations that pandas
refuses run on SQLite, once as it comes ("sqlite") and once with LIKE told to mind the case
("sqlite_case").

Values: null is null; a float that JSON cannot hold is one of the strings "NaN", "Infinity",
"-Infinity", "-0.0"; a decimal is a string; dates and timestamps are ISO 8601. In arguments,
{"timestamp": ...}, {"date": ...} and {"float": ...} stand for such values. `nan_is_null` lists
the backends that took a NaN for a null.
"""

import copy
import datetime as dt
import decimal
import json
import logging
import math
import os
import pathlib
import platform
import re
import sqlite3
import sys
import tempfile
import warnings

os.environ["GX_ANALYTICS_ENABLED"] = "false"
os.environ["TQDM_DISABLE"] = "1"
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")

import great_expectations as gx
import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
import pyarrow as pa
import scipy
import sqlalchemy
from great_expectations.util import camel_to_snake
from pandas.core.arrays.arrow import ArrowExtensionArray

NAN, INF = math.nan, math.inf
CASES = []
PANDAS = ("nullable", "pyarrow", "numpy")
SQL = ("sqlite", "sqlite_case")


def case(name, expectation, columns, on=PANDAS, tables=None, **kwargs):
    """columns: {name: (type, values)}; tables: further SQL tables of the same form."""
    CASES.append((name, expectation, columns, on, tables or {}, kwargs))


def i64(*v):
    return ("int64", list(v))


def f64(*v):
    return ("float64", list(v))


def s(*v):
    return ("utf8", list(v))


def b(*v):
    return ("bool", list(v))


def date(*v):
    return ("date32", [None if x is None else dt.date.fromisoformat(x) for x in v])


def ts(*v):
    return ("timestamp[us]", [None if x is None else dt.datetime.fromisoformat(x) for x in v])


def tsz(*v):
    return ("timestamp[us, UTC]", [None if x is None else dt.datetime.fromisoformat(x) for x in v])


def dec(*v):
    return ("decimal128(10, 2)", [None if x is None else decimal.Decimal(x) for x in v])


def when(text):
    return dt.datetime.fromisoformat(text)


ARROW = {
    "int64": pa.int64(), "int32": pa.int32(), "uint8": pa.uint8(), "float64": pa.float64(),
    "float32": pa.float32(), "utf8": pa.string(), "bool": pa.bool_(), "date32": pa.date32(),
    "timestamp[us]": pa.timestamp("us"), "timestamp[us, UTC]": pa.timestamp("us", tz="UTC"),
    "decimal128(10, 2)": pa.decimal128(10, 2),
}
NULLABLE = {
    "int64": "Int64", "int32": "Int32", "uint8": "UInt8", "float64": "Float64",
    "float32": "Float32", "utf8": "string", "bool": "boolean", "timestamp[us]": "datetime64[us]",
    "timestamp[us, UTC]": "datetime64[us, UTC]",
}
NUMPY = {
    "int64": "int64", "int32": "int32", "uint8": "uint8", "float64": "float64",
    "float32": "float32", "timestamp[us]": "datetime64[us]",
    "timestamp[us, UTC]": "datetime64[us, UTC]",
}


def series(kind, values, backend):
    if backend == "pyarrow":
        return pd.Series(ArrowExtensionArray(pa.array(values, ARROW[kind], from_pandas=False)))
    if backend == "nullable":
        if kind not in NULLABLE:
            return pd.Series(values, dtype="object")
        plain = [pd.NaT if v is None and "time" in kind else pd.NA if v is None else v for v in values]
        return pd.Series(plain, dtype=NULLABLE[kind])
    missing = any(v is None for v in values)
    if kind == "utf8":
        return pd.Series(values, dtype="str")
    if kind == "bool":
        return pd.Series(values, dtype="object" if missing else "bool")
    if kind in ("int64", "int32", "uint8") and missing:
        return pd.Series([NAN if v is None else v for v in values], dtype="float64")
    if kind in NUMPY:
        return pd.Series(values, dtype=NUMPY[kind])
    return pd.Series(values, dtype="object")


def frame(columns, backend):
    out = pd.DataFrame({name: series(kind, values, backend) for name, (kind, values) in columns.items()})
    return out


# Plain JSON -------------------------------------------------------------------------------------

def number(x):
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "Infinity" if x > 0 else "-Infinity"
    if x == 0 and math.copysign(1, x) < 0:
        return "-0.0"
    return x


def plain(x, tagged=False):
    if x is None or x is pd.NA or x is pd.NaT:
        return None
    if isinstance(x, (bool, np.bool_)):
        return bool(x)
    if isinstance(x, (int, np.integer)):
        return int(x)
    if isinstance(x, (float, np.floating)):
        v = number(float(x))
        return {"float": v} if tagged and isinstance(v, str) else v
    if isinstance(x, decimal.Decimal):
        return str(x)
    if isinstance(x, (pd.Timestamp, dt.datetime)):
        return {"timestamp": x.isoformat()} if tagged else x.isoformat()
    if isinstance(x, dt.date):
        return {"date": x.isoformat()} if tagged else x.isoformat()
    if isinstance(x, str):
        return x
    if isinstance(x, dict):
        return {str(k): plain(v, tagged) for k, v in x.items()}
    if isinstance(x, (set, frozenset)):
        return sorted((plain(v, tagged) for v in x), key=repr)
    if isinstance(x, (list, tuple, np.ndarray, pd.Series, pd.Index)):
        return [plain(v, tagged) for v in x]
    if hasattr(x, "dict"):
        return plain(x.dict(), tagged)
    return str(x)


def first_line(text):
    lines = [line for line in str(text).splitlines() if line.strip()]
    return lines[0][:300] if lines else ""


def raised(stage, kind, message, cause=None):
    told = {"stage": stage, "class": kind, "message": first_line(message)}
    if cause and cause != kind:
        told["cause"] = cause
    return {"success": False, "exception": told}


def judged(batch, expectation):
    try:
        found = batch.validate(expectation, result_format="COMPLETE")
    except Exception as error:
        return raised("validate", type(error).__name__, error)
    info = found.exception_info or {}
    parts = [info] if "raised_exception" in info else list(info.values())
    for part in parts:
        if part.get("raised_exception"):
            named = re.findall(r"^([A-Za-z_][\w.]*)(?::|$)", part.get("exception_traceback") or "", re.MULTILINE)
            kinds = [name.split(".")[-1] for name in named] or ["Exception"]
            return raised("validate", kinds[-1], part.get("exception_message"), kinds[0])
    result = dict(found.result)
    return {"success": bool(found.success), **{k: plain(v) for k, v in result.items() if k != "unexpected_index_query"}}


CONTEXT = gx.get_context(mode="ephemeral")
PANDAS_BATCHES = CONTEXT.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
SCRATCH = tempfile.TemporaryDirectory()
SQL_TYPES = {"int64": "INTEGER", "float64": "REAL", "utf8": "TEXT", "bool": "BOOLEAN"}
COUNTER = [0]
MINDS_CASE = [False]


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "connect")
def connected(link, _):
    if MINDS_CASE[0]:
        link.execute("PRAGMA case_sensitive_like = ON")


def sqlite_batch(tables, pragma):
    COUNTER[0] += 1
    path = pathlib.Path(SCRATCH.name) / f"{COUNTER[0]}.db"
    with sqlite3.connect(path) as link:
        for table, columns in tables.items():
            fields = ", ".join(f"{name} {SQL_TYPES[kind]}" for name, (kind, _) in columns.items())
            link.execute(f"CREATE TABLE {table} ({fields})")
            rows = list(zip(*(values for _, values in columns.values())))
            marks = ", ".join("?" * len(columns))
            link.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    link.close()
    name = f"sql{COUNTER[0]}"
    source = CONTEXT.data_sources.add_sqlite(name, connection_string=f"sqlite:///{path}")
    MINDS_CASE[0] = pragma
    asset = source.add_table_asset("frame", table_name="frame")
    return name, asset.add_batch_definition_whole_table("w").get_batch()


def run(name, kind, columns, on, tables, kwargs):
    shown = {k: (v.dict() if hasattr(v, "dict") else v) for k, v in kwargs.items()}
    recorded = {
        "name": name,
        "frame": [{"name": c, "type": t, "values": plain(v)} for c, (t, v) in columns.items()],
        "expectation": {"type": camel_to_snake(kind.__name__), "kwargs": plain(shown, tagged=True)},
    }
    if tables:
        recorded["tables"] = {
            table: [{"name": c, "type": t, "values": plain(v)} for c, (t, v) in body.items()]
            for table, body in tables.items()
        }
    answers, conflated = {}, []
    for backend in on:
        arguments = copy.deepcopy(kwargs)
        if backend in PANDAS:
            # Else pandas itself makes a null of a NaN in its nullable floats.
            pd.set_option("future.distinguish_nan_and_na", backend == "nullable")
            data = frame(columns, backend)
            nulls = sum(v is None for _, values in columns.values() for v in values)
            if int(data.isna().sum().sum()) != nulls:
                conflated.append(backend)
            batch = PANDAS_BATCHES.get_batch({"dataframe": data})
        else:
            source, batch = sqlite_batch({"frame": columns, **tables}, backend == "sqlite_case")
            if "comparison_data_source_name" in arguments:
                arguments["comparison_data_source_name"] = source
        try:
            expectation = kind(**arguments)
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            message = " / ".join(lines[1:3]) if len(lines) > 1 else first_line(error)
            answers[backend] = raised("construct", type(error).__name__, message)
            continue
        recorded["expectation"]["type"] = expectation.configuration.type
        answers[backend] = judged(batch, expectation)
    groups = {}
    for backend, answer in answers.items():
        groups.setdefault(json.dumps(answer, sort_keys=True), []).append(backend)
    ranked = sorted(groups.values(), key=lambda g: ("exception" in answers[g[0]], -len(g), on.index(g[0])))
    recorded["backend"] = ranked[0]
    recorded["result"] = answers[ranked[0][0]]
    if len(ranked) > 1:
        recorded["others"] = [{"backend": g, "result": answers[g[0]]} for g in ranked[1:]]
    if conflated:
        recorded["nan_is_null"] = conflated
    return recorded



def main(out):
    from great_expectations_cases import fill

    fill(sys.modules[__name__])
    names = [c[0] for c in CASES]
    assert len(set(names)) == len(names), sorted(n for n in names if names.count(n) > 1)
    cases = [run(*c) for c in CASES]
    covered = {c["expectation"]["type"] for c in cases}
    offered = {camel_to_snake(n) for n in dir(gxe) if n.startswith("Expect") and n != "Expectation"} | {"unexpected_rows_expectation"}
    head = {
        "versions": {
            "great_expectations": gx.__version__, "pandas": pd.__version__, "pyarrow": pa.__version__,
            "numpy": np.__version__, "scipy": scipy.__version__, "sqlalchemy": sqlalchemy.__version__,
            "sqlite": sqlite3.sqlite_version, "python": platform.python_version(),
        },
        "result_format": "COMPLETE",
        "uncovered": sorted(offered - covered),
    }
    lines = ",\n".join(json.dumps(c, ensure_ascii=False, allow_nan=False) for c in cases)
    body = json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + lines + "\n]}\n"
    pathlib.Path(out).write_text(body, encoding="utf-8")
    print(len(cases), "cases,", len(covered), "expectations, not covered:", head["uncovered"])


if __name__ == "__main__":
    main(sys.argv[1])
