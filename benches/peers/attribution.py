"""Attributions by the peers and by us, of the same models and rows in the same run.

    python benches/peers/attribution.py --data /some/scratch --ours "cargo bench --bench attribution --"

Needs numpy, xgboost and lightgbm; shap and woodelf-explainer are measured where they are installed,
and fasttreeshap by a --python of its own, whose numpy is old enough. The models are trained once in
--data and stay there. --ours is a command that is given the data's folder as its last argument and
prints lines `name ms`; its other lines are passed over. All on --threads threads. Work, by model
(xgb_d4, xgb_d6, xgb_d16: XGBoost, 500, 500 and 100 trees; xgb_d10: 200; xgb_many: 5,000 of depth 4;
lgb_d6, lgb_d10: LightGBM, as many leaves as such depths have):

    path/MODEL            path-dependent values of 10,000 rows of 30 features
    path_f32/MODEL        ours in single precision, held against the same of the peers
    path_avx2/MODEL       ours without AVX-512 where there is, and path_portable without any such
    interventional/MODEL  of 10,000 rows against 10,000 of background, tables not counted
    tables/MODEL          making the tables of that background (ours)
    small/MODEL           of 200 rows against 100 of background
    interactions/MODEL    of 200 rows
    predict/MODEL         margins of 10,000 rows
    row/MODEL             path-dependent values of one row

The clock runs from the batch to the finished values, additivity checked (ours); a peer that takes
longer than ten seconds runs once, and what takes us milliseconds is measured before the peers and
after them, for a machine is not as fast at every moment: the less counts. --rows measures the slow peers on fewer rows and scales up.
"""

from importlib.metadata import version

from comparison import Times, settle, words

ask = words(__doc__, "a folder for models and rows", interpreters=True)
ask.add_argument("--models", default="xgb_d6,xgb_d10,lgb_d6", help="which models, by comma")
ask.add_argument("--rows", type=int, default=10_000, help="of the slow peers")
ask.add_argument("--make", action="store_true", help="only train the models")
args = ask.parse_args()
settle(args)

import numpy as np

ROWS, FEATURES = 10_000, 30
MODELS = {
    "xgb_d4": (500, 4), "xgb_d6": (500, 6), "xgb_d10": (200, 10), "xgb_d16": (100, 16), "xgb_many": (5_000, 4),
    "lgb_d6": (500, 6), "lgb_d10": (200, 10),
}
times = Times(args, 24, 32, digits=3)
best = times.best


# Models and rows ----------------------------------------------------------------------------------

def drawn(seed):
    """Ten features that matter, in pairs and by thresholds, and twenty that do so little."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(ROWS, FEATURES)).astype(np.float32)
    z = sum(x[:, j] * x[:, j + 1] + np.sin(2 * x[:, j]) for j in range(0, 10, 2)) + 0.1 * x[:, 10:].sum(axis=1)
    return x, (z + draw.normal(size=ROWS) > 0).astype(int)


def path(name):
    return args.data / f"{name}.{'json' if name.startswith('xgb') else 'txt'}"


def make():
    args.data.mkdir(parents=True, exist_ok=True)
    x, y = drawn(1)
    for side, seed in (("background", 1), ("rows", 2)):
        # Column after column of 64-bit floats.
        np.ascontiguousarray(drawn(seed)[0].T).astype("<f8").tofile(args.data / f"{side}.f64")
    for name in args.models.split(","):
        trees, depth = MODELS[name]
        if path(name).exists():
            continue
        if name.startswith("xgb"):
            import xgboost as xgb

            params = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.1, "nthread": args.threads, "seed": 1}
            xgb.train(params, xgb.DMatrix(x, y), trees).save_model(path(name))
        else:
            import lightgbm as lgb

            params = {
                "objective": "binary", "num_leaves": 2**depth, "max_depth": depth + 4, "min_data_in_leaf": 10,
                "num_threads": args.threads, "seed": 1, "verbosity": -1,
            }
            lgb.train(params, lgb.Dataset(x, y), trees).save_model(path(name))


# The peers ----------------------------------------------------------------------------------------

def boosters():
    """XGBoost and LightGBM themselves."""
    x, few = drawn(2)[0], min(args.rows, ROWS)
    for name in args.models.split(","):
        if name.startswith("xgb"):
            import xgboost as xgb

            model = xgb.Booster({"nthread": args.threads}, model_file=path(name))
            who = f"xgboost {xgb.__version__}"
            best(f"predict/{name}", who, lambda: model.inplace_predict(x, predict_type="margin"))
            best(f"row/{name}", who, lambda: model.predict(xgb.DMatrix(x[:1]), pred_contribs=True))
            best(f"path/{name}", who, lambda: model.predict(xgb.DMatrix(x[:few]), pred_contribs=True), ROWS / few)
            best(f"interactions/{name}", who, lambda: model.predict(xgb.DMatrix(x[:200]), pred_interactions=True))
        else:
            import lightgbm as lgb

            model = lgb.Booster(model_file=path(name))
            who, threads = f"lightgbm {lgb.__version__}", {"num_threads": args.threads}
            best(f"predict/{name}", who, lambda: model.predict(x, raw_score=True, **threads))
            best(f"row/{name}", who, lambda: model.predict(x[:1], pred_contrib=True, **threads))
            best(f"path/{name}", who, lambda: model.predict(x[:few], pred_contrib=True, **threads), ROWS / few)


def loaded(name):
    if name.startswith("xgb"):
        import xgboost as xgb

        return xgb.Booster({"nthread": args.threads}, model_file=path(name))
    import lightgbm as lgb

    return lgb.Booster(model_file=path(name))


def shap_peer():
    import shap

    (x, _), (background, _), few = drawn(2), drawn(1), min(args.rows, ROWS)
    for name in args.models.split(","):
        who = f"shap {shap.__version__}"
        against = shap.TreeExplainer(loaded(name), background[:100], feature_perturbation="interventional")
        best(f"small/{name}", who, lambda: against.shap_values(x[:200], check_additivity=False))
        # It calls the booster itself, if it knows its kind: this is its own path-dependent code.
        own = shap.TreeExplainer(loaded(name), feature_perturbation="tree_path_dependent")
        own.model.model_type = "internal"
        best(f"path/{name}", who, lambda: own.shap_values(x[:few], check_additivity=False), ROWS / few)


def woodelf_peer():
    import pandas as pd
    from woodelf import WoodelfExplainer

    (x, _), (background, _) = drawn(2), drawn(1)
    names = [f"f{j}" for j in range(FEATURES)]
    rows, others = pd.DataFrame(x, columns=names), pd.DataFrame(background, columns=names)
    who = f"woodelf {version('woodelf_explainer')}"
    for name in args.models.split(","):
        best(f"path/{name}", who, lambda: WoodelfExplainer(loaded(name)).shap_values(rows))
        best(f"interventional/{name}", who, lambda: WoodelfExplainer(loaded(name), others).shap_values(rows))


def fasttreeshap_peer():
    import fasttreeshap

    x, few = drawn(2)[0], min(args.rows, ROWS)
    for name in args.models.split(","):
        explainer = fasttreeshap.TreeExplainer(loaded(name), algorithm="auto", n_jobs=args.threads)
        best(f"path/{name}", "fasttreeshap", lambda: explainer.shap_values(x[:few], check_additivity=False), ROWS / few)


PEERS = {
    "xgboost": boosters, "shap": shap_peer, "woodelf_explainer": woodelf_peer, "fasttreeshap": fasttreeshap_peer,
}


# The run ------------------------------------------------------------------------------------------

def main():
    if args.as_peer:
        return times.peers(PEERS)
    make()
    if args.make:
        return
    print(f"{ROWS:,} x {FEATURES} rows, {args.threads} threads, best of {args.runs}")
    times.ours()
    times.interpreters(__file__, "--models", args.models, "--rows", args.rows)
    times.ours()
    times.ratios(lambda name: [name.replace("path/", "path_f32/")] if name.startswith("path/") else [])


if __name__ == "__main__":
    main()
