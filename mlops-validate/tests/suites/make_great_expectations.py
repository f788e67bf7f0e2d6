"""Lets Great Expectations write two suites and judge data/orders.csv by them.

    python make_great_expectations.py

Needs great_expectations and pandas. great_expectations/everything.json holds every expectation of
the public vocabulary, great_expectations/orders.json is a suite as a team writes it: notes, meta,
severities, row conditions, suite parameters. Both files are as Great Expectations saves them.
*.expected.json beside them has the verdicts, by the expectations' order.
"""

import json
import logging
import os
import pathlib
import platform
import re
import shutil
import sys
import tempfile
import warnings

os.environ["GX_ANALYTICS_ENABLED"] = "false"
os.environ["TQDM_DISABLE"] = "1"
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.core import ExpectationSuite
from great_expectations.expectations.row_conditions import Column
from great_expectations.expectations.window import Offset, Window

HERE = pathlib.Path(__file__).parent
OUT = HERE / "great_expectations"

orders = pd.read_csv(
    HERE / "data" / "orders.csv", parse_dates=["created_at", "shipped_at"], dtype={"country": "str"}
)
root = tempfile.TemporaryDirectory()
context = gx.get_context(mode="file", project_root_dir=root.name)
batch = (
    context.data_sources.add_pandas("shop").add_dataframe_asset("orders")
    .add_batch_definition_whole_dataframe("all").get_batch({"dataframe": orders})
)


def saved(name, expectations, parameters=None, **fields):
    suite = context.suites.add(ExpectationSuite(name=name, **fields))
    for expectation in expectations:
        suite.add_expectation(expectation)
    suite.save()
    file = next(pathlib.Path(root.name).rglob(f"{name}.json"))
    shutil.copy(file, OUT / f"{name}.json")
    found = batch.validate(suite, result_format="COMPLETE", expectation_parameters=parameters)
    verdicts = {r.expectation_config.id: r for r in found.results}
    listed = []
    for entry in json.loads(file.read_text())["expectations"]:
        r = verdicts[entry["id"]]
        info = r.exception_info or {}
        parts = [info] if "raised_exception" in info else list(info.values())
        message = next((p.get("exception_message") for p in parts if p.get("raised_exception")), None)
        row = {"id": entry["id"], "type": entry["type"], "success": bool(r.success)}
        if message is not None:
            row["exception"] = str(message).splitlines()[0][:200]
        for key in ("observed_value", "element_count", "missing_count", "unexpected_count", "unexpected_index_list"):
            value = r.result.get(key)
            if value is not None:
                row[key] = json.loads(json.dumps(value, default=str))
        listed.append(row)
    report = {
        "versions": {"great_expectations": gx.__version__, "pandas": pd.__version__, "python": platform.python_version()},
        "data": "orders.csv",
        "parameters": parameters or {},
        "success": bool(found.success),
        "results": listed,
    }
    (OUT / f"{name}.expected.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(name, len(listed), "expectations,", sum(r["success"] for r in listed), "met")


c = "amount"
everything = [
    gxe.ExpectColumnValuesToBeBetween(column=c, min_value=0, max_value=300, strict_min=True, mostly=0.95),
    gxe.ExpectColumnValuesToBeInSet(column="status", value_set=["placed", "shipped", "delivered", "returned"], severity="warning"),
    gxe.ExpectColumnValuesToNotBeInSet(column="country", value_set=["XX", "ZZ"]),
    gxe.ExpectColumnValuesToBeNull(column="discount", mostly=0.5),
    gxe.ExpectColumnValuesToNotBeNull(column="email", mostly=0.9),
    gxe.ExpectColumnValuesToBeUnique(column="order_id"),
    gxe.ExpectColumnValuesToBeOfType(column="quantity", type_="int64"),
    gxe.ExpectColumnValuesToBeInTypeList(column="amount", type_list=["float64", "float32"]),
    gxe.ExpectColumnTypeToBe(column="quantity", type_="int64"),
    gxe.ExpectColumnValueLengthsToBeBetween(column="email", min_value=5, max_value=40, strict_max=True),
    gxe.ExpectColumnValueLengthsToEqual(column="country", value=2),
    gxe.ExpectColumnValuesToMatchRegex(column="email", regex=r"^[^@\s]+@[^@\s]+\.[a-z]+$", mostly=0.99),
    gxe.ExpectColumnValuesToMatchRegexList(column="country", regex_list=["^C", "^[DFIA]"], match_on="any"),
    gxe.ExpectColumnValuesToNotMatchRegex(column="status", regex=r"\s"),
    gxe.ExpectColumnValuesToNotMatchRegexList(column="email", regex_list=["@test", "^root@"]),
    gxe.ExpectColumnValuesToMatchLikePattern(column="email", like_pattern="%@%"),
    gxe.ExpectColumnValuesToMatchLikePatternList(column="email", like_pattern_list=["%@example.%", "%@%.org"], match_on="all"),
    gxe.ExpectColumnValuesToNotMatchLikePattern(column="email", like_pattern="% %"),
    gxe.ExpectColumnValuesToNotMatchLikePatternList(column="email", like_pattern_list=["% %", "%!%%"], escape="!"),
    gxe.ExpectColumnValuesToMatchStrftimeFormat(column="country", strftime_format="%Y-%m-%d", mostly=0.0),
    gxe.ExpectColumnValueZScoresToBeLessThan(column=c, threshold=3, double_sided=True),
    gxe.ExpectColumnValuesToNotBeOutliers(column=c, method="iqr", multiplier=1.5),
    gxe.ExpectColumnValuesToBeIncreasing(column="order_id", strictly=True, mostly=0.9),
    gxe.ExpectColumnValuesToBeDecreasing(column="order_id"),
    gxe.ExpectColumnValuesToBeJsonParseable(column="payload"),
    gxe.ExpectColumnValuesToBeDateutilParseable(column="payload", mostly=0.0),
    gxe.ExpectColumnValuesToMatchJsonSchema(column="payload", json_schema={"type": "object", "required": ["gift"]}, mostly=0.9),
    gxe.ExpectColumnMinToBeBetween(column=c, min_value=0),
    gxe.ExpectColumnMaxToBeBetween(column=c, min_value=100, max_value=250),
    gxe.ExpectColumnMeanToBeBetween(column=c, min_value=100, max_value=150),
    gxe.ExpectColumnMedianToBeBetween(column=c, min_value=100, max_value=150, strict_min=True, strict_max=True),
    gxe.ExpectColumnStdevToBeBetween(column=c, min_value=10, max_value=100),
    gxe.ExpectColumnSumToBeBetween(column="quantity", min_value=100, max_value=150),
    gxe.ExpectColumnQuantileValuesToBeBetween(column=c, quantile_ranges={"quantiles": [0.1, 0.5, 0.9], "value_ranges": [[0, 60], [60, 160], [None, 240]]}, allow_relative_error="linear"),
    gxe.ExpectColumnUniqueValueCountToBeBetween(column="country", min_value=3, max_value=5),
    gxe.ExpectColumnProportionOfUniqueValuesToBeBetween(column="order_id", min_value=0.95),
    gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(column="email", min_value=0.9, max_value=1.0),
    gxe.ExpectColumnMostCommonValueToBeInSet(column="country", value_set=["CH", "DE", "AT"], ties_okay=True),
    gxe.ExpectColumnDistinctValuesToBeInSet(column="country", value_set=["CH", "DE", "FR", "IT", "AT"]),
    gxe.ExpectColumnDistinctValuesToContainSet(column="country", value_set=["CH", "DE"]),
    gxe.ExpectColumnDistinctValuesToEqualSet(column="status", value_set=["placed", "shipped", "delivered", "returned", "lost"]),
    gxe.ExpectColumnKLDivergenceToBeLessThan(column="status", partition_object={"values": ["placed", "shipped", "delivered", "returned"], "weights": [0.25, 0.25, 0.25, 0.25]}, threshold=0.1, tail_weight_holdout=0.05),
    gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="shipped_at", column_B="created_at", or_equal=True, ignore_row_if="either_value_is_missing"),
    gxe.ExpectColumnPairValuesToBeEqual(column_A="order_id", column_B="customer_id", ignore_row_if="neither", mostly=0.0),
    gxe.ExpectColumnPairValuesToBeInSet(column_A="status", column_B="country", value_pairs_set=[("placed", "CH"), ("shipped", "DE")], mostly=0.1),
    gxe.ExpectCompoundColumnsToBeUnique(column_list=["order_id", "customer_id"], ignore_row_if="any_value_is_missing"),
    gxe.ExpectSelectColumnValuesToBeUniqueWithinRecord(column_list=["order_id", "customer_id", "quantity"], mostly=0.5),
    gxe.ExpectMulticolumnSumToEqual(column_list=["quantity", "customer_id"], sum_total=10, mostly=0.05),
    gxe.ExpectMulticolumnValuesToBeEqual(column_list=["quantity", "customer_id"], mostly=0.05),
    gxe.ExpectColumnToExist(column="payload", column_index=10),
    gxe.ExpectTableColumnCountToEqual(value=11),
    gxe.ExpectTableColumnCountToBeBetween(min_value=10, max_value=12),
    gxe.ExpectTableColumnsToMatchOrderedList(column_list=list(orders.columns)),
    gxe.ExpectTableColumnsToMatchSet(column_set=["order_id", "amount"], exact_match=False),
    gxe.ExpectTableRowCountToEqual(value=30),
    gxe.ExpectTableRowCountToBeBetween(min_value=1, max_value=30, strict_max=True),
    gxe.ExpectTableRowCountToEqualOtherTable(other_table_name="orders_yesterday"),
    gxe.UnexpectedRowsExpectation(unexpected_rows_query="SELECT * FROM {batch} WHERE amount < 0", description="no negative amount"),
    gxe.ExpectQueryResultsToMatchComparison(base_query="SELECT COUNT(*) FROM {batch}", comparison_data_source_name="archive", comparison_query="SELECT COUNT(*) FROM orders", mostly=1.0),
]
saved("everything", everything)

suite = [
    gxe.ExpectTableRowCountToBeBetween(min_value={"$PARAMETER": "min_rows"}, max_value={"$PARAMETER": "max_rows"}, severity="critical",
                                       meta={"owner": "data-platform"}, notes="A day has **30** orders; fewer means that an import broke."),
    gxe.ExpectTableColumnsToMatchSet(column_set=list(orders.columns), exact_match=True),
    gxe.ExpectColumnValuesToNotBeNull(column="order_id", description="the key is never missing"),
    gxe.ExpectColumnValuesToBeUnique(column="order_id", severity="critical", notes=["seen in March", "ticket 17"]),
    gxe.ExpectColumnValuesToNotBeNull(column="email", mostly=0.95, severity="warning"),
    gxe.ExpectColumnValuesToMatchRegex(column="email", regex=r"^\S+@\S+\.\w{2,}$", mostly=0.9, severity="info"),
    gxe.ExpectColumnValuesToBeBetween(column="amount", min_value=0, max_value=1000, strict_min=True, severity="critical",
                                      row_condition=Column("status") != "returned"),
    gxe.ExpectColumnValuesToBeBetween(column="discount", min_value=0.0, max_value=0.5,
                                      row_condition=(Column("quantity") >= 2) & Column("discount").is_not_null()),
    gxe.ExpectColumnValuesToNotBeNull(column="shipped_at", row_condition=Column("status").is_in(["shipped", "delivered"]), severity="warning"),
    gxe.ExpectColumnValuesToBeNull(column="shipped_at", row_condition='status == "placed"', condition_parser="pandas"),
    gxe.ExpectColumnValuesToBeInSet(column="country", value_set=["CH", "DE", "FR", "IT", "AT"],
                                    row_condition=(Column("status") == "placed") | (Column("quantity") > 5)),
    gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="shipped_at", column_B="created_at", ignore_row_if="either_value_is_missing",
                                                meta={"rule": {"id": "SHIP-2", "since": 2023}}),
    gxe.ExpectColumnMeanToBeBetween(column="amount", min_value={"$PARAMETER": "amount_low"}, max_value={"$PARAMETER": "amount_high"}, severity="warning",
                                    windows=[Window(constraint_fn="mean", parameter_name="amount_low", range=7, offset=Offset(positive=0.1, negative=0.1), strict=False)]),
    gxe.ExpectColumnMaxToBeBetween(column="created_at", min_value=pd.Timestamp("2024-03-01").to_pydatetime()),
    gxe.ExpectColumnQuantileValuesToBeBetween(column="quantity", quantile_ranges={"quantiles": [0.05, 0.95], "value_ranges": [[1, 1], [6, 7]]}),
    gxe.ExpectCompoundColumnsToBeUnique(column_list=["customer_id", "created_at"]),
]
saved(
    "orders", suite,
    parameters={"min_rows": 25, "max_rows": 40, "amount_low": 80, "amount_high": 160},
    meta={"team": "shop", "reviewed": "2024-03-10"},
    notes="Gate of the daily order import.",
    suite_parameters={"min_rows": 25, "max_rows": 40},
)
