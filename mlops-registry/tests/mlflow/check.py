"""What Python's own MLflow makes of what Rust wrote, as one line of JSON on the standard output.

    check.py read URL RUN            a run, the history of its metrics, digests of its artifacts
    check.py runs URL                every run of every experiment, the history of its metrics
    check.py registered URL MODEL    a registered model, its versions, aliases, files
    check.py onnx FILE               write a linear ONNX model, y = 2 a + 3 b + 0.5
    check.py load URL MODEL_URI      load a model with pyfunc (with ONNX) or read its MLmodel
    check.py migrate MLRUNS DATABASE import mlruns/ and read it back
    check.py write MLRUNS            write an mlruns/ with MLflow's file store
"""

import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")

import mlflow
from mlflow import MlflowClient


def shown(value):
    return "NaN" if math.isnan(value) else repr(value)


def files(directory):
    found = {}
    for base, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(base, name)
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            found[os.path.relpath(path, directory).replace(os.sep, "/")] = digest
    return found


def run_as_dict(client, run_id, artifacts=True):
    run = client.get_run(run_id)
    history = {
        key: [[m.step, m.timestamp, shown(m.value)] for m in client.get_metric_history(run_id, key)]
        for key in run.data.metrics
    }
    out = {
        "name": run.info.run_name,
        "status": run.info.status,
        "start": run.info.start_time,
        "end": run.info.end_time,
        "stage": run.info.lifecycle_stage,
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": {key: sorted(points) for key, points in history.items()},
        "inputs": [
            [i.dataset.name, i.dataset.digest, {t.key: t.value for t in i.tags}]
            for i in run.inputs.dataset_inputs
        ],
    }
    if artifacts:
        # Old clients ask for minutes for what is not there.
        with tempfile.TemporaryDirectory() as to:
            some = bool(client.list_artifacts(run_id))
            out["artifacts"] = files(client.download_artifacts(run_id, "", to)) if some else {}
    return out


def read(url, run_id):
    mlflow.set_tracking_uri(url)
    return run_as_dict(MlflowClient(url), run_id)


def runs(url):
    client = MlflowClient(url)
    found = {}
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], run_view_type=3):
            of_run = run_as_dict(client, run.info.run_id, artifacts=False)
            found[run.info.run_id] = {"experiment": experiment.name, **of_run}
    return found


def registered(url, name):
    mlflow.set_tracking_uri(url)
    client = MlflowClient(url)
    model = client.get_registered_model(name)
    versions = {}
    for version in client.search_model_versions(f"name='{name}'"):
        with tempfile.TemporaryDirectory() as to:
            local = mlflow.artifacts.download_artifacts(version.source, dst_path=to)
            versions[version.version] = {"tags": version.tags, "files": files(local)}
    aliases = {alias: str(version) for alias, version in model.aliases.items()}
    return {"aliases": aliases, "versions": versions}


def onnx_model(path):
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError:
        return {"onnx": None}
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    w = helper.make_tensor("w", TensorProto.FLOAT, [2, 1], [2.0, 3.0])
    b = helper.make_tensor("b", TensorProto.FLOAT, [1], [0.5])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("Add", ["xw", "b"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "linear", [x], [y], [w, b])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return {"onnx": onnx.__version__}


def load(url, uri):
    mlflow.set_tracking_uri(url)
    with tempfile.TemporaryDirectory() as to:
        local = mlflow.artifacts.download_artifacts(uri, dst_path=to)
        described = mlflow.models.Model.load(local)
        out = {"flavors": sorted(described.flavors), "created": described.utc_time_created}
        signature = described.signature
        out["inputs"] = signature.inputs.to_dict() if signature else None
    try:
        import numpy
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError:
        return out
    model = mlflow.pyfunc.load_model(uri)
    given = numpy.array([[1.0, 2.0], [0.0, 0.0]], dtype=numpy.float32)
    answer = model.predict(given)
    out["predictions"] = [float(v) for v in numpy.asarray(answer["y"]).ravel()]
    return out


def migrate(mlruns, database):
    """The import where this MLflow has one; else the file store itself."""
    uri = "sqlite:///" + database
    tool = [sys.executable, "-m", "mlflow", "migrate-filestore"]
    done = subprocess.run(
        [*tool, "--source", mlruns, "--target", uri], capture_output=True, text=True, check=False
    )
    if "No such command" in done.stderr:
        uri = mlruns
    elif done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    client = MlflowClient(uri, uri)
    out = {"migrated": uri != mlruns, "experiments": {}, "models": {}}
    for experiment in client.search_experiments():
        runs = client.search_runs([experiment.experiment_id], run_view_type=3)
        out["experiments"][experiment.name] = {
            "tags": experiment.tags,
            "runs": {r.info.run_id: run_as_dict(client, r.info.run_id) for r in runs},
        }
    for model in client.search_registered_models():
        model = client.get_registered_model(model.name)
        out["models"][model.name] = {
            "aliases": {alias: str(version) for alias, version in model.aliases.items()},
            "versions": {
                v.version: [v.run_id, v.tags, files(v.source.removeprefix("file://"))]
                for v in client.search_model_versions(f"name='{model.name}'")
            },
        }
    return out


def write(mlruns):
    from mlflow.data.pandas_dataset import from_pandas
    import pandas

    mlflow.set_tracking_uri(mlruns)
    client = MlflowClient(mlruns)
    experiment = client.create_experiment("Größe: a test", tags={"team": "risk"})
    names = {}
    for number, status in enumerate(["FINISHED", "FAILED"]):
        run = client.create_run(experiment, start_time=1000 + number, run_name=f"run {number}: yes")
        run_id = run.info.run_id
        names[f"run {number}: yes"] = run_id
        client.log_param(run_id, "depth", number)
        client.log_param(run_id, "deep/er", "line\nfeed, 'quotes' and ✓")
        client.set_tag(run_id, "note", "")
        for step, value in enumerate([0.1 + 0.2, float("nan"), float("inf"), -0.0, 5e-324]):
            client.log_metric(run_id, "val/loss", value, timestamp=step * 10, step=step)
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "x.bin")
            with open(path, "wb") as file:
                file.write(bytes(range(256)))
            client.log_artifact(run_id, path, "deep/er")
        client.set_terminated(run_id, status, end_time=2000 + number)
    with mlflow.start_run(run_id=names["run 0: yes"]):
        data = from_pandas(pandas.DataFrame({"a": [1, 2]}), name="loans", digest="0f0f")
        mlflow.log_input(data, context="training")
    client.set_terminated(names["run 0: yes"], "FINISHED", end_time=2000)
    return {"experiment": experiment, "runs": names}


COMMANDS = {
    "read": read,
    "runs": runs,
    "registered": registered,
    "onnx": onnx_model,
    "load": load,
    "migrate": migrate,
    "write": write,
}

if __name__ == "__main__":
    print("\n" + json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
