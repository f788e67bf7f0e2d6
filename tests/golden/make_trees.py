"""Golden tree models: files of the libraries' own, with margins, predictions and contributions.

    pip install xgboost lightgbm catboost scikit-learn skl2onnx onnxmltools onnxruntime shap pandas
    python tests/golden/make_trees.py            # all that is installed
    python tests/golden/make_trees.py xgboost    # one library: old versions, in an environment each
    python tests/golden/make_trees.py against    # shap against a background, of the files that are there

writes mlops-core/tests/golden/trees/: for each case the model's file and `<case>.case.json` with

    versions, file, loader
    columns        of the probe, by name; null is missing
    margin         (n_rows, n_outputs), flat
    prediction     flat, both classes of a binary model
    contribs       (n_rows, n_outputs, n_features + 1), flat, the base value last
    interactions   (some rows, n_outputs, n_features + 1, n_features + 1), flat

and for some of them `<case>.against.json` with what shap says against a background:

    rows           which of the probe
    background     columns by name
    labels         of the background's rows, then of the probe's, where there is a log-loss
    raw, probability, log_loss
                   (n_rows, n_features + 1), flat, the base value last: of the log-loss that of the
                   row's label

Data are drawn here. Deterministic; a name ends in the library's major version where that is old.
"""

import json
import math
import pathlib
import re
import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).resolve().parent
CORE = HERE.parent.parent / "mlops-core"
OUT = CORE / "tests" / "golden" / "trees"
ROWS, PROBE = 400, 15
NAMES = ["a", "b", "c", "d", "e", "f"]


def data(seed=7, missing=True, zeros=False, features=6):
    """Numbers that are f32, some missing, some zero, with ties."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=(ROWS, features)) * [1, 2, 0.5, 10, 1, 3][:features], 2)
    x = x.astype(np.float32).astype(float)
    if zeros:
        x[rng.random(x.shape) < 0.4] = 0.0
    clean = x.copy()
    if missing:
        x[rng.random(x.shape) < 0.15] = np.nan
    z = clean[:, 0] * clean[:, 1] + np.sin(3 * clean[:, 2]) + 0.2 * clean[:, 3] + rng.normal(size=ROWS) * 0.3
    return x, z


def flat(values):
    values = np.asarray(values)
    if values.dtype == np.float32:
        # As few digits as tell it from other f32.
        return [None if np.isnan(v) else float(str(v)) for v in values.ravel()]
    return [None if np.isnan(v) else float(v) for v in values.astype(float).ravel()]


def save(name, loader, file, columns, margin, prediction, versions, contribs=None, interactions=None, **more):
    case = {"versions": versions, "loader": loader, "file": file, "columns": columns}
    case |= {"margin": flat(margin), "prediction": flat(prediction)}
    if contribs is not None:
        case["contribs"] = flat(contribs)
    if interactions is not None:
        case["interactions"] = flat(interactions)
    case |= more
    text = json.dumps(case, sort_keys=True, separators=(",", ":"))
    (OUT / f"{name}.case.json").write_text(text + "\n")


def columns_of(x, names=NAMES):
    return {name: flat(x[:, j]) for j, name in enumerate(names)}


def both(p):
    p = np.asarray(p, dtype=float)
    return np.stack([1 - p, p], 1)


# ---------------------------------------------------------------------------------------- XGBoost


def make_xgboost():
    import xgboost as xgb

    old = int(xgb.__version__.split(".")[0]) < 3
    suffix = "_v" + xgb.__version__.split(".")[0] if old else ""
    versions = {"xgboost": xgb.__version__}

    # What old versions write in another way.
    again = "ubj binary multiclass poisson logitraw dart forest gblinear early_stopped aft categorical vector targets".split()

    def case(name, booster, x, prediction=None, kind="json", names=NAMES, shap=True, inter=0, limit=None, columns=None, **more):
        if old and name not in again:
            return
        file = f"xgboost_{name}{suffix}.{kind}"
        booster.save_model(OUT / file)
        probe = x if isinstance(x, xgb.DMatrix) else xgb.DMatrix(x[:PROBE], feature_names=names)
        args = {} if limit is None else {"iteration_range": (0, limit)}
        margin = booster.predict(probe, output_margin=True, **args)
        p = booster.predict(probe, **args) if prediction is None else prediction(booster.predict(probe, **args))
        contribs = booster.predict(probe, pred_contribs=True, strict_shape=True, **args) if shap else None
        few = None
        if inter:
            part = probe.slice(list(range(inter)))
            few = booster.predict(part, pred_interactions=True, strict_shape=True)
        columns = columns or columns_of(x[:PROBE], names)
        save(f"xgboost_{name}{suffix}", "xgboost", file, columns, margin, p, versions, contribs, few, **more)

    def train(x, y, rounds=8, names=NAMES, weight=None, **params):
        params = {"max_depth": 4, "eta": 0.4, "seed": 1, "nthread": 1, "tree_method": "hist"} | params
        return xgb.train(params, xgb.DMatrix(x, y, feature_names=names, weight=weight), rounds)

    x, z = data()
    positive = np.exp(z / 6)
    binary = (z > 0).astype(int)
    three = np.digitize(z, [-1, 1])
    case("regression", train(x, z), x, inter=6)
    case("ubj", train(x, binary, objective="binary:logistic", base_score=0.3), x, both, kind="ubj")
    case("binary", train(x, binary, objective="binary:logistic"), x, both, inter=4)
    case("multiclass", train(x, three, 3, objective="multi:softprob", num_class=3, num_parallel_tree=2, subsample=0.7), x, inter=2)
    case("poisson", train(x, np.round(positive), objective="count:poisson"), x)
    case("gamma", train(x, positive, objective="reg:gamma"), x)
    case("tweedie", train(x, positive, objective="reg:tweedie"), x)
    case("logitraw", train(x, binary, objective="binary:logitraw", base_score=0.3), x)
    case("hinge", train(x, binary, objective="binary:hinge"), x, both)
    case("dart", train(x, binary, 12, booster="dart", objective="binary:logistic", rate_drop=0.5), x, both)
    case("forest", train(x, z, 1, num_parallel_tree=8, subsample=0.6, colsample_bynode=0.7, eta=1), x)
    case("stump", train(x, z, 5, max_depth=1), x)
    case("deep", train(x, z, 2, max_depth=20, min_child_weight=0, gamma=0), x)
    case("exact", train(x, z, 4, tree_method="exact", max_depth=6), x)
    case("gblinear", train(x, z, 5, booster="gblinear", base_score=0.25), x, loader_of="linear")
    case("gblinear_multi", train(np.nan_to_num(x), three, 5, booster="gblinear", objective="multi:softprob", num_class=3), np.nan_to_num(x), loader_of="linear")
    case("regular", train(x, binary, objective="reg:logistic", base_score=0.7), x)
    case("pseudohuber", train(x, z, objective="reg:pseudohubererror"), x)
    case("lossguide", train(x, z, 4, grow_policy="lossguide", max_leaves=20, max_depth=0), x)
    ranked = xgb.DMatrix(x, np.clip(np.round(z / 4 + 2), 0, 4), feature_names=NAMES)
    ranked.set_group([20] * (ROWS // 20))
    case("ranking", xgb.train({"objective": "rank:ndcg", "max_depth": 3, "seed": 1, "nthread": 1}, ranked, 5), x)
    times = xgb.DMatrix(x, feature_names=NAMES)
    times.set_float_info("label_lower_bound", positive)
    times.set_float_info("label_upper_bound", np.where(binary, np.inf, positive * 2))
    case("aft", xgb.train({"objective": "survival:aft", "max_depth": 3, "nthread": 1}, times, 5), x)
    case("cox", train(x, np.where(binary, positive, -positive), objective="survival:cox"), x)
    held = xgb.DMatrix(x[300:], z[300:], feature_names=NAMES)
    stopped = xgb.train({"max_depth": 6, "eta": 0.9, "nthread": 1, "lambda": 0}, xgb.DMatrix(x[:300], z[:300], feature_names=NAMES), 30, evals=[(held, "held")], early_stopping_rounds=3, verbose_eval=False)
    case("early_stopped", stopped, x, limit=stopped.best_iteration + 1, iterations="best")
    import pandas as pd

    rng = np.random.default_rng(3)
    many = [f"k{i}" for i in range(70)]
    frame = pd.DataFrame({"a": x[:, 0], "c": pd.Categorical(rng.choice(many, ROWS), many), "n": pd.Categorical(rng.choice([10, 30, 20], ROWS), [10, 20, 30])})
    effect = rng.normal(size=70)[frame["c"].cat.codes] * 3 + frame["n"].cat.codes * np.sign(np.nan_to_num(x[:, 0]))
    frame.loc[::17, "c"] = np.nan
    for name, onehot in [("categorical", 1), ("onehot", 100)]:
        m = xgb.DMatrix(frame, effect, enable_categorical=True)
        model = xgb.train({"max_depth": 4, "tree_method": "hist", "max_cat_to_onehot": onehot, "nthread": 1}, m, 5)
        probe = frame[:PROBE]
        columns = {"a": flat(probe["a"])}
        if old:
            columns |= {k: [None if c < 0 else int(c) for c in probe[k].cat.codes] for k in ["c", "n"]}
        else:
            columns |= {"c": [None if isinstance(v, float) else v for v in probe["c"]], "n": [int(v) for v in probe["n"]]}
        case(name, model, xgb.DMatrix(probe, enable_categorical=True), columns=columns, names=list(frame), kind="json" if onehot == 1 else "ubj")
    if suffix == "_v1":
        return
    two = np.stack([z, -z * 0.5 + np.nan_to_num(x[:, 4])], 1)
    case("targets", train(x, two, 4), x)
    case("vector", train(x, two, 4, multi_strategy="multi_output_tree"), x, shap=False)
    case("vector_ubj", train(x, three, 3, objective="multi:softprob", num_class=3, multi_strategy="multi_output_tree"), x, shap=False, kind="ubj")
    case("labels", train(x, (two > 0).astype(int), 3, objective="binary:logistic"), x)
    case("quantiles", train(x, z, 4, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9]), x)
    case("absolute", train(x, z, 4, objective="reg:absoluteerror"), x)
    if not old:
        try:
            case("expectiles", train(x, z, 4, objective="reg:expectileerror", expectile_alpha=[0.1, 0.5, 0.9]), x)
        except xgb.core.XGBoostError:
            print("no expectiles in", xgb.__version__)


# --------------------------------------------------------------------------------------- LightGBM


def make_lightgbm():
    import lightgbm as lgb
    import pandas as pd

    versions = {"lightgbm": lgb.__version__}
    base = {"verbosity": -1, "num_threads": 1, "seed": 1, "deterministic": True, "num_leaves": 12, "min_data_in_leaf": 5}

    def case(name, model, x, columns=None, prediction=None, kinds=("txt",), contribs=True):
        probe = x[:PROBE]
        margin = model.predict(probe, raw_score=True)
        p = model.predict(probe)
        p = p if prediction is None else prediction(p)
        phi = model.predict(probe, pred_contrib=True) if contribs else None
        if model.params.get("boosting") == "rf":
            # Of forests LightGBM averages predictions, but neither raw scores nor contributions.
            margin, phi = margin / model.num_trees(), phi / model.num_trees()
        for kind in kinds:
            file = f"lightgbm_{name}.{kind}"
            if kind == "txt":
                model.save_model(OUT / file)
                # What was asked of the training is of no use here.
                text = (OUT / file).read_text()
                (OUT / file).write_text(re.sub(r"\nparameters:.*?end of parameters\n", "\n", text, flags=re.S))
            else:
                dump = model.dump_model()
                (OUT / file).write_text(json.dumps(dump, separators=(",", ":")))
            suffix = "" if kind == "txt" else "_dump"
            save(f"lightgbm_{name}{suffix}", "lightgbm", file, columns or columns_of(probe), margin, p, versions, phi if kind == "txt" else None)

    def train(x, y, rounds=8, group=None, categorical="auto", **params):
        d = lgb.Dataset(x, y, group=group, feature_name=NAMES if isinstance(x, np.ndarray) else "auto", categorical_feature=categorical, params=base | params)
        return lgb.train(base | params, d, rounds)

    x, z = data()
    positive = np.exp(z / 6)
    binary = (z > 0).astype(int)
    three = np.digitize(z, [-1, 1])
    case("regression", train(x, z), x)
    case("sqrt", train(x, positive, reg_sqrt=True), x)
    case("binary", train(x, binary, objective="binary", sigmoid=2.0), x, prediction=both)
    case("multiclass", train(x, three, 4, objective="multiclass", num_class=3), x)
    case("ova", train(x, three, 4, objective="multiclassova", num_class=3, sigmoid=1.5), x)
    for name in ["poisson", "gamma", "tweedie", "quantile", "huber", "mape", "regression_l1"]:
        case(name, train(x, positive, 4, objective=name), x)
    case("cross_entropy", train(x, 1 / (1 + np.exp(-z)), objective="cross_entropy"), x)
    case("cross_entropy_lambda", train(x, 1 / (1 + np.exp(-z)), objective="cross_entropy_lambda"), x)
    relevance = np.clip(np.round(z / 4 + 2), 0, 4)
    case("lambdarank", train(x, relevance, 4, group=[20] * (ROWS // 20), objective="lambdarank"), x)
    case("dart", train(x, z, 12, boosting="dart", drop_rate=0.5), x)
    rf = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
    case("rf", train(x, z, 5, **rf), x)
    case("rf_binary", train(x, binary, 5, objective="binary", **rf), x, prediction=both)
    xz, zz = data(11, zeros=True)
    case("zero_as_missing", train(xz, zz, zero_as_missing=True), xz, kinds=("txt", "json"))
    case("zeros", train(xz, zz), xz)
    case("no_missing", train(xz, zz, use_missing=False), xz, kinds=("txt", "json"))
    case("deep", train(x, z, 2, num_leaves=80, min_data_in_leaf=1, max_depth=20), x)
    case("stump", train(x, z, 4, num_leaves=2), x)
    case("constant", train(x, np.ones(ROWS) * 3, 2), x)
    rng = np.random.default_rng(3)
    codes = np.column_stack([x[:, 0], rng.integers(0, 70, ROWS), rng.integers(0, 4, ROWS)])
    effect = rng.normal(size=70)[codes[:, 1].astype(int)] * 3 + codes[:, 2] * np.sign(np.nan_to_num(x[:, 0]))
    codes[::17, 1] = np.nan
    d = lgb.Dataset(codes, effect, feature_name=["a", "c", "n"], categorical_feature=[1, 2], params=base)
    odd = codes.copy()
    odd[:4, 1] = [-1, 500, 0, 31]
    columns = {k: flat(odd[:PROBE, j]) for j, k in enumerate(["a", "c", "n"])}
    case("categorical", lgb.train(base | {"min_data_per_group": 5, "cat_smooth": 1, "max_cat_to_onehot": 2}, d, 5), odd, columns, kinds=("txt", "json"))
    many = [f"k{i}" for i in range(70)]
    frame = pd.DataFrame({"a": x[:, 0], "c": pd.Categorical([many[int(c)] if c == c else None for c in codes[:, 1]], many), "n": pd.Categorical((codes[:, 2] * 10 + 10).astype(int))})
    probe = frame[:PROBE]
    columns = {"a": flat(probe["a"]), "c": [v if isinstance(v, str) else None for v in probe["c"]], "n": [int(v) for v in probe["n"]]}
    case("pandas", train(frame, effect, 5, min_data_per_group=5), frame, columns, kinds=("txt", "json"))
    linear = train(np.nan_to_num(x), z, 2, linear_tree=True, num_leaves=3)
    linear.save_model(OUT / "lightgbm_linear.refused.txt")


# --------------------------------------------------------------------------------------- CatBoost


def make_catboost():
    import catboost

    versions = {"catboost": catboost.__version__}
    x, z = data()

    def case(name, model, y, x, prediction):
        model.fit(x, y)
        file = f"catboost_{name}.json"
        model.save_model(str(OUT / file), format="json", pool=catboost.Pool(x, y))
        j = json.loads((OUT / file).read_text())
        (OUT / file).write_text(json.dumps(j, separators=(",", ":")))
        probe = catboost.Pool(x[:PROBE], feature_names=NAMES)
        phi = model.get_feature_importance(probe, type="ShapValues")
        margin = model.predict(x[:PROBE], prediction_type="RawFormulaVal")
        save(f"catboost_{name}", "catboost", file, columns_of(x[:PROBE]), margin, prediction(model), versions, phi)

    def of(kind, **params):
        base = {"iterations": 6, "depth": 4, "verbose": False, "random_seed": 1, "thread_count": 1, "allow_writing_files": False}
        return kind(**(base | params))

    import functools

    regressor = functools.partial(of, catboost.CatBoostRegressor)
    classifier = functools.partial(of, catboost.CatBoostClassifier)
    import pandas as pd

    frame = pd.DataFrame(x, columns=NAMES)
    plain = lambda m: m.predict(frame[:PROBE])
    p = lambda m: m.predict_proba(frame[:PROBE])
    case("regression", regressor(), z, frame_to(frame), plain)
    case("nan_max", regressor(nan_mode="Max"), z, frame_to(frame), plain)
    case("poisson", regressor(loss_function="Poisson"), np.round(np.exp(z / 6)), frame_to(frame), plain)
    case("binary", classifier(), np.where(z > 0, "yes", "no"), frame_to(frame), p)
    case("multiclass", classifier(depth=3), np.array(["x", "y", "z"])[np.digitize(z, [-1, 1])], frame_to(frame), p)
    case("ova", classifier(depth=3, loss_function="MultiClassOneVsAll"), np.digitize(z, [-1, 1]), frame_to(frame), p)
    case("targets", regressor(loss_function="MultiRMSE", depth=2), np.stack([z, -z], 1), frame_to(frame), plain)


class frame_to:
    """A frame that is sliced as an array and trained on as a frame."""

    def __new__(cls, frame):
        class Both(type(frame)):
            @property
            def _constructor(self):
                return Both

            def __getitem__(self, key):
                if isinstance(key, tuple):
                    return self.to_numpy()[key]
                return super().__getitem__(key)

        return Both(frame)


# ----------------------------------------------------------------------------------- scikit-learn


def exporter():
    """The function that the documentation of the loader shows."""
    text = (CORE / "src" / "model" / "trees" / "sklearn.rs").read_text()
    code = re.search(r"//! ```python\n(.*?)//! ```", text, re.S).group(1)
    space = {}
    exec("\n".join(line[4:] for line in code.splitlines()), space)
    return space["export_trees"]


def sklearn_models():
    from sklearn import ensemble, tree

    x, z = data(missing=False)
    gaps, zg = data()
    three = np.array(["p", "q", "r"])[np.digitize(z, [-1, 1])]
    two = np.where(z > 0, "yes", "no")
    few = {"n_estimators": 5, "max_depth": 4, "random_state": 1}
    yield "rf_classifier", ensemble.RandomForestClassifier(**few).fit(x, three), x
    yield "rf_binary", ensemble.RandomForestClassifier(**few).fit(x, two), x
    yield "rf_regressor", ensemble.RandomForestRegressor(**few).fit(x, z), x
    yield "rf_missing", ensemble.RandomForestRegressor(**few).fit(gaps, zg), gaps
    yield "rf_targets", ensemble.RandomForestRegressor(**few).fit(x, np.stack([z, -z], 1)), x
    yield "extra_trees", ensemble.ExtraTreesRegressor(**few).fit(x, z), x
    yield "gb_regressor", ensemble.GradientBoostingRegressor(**few).fit(x, z), x
    yield "gb_binary", ensemble.GradientBoostingClassifier(**few).fit(x, two), x
    yield "gb_multiclass", ensemble.GradientBoostingClassifier(**few).fit(x, three), x
    hist = {"max_iter": 6, "max_leaf_nodes": 8, "random_state": 1}
    yield "hist_regressor", ensemble.HistGradientBoostingRegressor(**hist).fit(gaps, zg), gaps
    yield "hist_binary", ensemble.HistGradientBoostingClassifier(**hist).fit(gaps, np.where(zg > 0, "yes", "no")), gaps
    yield "hist_multiclass", ensemble.HistGradientBoostingClassifier(**hist).fit(x, three), x
    yield "hist_poisson", ensemble.HistGradientBoostingRegressor(loss="poisson", **hist).fit(x, np.exp(z / 6)), x
    yield "tree", tree.DecisionTreeClassifier(max_depth=20, random_state=1).fit(x, three), x


def make_sklearn():
    import sklearn

    versions = {"scikit-learn": sklearn.__version__}
    try:
        import shap

        versions["shap"] = shap.__version__
    except ImportError:
        shap = None
        print("no shap: no contributions of scikit-learn")
    export = exporter()
    for name, model, x in sklearn_models():
        file = f"sklearn_{name}.json"
        (OUT / file).write_text(json.dumps(export(model, NAMES)))
        probe = x[:PROBE]
        p = model.predict_proba(probe) if hasattr(model, "predict_proba") else model.predict(probe)
        margin = p
        if hasattr(model, "decision_function"):
            margin = model.decision_function(probe)
        elif name == "hist_poisson":
            margin = np.log(p)
        contribs = None
        if shap is not None:
            try:
                explainer = shap.TreeExplainer(model)
                phi = explainer.shap_values(probe, check_additivity=False)
                phi = phi[:, :, None] if phi.ndim == 2 else phi
                base = np.broadcast_to(np.ravel(explainer.expected_value), (len(probe), phi.shape[2]))
                contribs = np.concatenate([np.moveaxis(phi, 1, 2), base[:, :, None]], 2)
            except Exception as e:
                print("shap does not explain", name, type(e).__name__, str(e)[:100])
        save(f"sklearn_{name}", "sklearn", file, columns_of(probe), margin, p, versions, contribs)


# ------------------------------------------------------------------------------------------- ONNX


def make_onnx():
    import onnxruntime
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    versions = {"skl2onnx": skl2onnx.__version__, "onnxruntime": onnxruntime.__version__}

    def case(name, onnx, x):
        file = f"onnx_{name}.onnx"
        (OUT / file).write_bytes(onnx.SerializeToString())
        session = onnxruntime.InferenceSession(onnx.SerializeToString())
        out = session.run(None, {session.get_inputs()[0].name: x[:PROBE].astype(np.float32)})
        p = out[-1]
        if isinstance(p, list):
            p = [[row[k] for k in sorted(row)] for row in p]
        columns = columns_of(x[:PROBE], [f"f{j}" for j in range(6)])
        case = {"versions": versions, "loader": "onnx", "file": file, "columns": columns, "prediction": flat(p)}
        (OUT / f"onnx_{name}.case.json").write_text(json.dumps(case, sort_keys=True, separators=(",", ":")) + "\n")

    for name, model, x in sklearn_models():
        if name not in ("rf_classifier", "rf_binary", "rf_regressor", "rf_targets", "extra_trees", "gb_regressor", "gb_binary", "gb_multiclass", "hist_regressor", "hist_binary", "tree"):
            continue
        options = {id(model): {"zipmap": name == "rf_binary"}} if hasattr(model, "predict_proba") else None
        try:
            case(name, skl2onnx.to_onnx(model, x[:1].astype(np.float32), options=options), x)
        except Exception as e:
            print("onnx", name, type(e).__name__, str(e)[:200])
    try:
        import lightgbm as lgb
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType as Float

        x, z = data()
        kinds = [("float", Float([None, 6]))]
        small = {"n_estimators": 4, "num_leaves": 6, "verbosity": -1, "n_jobs": 1}
        for name, model in [("lightgbm", lgb.LGBMRegressor(**small).fit(x, z)), ("lightgbm_binary", lgb.LGBMClassifier(**small).fit(x, z > 0))]:
            case(name, onnxmltools.convert_lightgbm(model, initial_types=kinds, zipmap=False), x)
    except Exception as e:
        print("onnxmltools", type(e).__name__, str(e)[:200])


# ----------------------------------------------------------------------- shap against a background


def by_definition(predict, row, background):
    """Interventional Shapley values, from all coalitions."""
    n = len(row)
    values = {}
    for s in range(2**n):
        mixed = background.copy()
        known = [j for j in range(n) if s >> j & 1]
        mixed[:, known] = row[known]
        values[s] = predict(mixed).mean()
    weight = [1 / (n * math.comb(n - 1, k)) for k in range(n)]
    without = lambda j: (s for s in values if not s >> j & 1)
    return [sum(weight[s.bit_count()] * (values[s | 1 << j] - values[s]) for s in without(j)) for j in range(n)]


def make_against():
    import shap
    import xgboost as xgb

    versions = {"shap": shap.__version__, "xgboost": xgb.__version__}
    x, z = data()
    full, _ = data(missing=False)
    binary = (z > 0).astype(int)
    of_sklearn = {name: (model, x) for name, model, x in sklearn_models()}

    def booster(name):
        model = xgb.Booster()
        model.load_model(OUT / f"xgboost_{name}.json")
        return model, x

    held = slice(100, 125)
    for name, (model, x), outputs in [
        ("xgboost_regression", booster("regression"), ["raw"]),
        ("xgboost_binary", booster("binary"), ["raw", "probability", "log_loss"]),
        ("xgboost_deep", booster("deep"), ["raw"]),
        ("sklearn_rf_regressor", of_sklearn["rf_regressor"], ["raw"]),
        ("sklearn_gb_binary", of_sklearn["gb_binary"], ["raw", "probability", "log_loss"]),
        ("sklearn_hist_binary", of_sklearn["hist_binary"], ["raw", "probability", "log_loss"]),
    ]:
        few = list(range(8))
        if name.startswith("sklearn"):
            # shap rounds thresholds to f32, and what lies between goes another way.
            predict = getattr(model, "decision_function", model.predict)
            phi = shap.TreeExplainer(model, x[held], model_output="raw").shap_values(x[few], check_additivity=False)
            few = [i for i in few if np.allclose(phi[i], by_definition(predict, x[i], x[held]), atol=1e-6)]
            assert len(few) > 5, few
        case = {"versions": versions, "rows": few, "background": columns_of(x[held])}
        if "log_loss" in outputs:
            case["labels"] = [int(y) for y in [*binary[held], *binary[few]]]
        for output in outputs:
            explainer = shap.TreeExplainer(model, x[held], feature_perturbation="interventional", model_output=output)
            # Of some of scikit-learn's classifiers shap does not know what they minimise.
            explainer.model.objective = explainer.model.objective or "binary_crossentropy"
            y = binary[few] if output == "log_loss" else None
            phi = explainer.shap_values(x[few], y=y, check_additivity=False)
            base = explainer.expected_value
            base = [base(label) for label in y] if callable(base) else np.broadcast_to(np.ravel(base), len(phi))
            case[output] = flat(np.column_stack([phi, base]))
        text = json.dumps(case, sort_keys=True, separators=(",", ":"))
        (OUT / f"{name}.against.json").write_text(text + "\n")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    makers = {"xgboost": make_xgboost, "lightgbm": make_lightgbm, "catboost": make_catboost, "sklearn": make_sklearn, "onnx": make_onnx, "against": make_against}
    for name in sys.argv[1:] or makers:
        makers[name]()


if __name__ == "__main__":
    main()
