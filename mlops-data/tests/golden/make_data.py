"""Golden values of the transforms from scikit-learn; prints JSON.

python make_data.py > transforms.json
"""

import json
import warnings

import numpy as np
import sklearn
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

warnings.simplefilter("ignore")
rng = np.random.default_rng(20261121)
nan = float("nan")

columns = {
    "normal": rng.normal(50.0, 12.0, 60).tolist(),
    "far_from_zero": (1e9 + rng.normal(0.0, 1.0, 60)).tolist(),
    "constant": [3.25] * 12,
    "missing": [nan if i % 4 == 1 else float(x) for i, x in enumerate(rng.integers(0, 9, 40))],
    "one_value": [nan, 7.0, nan],
    "even": [4.0, 1.0, nan, 3.0, 2.0],
}
fresh = [nan, -1.0, 0.0, 2.5, 100.0]

pipelines = {
    "standard": lambda: StandardScaler(),
    "min_max": lambda: MinMaxScaler(),
    "min_max_-1_1": lambda: MinMaxScaler((-1, 1)),
    "mean": lambda: SimpleImputer(strategy="mean"),
    "median": lambda: SimpleImputer(strategy="median"),
    "most_frequent": lambda: SimpleImputer(strategy="most_frequent"),
    "constant": lambda: SimpleImputer(strategy="constant", fill_value=-9.5),
    "mean+standard": lambda: make_pipeline(SimpleImputer(strategy="mean"), StandardScaler()),
    "median+standard": lambda: make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
    "median+min_max": lambda: make_pipeline(SimpleImputer(strategy="median"), MinMaxScaler()),
    "constant+standard": lambda: make_pipeline(
        SimpleImputer(strategy="constant", fill_value=-9.5), StandardScaler()
    ),
    "standard+mean": lambda: make_pipeline(StandardScaler(), SimpleImputer(strategy="mean")),
}


def plain(values):
    return [None if np.isnan(x) else float(x) for x in values]


numeric = []
for name, values in columns.items():
    for steps, make in pipelines.items():
        fitted = make().fit(np.array(values).reshape(-1, 1))
        numeric.append(
            {
                "column": name,
                "steps": steps,
                "values": plain(values),
                "fresh": plain(fresh),
                "transformed": plain(fitted.transform(np.array(values).reshape(-1, 1))[:, 0]),
                "fresh_transformed": plain(fitted.transform(np.array(fresh).reshape(-1, 1))[:, 0]),
            }
        )

labels = ["b", "a", "c", "b", "", "Ø", "b", "a", "d"]
seen = np.array(labels, dtype=object).reshape(-1, 1)
unseen = np.array(["a", "z", "Ø"], dtype=object).reshape(-1, 1)
one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(seen)
rare = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=3, sparse_output=False)
rare.fit(seen)
ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan).fit(seen)
categorical = {
    "labels": labels,
    "fresh": [str(x) for x in unseen[:, 0]],
    "one_hot": one_hot.transform(seen).tolist(),
    "one_hot_fresh": one_hot.transform(unseen).tolist(),
    "rare": rare.transform(seen).tolist(),
    "rare_fresh": rare.transform(unseen).tolist(),
    "ordinal": plain(ordinal.transform(seen)[:, 0]),
    "ordinal_fresh": plain(ordinal.transform(unseen)[:, 0]),
}

made_with = {"scikit-learn": sklearn.__version__, "numpy": np.__version__}
print(json.dumps({"made_with": made_with, "numeric": numeric, "categorical": categorical}))
