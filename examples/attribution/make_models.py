"""The two small models that `examples/attribution.rs` explains, trained on the Adult data.

    python examples/attribution/make_models.py directory-with-adult-train.csv

needs xgboost, lightgbm and pandas; writes adult-xgboost.json and adult-lightgbm.txt beside itself. Sex
and race are not among the features.
"""

import pathlib
import sys

import lightgbm
import pandas
import xgboost

HERE = pathlib.Path(__file__).resolve().parent
FEATURES = [
    "age", "workclass", "education_num", "marital_status", "occupation", "capital_gain", "capital_loss",
    "hours_per_week",
]


def main():
    rows = pandas.read_csv(pathlib.Path(sys.argv[1]) / "adult-train.csv", skipinitialspace=True)
    x, y = rows[FEATURES].copy(), (rows["income"] == ">50K").astype(int)
    for name in x.columns:
        if not pandas.api.types.is_numeric_dtype(x[name]):
            x[name] = x[name].astype("category")
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 4, "eta": 0.3, "tree_method": "hist", "seed": 1, "nthread": 2},
        xgboost.DMatrix(x, y, enable_categorical=True),
        num_boost_round=40,
    )
    booster.save_model(HERE / "adult-xgboost.json")
    booster = lightgbm.train(
        {"objective": "binary", "num_leaves": 15, "learning_rate": 0.2, "seed": 1, "verbose": -1, "num_threads": 2,
         "deterministic": True},
        lightgbm.Dataset(x, y),
        num_boost_round=40,
    )
    booster.save_model(HERE / "adult-lightgbm.txt")
    print("xgboost", xgboost.__version__, "lightgbm", lightgbm.__version__)


if __name__ == "__main__":
    main()
