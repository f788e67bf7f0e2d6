"""Lets dbt parse dbt/, build it in DuckDB and run its data tests.

    python make_dbt.py

Needs dbt-core and dbt-duckdb, with dbt beside this Python. dbt_utils and dbt_expectations are not
fetched: dbt/stand_ins has their documented names and arguments with SQL of our own. Writes
dbt/expected.json: each test with its status and how many rows fail it.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version

HERE = pathlib.Path(__file__).parent
scratch = pathlib.Path(tempfile.mkdtemp())
shutil.copytree(HERE / "dbt", scratch / "dbt")
shutil.copytree(HERE / "data", scratch / "data")
dbt = pathlib.Path(sys.executable).parent / "dbt"
env = {**os.environ, "SHOP_DB": str(scratch / "shop.duckdb"), "DO_NOT_TRACK": "1"}


def run(*words, fails=False):
    done = subprocess.run([dbt, "--no-use-colors", *words, "--profiles-dir", "."], cwd=scratch / "dbt", env=env, capture_output=True, text=True)
    if done.returncode and not fails:
        sys.exit(done.stdout[-4000:])
    return done.stdout


run("deps")
parsed = run("parse", "--no-partial-parse")
run("seed")
run("run")
run("test", fails=True)
manifest = json.loads((scratch / "dbt/target/manifest.json").read_text())
results = json.loads((scratch / "dbt/target/run_results.json").read_text())["results"]
rows = []
for r in results:
    node = manifest["nodes"][r["unique_id"]]
    meta = node.get("test_metadata") or {}
    config = node["config"]
    rows.append({
        "name": node["name"],
        "file": node["original_file_path"].replace("\\", "/"),
        "test": ".".join(x for x in (meta.get("namespace"), meta.get("name")) if x) or "singular",
        "model": (node.get("attached_node") or "").split(".")[-1] or None,
        "column": node.get("column_name"),
        "config": {k: config[k] for k in ("severity", "where", "limit", "warn_if", "error_if", "fail_calc", "store_failures")},
        "status": r["status"],
        "failures": r["failures"],
    })
rows.sort(key=lambda r: (r["file"], r["model"] or "", r["name"]))
report = {
    "versions": {name: version(name) for name in ("dbt-core", "dbt-duckdb", "duckdb")},
    "data": ["orders.csv", "customers.csv"],
    "deprecations": sorted({line.split("[WARNING]")[-1].strip() for line in parsed.splitlines() if "Deprecat" in line and "WARNING" in line})[:5],
    "tests": rows,
}
(HERE / "dbt" / "expected.json").write_text(json.dumps(report, indent=1) + "\n")
shutil.rmtree(scratch)
print(len(rows), "tests:", {s: sum(r["status"] == s for r in rows) for s in ("pass", "warn", "fail", "error")})
