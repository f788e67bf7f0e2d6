"""Lets Soda judge data/orders.csv in DuckDB by soda/checks.yml (version 3) or soda/contract.yml (version 4).

    python make_soda.py

Needs soda-core-duckdb (3.x) or soda-duckdb (4.x); the one that is there decides which file is read.
Writes soda/checks.expected.json or soda/contract.expected.json: each check with its outcome.
"""

import json
import logging
import os
import pathlib
import tempfile
from importlib.metadata import version

os.environ["OTEL_SDK_DISABLED"] = "true"
os.environ["SODA_TELEMETRY"] = "off"

import duckdb

HERE = pathlib.Path(__file__).parent
OUT = HERE / "soda"
MAJOR = int(version("soda-core").split(".")[0])


def fill(link):
    for table in ("orders", "customers"):
        link.execute(f"CREATE TABLE {table} AS SELECT * FROM read_csv('{HERE / 'data' / table}.csv', header = true)")


def written(name, rows, **more):
    rows.sort(key=lambda r: (r["line"], r.get("table") or ""))
    for row in rows:
        if "fresh" in f"{row['name']} {row['type']}":
            row["value"] = None  # the age, and so another number every day
    report = {
        "versions": {"soda-core": version("soda-core"), "duckdb": duckdb.__version__},
        "data": ["orders.csv", "customers.csv"], **more, "checks": rows,
    }
    (OUT / name).write_text(json.dumps(report, indent=1, default=str, ensure_ascii=False) + "\n")
    outcomes = [r["outcome"] for r in rows]
    print(name, len(rows), {o: outcomes.count(o) for o in sorted(set(outcomes), key=str)})


def three():
    from soda.scan import Scan

    logging.disable(logging.CRITICAL)
    link = duckdb.connect(":memory:")
    fill(link)
    scan = Scan()
    scan.disable_telemetry()
    scan.set_scan_definition_name("orders")
    scan.set_data_source_name("shop")
    scan.add_duckdb_connection(link, data_source_name="shop")
    scan.add_sodacl_yaml_str((OUT / "checks.yml").read_text())
    scan.execute()
    rows = []
    for check in scan._checks:
        found = check.get_dict()
        place = check.check_cfg.location
        rows.append({
            "name": found["name"], "table": found.get("table"), "column": found.get("column"), "type": found.get("type"),
            "filter": found.get("filter"), "line": place.line, "outcome": found["outcome"],
            "value": (found.get("diagnostics") or {}).get("value"),
        })
    errors = sorted({str(log.message).splitlines()[0].replace(str(OUT) + os.sep, "") for log in scan._logs.logs if log.level.name == "ERROR"})
    written("checks.expected.json", rows, errors=errors)


def four():
    from soda_core.contracts import verify_contract_locally

    with tempfile.TemporaryDirectory() as scratch:
        base = pathlib.Path(scratch)
        link = duckdb.connect(str(base / "shop.db"))
        fill(link)
        link.close()
        (base / "source.yml").write_text(
            f"type: duckdb\nname: shop\nconnection:\n  database: {base / 'shop.db'}\n"
        )
        session = verify_contract_locally(
            data_source_file_path=str(base / "source.yml"), contract_file_path=str(OUT / "contract.yml"), publish=False,
        )
    rows = []
    for result in session.contract_verification_results:
        for check in result.check_results:
            about = check.check
            value = getattr(check, "threshold_value", None)
            rows.append({
                "path": about.relative_path, "qualifier": about.qualifier, "line": about.contract_file_line, "type": about.type, "column": about.column_name, "name": about.name,
                "outcome": str(getattr(check.outcome, "value", check.outcome)), "value": value,
                "threshold": str(about.threshold) if about.threshold else None,
            })
    logs = session.get_errors() if hasattr(session, "get_errors") else []
    written("contract.expected.json", rows, errors=[str(e).splitlines()[0].replace(str(OUT) + os.sep, "") for e in logs])


three() if MAJOR == 3 else four()
