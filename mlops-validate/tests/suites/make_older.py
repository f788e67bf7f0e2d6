"""Lets older releases write what is still about: a suite of Great Expectations 0.18, a schema of pandera 0.20.

    python make_older.py

Whichever of the two is installed writes its file: great_expectations/orders_0_18.json or
pandera/orders_0_20.yaml (and .json), each with its *.expected.json on data/orders.csv.
"""

import json
import logging
import os
import pathlib
import platform
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version

os.environ["GX_ANALYTICS_ENABLED"] = "false"
os.environ["TQDM_DISABLE"] = "1"
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

# The folders beside this script have the peers' names, and would be taken for them.
sys.path.pop(0)

import pandas as pd

HERE = pathlib.Path(__file__).parent
orders = pd.read_csv(HERE / "data" / "orders.csv", parse_dates=["created_at", "shipped_at"])


def great_expectations():
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    batch = context.sources.add_pandas("shop").add_dataframe_asset("orders").build_batch_request(dataframe=orders)
    v = context.get_validator(batch_request=batch, create_expectation_suite_with_name="orders")
    v.expect_table_row_count_to_be_between(min_value=10, max_value=100)
    v.expect_table_columns_to_match_ordered_list(list(orders.columns))
    v.expect_column_values_to_not_be_null("order_id", meta={"notes": {"format": "markdown", "content": ["the **key**"]}})
    v.expect_column_values_to_be_unique("order_id")
    v.expect_column_values_to_not_be_null("email", mostly=0.9)
    v.expect_column_values_to_be_in_set("status", ["placed", "shipped", "delivered", "returned"], mostly=0.95)
    v.expect_column_values_to_be_between("amount", min_value=0, max_value=500, strict_min=True)
    v.expect_column_values_to_be_between("amount", max_value=250, row_condition='status == "placed"', condition_parser="pandas")
    v.expect_column_values_to_match_regex("email", r"^[^@ ]+@[^@ ]+$")
    v.expect_column_value_lengths_to_equal("country", 2)
    v.expect_column_mean_to_be_between("amount", 100, 150)
    v.expect_column_quantile_values_to_be_between("quantity", {"quantiles": [0.1, 0.9], "value_ranges": [[1, 2], [5, 7]]})
    v.expect_column_pair_values_a_to_be_greater_than_b("shipped_at", "created_at", ignore_row_if="either_value_is_missing")
    v.expect_compound_columns_to_be_unique(["order_id", "customer_id"])
    v.expect_column_kl_divergence_to_be_less_than("country", {"values": ["CH", "DE", "AT"], "weights": [0.2, 0.4, 0.4]}, 0.1)
    v.expect_multicolumn_sum_to_equal(["quantity", "customer_id"], 10, mostly=0.05)
    suite = v.get_expectation_suite(discard_failed_expectations=False)
    suite.evaluation_parameters = {"max_rows": 100}
    (HERE / "great_expectations" / "orders_0_18.json").write_text(json.dumps(suite.to_json_dict(), indent=2) + "\n")
    found = v.validate(expectation_suite=suite, result_format="SUMMARY").to_json_dict()
    rows = [{"type": r["expectation_config"]["expectation_type"], "success": r["success"],
             "unexpected_count": r["result"].get("unexpected_count"), "exception": r["exception_info"].get("exception_message")} for r in found["results"]]
    report = {"versions": {"great_expectations": gx.__version__, "pandas": pd.__version__, "python": platform.python_version()}, "data": "orders.csv", "success": found["success"], "results": rows}
    (HERE / "great_expectations" / "orders_0_18.expected.json").write_text(json.dumps(report, indent=1) + "\n")
    print(len(rows), sum(r["success"] for r in rows), [r for r in rows if r["exception"]])


def pandera():
    import pandera as pa

    schema = pa.DataFrameSchema({
        "order_id": pa.Column("int64", pa.Check.gt(1000), unique=True),
        "status": pa.Column("object", [pa.Check.isin(["placed", "shipped", "delivered", "returned"]), pa.Check.str_length(3, 9)]),
        "amount": pa.Column("float64", [pa.Check.in_range(0, 250, include_min=False), pa.Check.ge(0)]),
        "email": pa.Column("object", pa.Check.str_matches(r"^[^@ ]+@[^@ ]+$"), nullable=True),
        "created_at": pa.Column("datetime64[ns]", pa.Check.ge(pd.Timestamp("2024-03-01")), nullable=False),
        "^ship.*": pa.Column("datetime64[ns]", nullable=True, regex=True, required=False),
    }, index=pa.Index("int64", pa.Check.ge(0)), unique=["order_id", "amount"], coerce=True, strict=False)
    (HERE / "pandera" / "orders_0_20.yaml").write_text(schema.to_yaml())
    (HERE / "pandera" / "orders_0_20.json").write_text(json.dumps(json.loads(schema.to_json()), indent=1) + "\n")
    found = []
    try:
        schema.validate(orders, lazy=True)
    except pa.errors.SchemaErrors as error:
        for (column, check), group in error.failure_cases.groupby(["column", "check"], sort=False):
            found.append({"column": column, "check": str(check), "failures": len(group), "rows": [int(i) for i in group["index"].dropna()]})
    report = {"versions": {"pandera": pa.__version__, "pandas": pd.__version__, "python": platform.python_version()}, "data": "orders.csv", "success": not found, "failures": found}
    (HERE / "pandera" / "orders_0_20.expected.json").write_text(json.dumps(report, indent=1) + "\n")
    print(found)


try:
    version("great_expectations")
    great_expectations()
except PackageNotFoundError:
    pandera()
