"""Records what Great Expectations answers to a table of small cases.

Needs great_expectations and pandas. Writes validate.json beside this file:

    python make_validate.py
"""

import json
import logging
import os
import pathlib

os.environ["GX_ANALYTICS_ENABLED"] = "false"
logging.disable(logging.CRITICAL)

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

INT, FLOAT, TEXT = "int", "float", "text"

# name, type, values, our expectation, GX's class and arguments
CASES = []


def case(name, kind, values, ours, theirs, **kwargs):
    CASES.append((name, kind, values, ours, theirs, kwargs))


ten = list(range(10))
thousand = list(range(10000))
nulls = [1, None, 3, None, 5]

case("range, all inside", INT, ten, {"expectation": "in_range", "min": 0, "max": 9},
     gxe.ExpectColumnValuesToBeBetween, min_value=0, max_value=9)
case("range, strict minimum", INT, ten, {"expectation": "in_range", "min": 0, "max": 9, "strict_min": True},
     gxe.ExpectColumnValuesToBeBetween, min_value=0, max_value=9, strict_min=True)
case("range, strict maximum", INT, ten, {"expectation": "in_range", "min": 0, "max": 9, "strict_max": True},
     gxe.ExpectColumnValuesToBeBetween, min_value=0, max_value=9, strict_max=True)
case("range, open below", INT, ten, {"expectation": "in_range", "max": 4},
     gxe.ExpectColumnValuesToBeBetween, max_value=4)
case("range, open above", INT, ten, {"expectation": "in_range", "min": 4},
     gxe.ExpectColumnValuesToBeBetween, min_value=4)
case("range, fractional bound of integers", INT, ten, {"expectation": "in_range", "min": 0.5, "max": 8.5},
     gxe.ExpectColumnValuesToBeBetween, min_value=0.5, max_value=8.5)
case("range, nulls are left out", INT, nulls, {"expectation": "in_range", "min": 1, "max": 3},
     gxe.ExpectColumnValuesToBeBetween, min_value=1, max_value=3)
case("range, floats and infinities", FLOAT, [0.1, 0.5, 1.0, "inf", "-inf", None],
     {"expectation": "in_range", "min": 0.1, "max": 1.0},
     gxe.ExpectColumnValuesToBeBetween, min_value=0.1, max_value=1.0)
case("mostly .9 at exactly .9", INT, ten, {"expectation": "in_range", "max": 8, "mostly": 0.9},
     gxe.ExpectColumnValuesToBeBetween, max_value=8, mostly=0.9)
case("mostly .9 at .8999", INT, thousand, {"expectation": "in_range", "max": 8998, "mostly": 0.9},
     gxe.ExpectColumnValuesToBeBetween, max_value=8998, mostly=0.9)
case("mostly .8999 at .8999", INT, thousand, {"expectation": "in_range", "max": 8998, "mostly": 0.8999},
     gxe.ExpectColumnValuesToBeBetween, max_value=8998, mostly=0.8999)
case("mostly is of the rows with a value", INT, [1, 2, 3, None, None, None, None, 9],
     {"expectation": "in_range", "max": 3, "mostly": 0.75},
     gxe.ExpectColumnValuesToBeBetween, max_value=3, mostly=0.75)
case("mostly 0", INT, ten, {"expectation": "in_range", "max": -1, "mostly": 0.0},
     gxe.ExpectColumnValuesToBeBetween, max_value=-1, mostly=0.0)
case("range, all null", FLOAT, [None, None], {"expectation": "in_range", "min": 0},
     gxe.ExpectColumnValuesToBeBetween, min_value=0)
case("range, no rows", FLOAT, [], {"expectation": "in_range", "min": 0},
     gxe.ExpectColumnValuesToBeBetween, min_value=0)
case("not null", INT, nulls, {"expectation": "not_null"}, gxe.ExpectColumnValuesToNotBeNull)
case("not null, mostly of all rows", INT, nulls, {"expectation": "not_null", "mostly": 0.6},
     gxe.ExpectColumnValuesToNotBeNull, mostly=0.6)
case("not null, mostly missed", INT, nulls, {"expectation": "not_null", "mostly": 0.61},
     gxe.ExpectColumnValuesToNotBeNull, mostly=0.61)
case("not null, all null", FLOAT, [None, None], {"expectation": "not_null"},
     gxe.ExpectColumnValuesToNotBeNull)
case("not null, no rows", FLOAT, [], {"expectation": "not_null"}, gxe.ExpectColumnValuesToNotBeNull)
case("unique", INT, ten, {"expectation": "unique"}, gxe.ExpectColumnValuesToBeUnique)
case("unique, every duplicate counts", INT, [1, 2, 2, 3, 3, 3], {"expectation": "unique"},
     gxe.ExpectColumnValuesToBeUnique)
case("unique, nulls are no duplicates", INT, [1, None, None, 2], {"expectation": "unique"},
     gxe.ExpectColumnValuesToBeUnique)
case("unique, the two zeros", FLOAT, [0.0, "-0.0", 1.5], {"expectation": "unique"},
     gxe.ExpectColumnValuesToBeUnique)
case("unique text, mostly", TEXT, ["a", "a", "b", "A"], {"expectation": "unique", "mostly": 0.5},
     gxe.ExpectColumnValuesToBeUnique, mostly=0.5)
case("set", TEXT, ["a", "b", None, "c"], {"expectation": "in_set", "values": ["a", "b"]},
     gxe.ExpectColumnValuesToBeInSet, value_set=["a", "b"])
case("set of numbers and floats", INT, [1, 2, 3], {"expectation": "in_set", "values": [1.0, 2]},
     gxe.ExpectColumnValuesToBeInSet, value_set=[1.0, 2])
case("set, empty", INT, [1, 2, 3], {"expectation": "in_set", "values": []},
     gxe.ExpectColumnValuesToBeInSet, value_set=[])
case("set, a number is no text", TEXT, ["1", "2"], {"expectation": "in_set", "values": [1, 2]},
     gxe.ExpectColumnValuesToBeInSet, value_set=[1, 2])
case("set, all null", TEXT, [None, None], {"expectation": "in_set", "values": ["a"]},
     gxe.ExpectColumnValuesToBeInSet, value_set=["a"])
case("regex is searched", TEXT, ["xaby", "ba", None], {"expectation": "matches_regex", "regex": "ab"},
     gxe.ExpectColumnValuesToMatchRegex, regex="ab")
case("regex, anchored", TEXT, ["ab", "xab", "abx"], {"expectation": "matches_regex", "regex": "^ab$"},
     gxe.ExpectColumnValuesToMatchRegex, regex="^ab$")
case("regex, unicode digits", TEXT, ["12", "١٢", "ab"], {"expectation": "matches_regex", "regex": r"^\d+$"},
     gxe.ExpectColumnValuesToMatchRegex, regex=r"^\d+$")
case("length in characters", TEXT, ["", "a", "éé", "日本語", "👩‍👩‍👧"],
     {"expectation": "string_length", "min": 1, "max": 3},
     gxe.ExpectColumnValueLengthsToBeBetween, min_value=1, max_value=3)
case("row count, between", INT, ten, {"expectation": "row_count", "min": 10, "max": 20},
     gxe.ExpectTableRowCountToBeBetween, min_value=10, max_value=20)
case("row count, missed", INT, ten, {"expectation": "row_count", "min": 11},
     gxe.ExpectTableRowCountToBeBetween, min_value=11)
case("row count, equal", INT, ten, {"expectation": "row_count", "min": 10, "max": 10},
     gxe.ExpectTableRowCountToEqual, value=10)

DTYPE = {INT: "Int64", FLOAT: "float64", TEXT: "object"}


def series(kind, values):
    if kind == FLOAT:
        values = [float("nan") if v is None else float(v) for v in values]
    return pd.Series(values, dtype=DTYPE[kind], name="x")


def main():
    context = gx.get_context(mode="ephemeral")
    source = context.data_sources.add_pandas("pandas")
    out = []
    for i, (name, kind, values, ours, theirs, kwargs) in enumerate(CASES):
        frame = pd.DataFrame({"x": series(kind, values)})
        batch = (source.add_dataframe_asset(f"case{i}")
                 .add_batch_definition_whole_dataframe("all")
                 .get_batch({"dataframe": frame}))
        table = ours["expectation"] == "row_count"
        expectation = theirs(**kwargs) if table else theirs(column="x", **kwargs)
        result = batch.validate(expectation, result_format="COMPLETE")
        exception = result.exception_info or {}
        if exception.get("raised_exception") or any(
                isinstance(e, dict) and e.get("raised_exception") for e in exception.values()):
            raise RuntimeError(f"{name}: {exception}")
        if not table:
            ours = {**ours, "column": "x"}
        # A long column is the naturals from 0 on.
        long = len(values) > 20
        assert not long or values == list(range(len(values)))
        r = result.result
        out.append({
            "name": name, "type": kind, "values": None if long else values,
            "naturals": len(values) if long else None,
            "ours": ours, "success": bool(result.success),
            "element_count": r.get("element_count"), "missing_count": r.get("missing_count"),
            "unexpected_count": r.get("unexpected_count"),
            "unexpected_percent": r.get("unexpected_percent"),
            "unexpected_index_list": (r.get("unexpected_index_list") or [])[:20],
        })
    path = pathlib.Path(__file__).with_name("validate.json")
    text = json.dumps({"great_expectations": gx.__version__, "pandas": pd.__version__, "cases": out},
                      indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    print(len(out), "cases")


main()
