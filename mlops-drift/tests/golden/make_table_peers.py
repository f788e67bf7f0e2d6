"""What the drift libraries themselves say of the same count tables: table_peers.json.

Run once with the Python of each peer; a run replaces the peer's own part of the file.
"""

import importlib.metadata
import json
from pathlib import Path

import numpy as np

TABLES = [([50, 30, 20], [20, 25, 30]), ([700, 200, 90, 10], [50, 30, 15, 5]), ([500, 480, 20], [300, 310, 0])]
values = lambda counts: np.repeat(np.arange(len(counts), dtype=float), counts)


def evidently():
    import pandas as pd
    from evidently.legacy.calculations.stattests import hellinger_distance, jensenshannon, kl_div, psi
    from evidently.legacy.core import ColumnType

    def measure(reference, current):
        r, c = [pd.Series([f"c{int(v)}" for v in values(counts)]) for counts in (reference, current)]
        of = lambda test: float(test(r, c, ColumnType.Categorical, 0.1)[0])
        out = {"js_distance_nats": of(jensenshannon._jensenshannon), "hellinger": of(hellinger_distance._hellinger_distance)}
        if all(current):
            # Its own filling of empty cells comes in otherwise.
            out |= {"psi": of(psi._psi), "kl_reference_from_current": of(kl_div._kl_div)}
        return out

    return measure


def nannyml():
    import pandas as pd
    from nannyml.drift.univariate import methods
    from nannyml.thresholds import ConstantThreshold

    def measure(reference, current):
        r, c = [pd.Series([f"c{int(v)}" for v in values(counts)]) for counts in (reference, current)]

        def of(kind):
            method = kind(chunker=None, threshold=ConstantThreshold(0, 1), computation_params=None)
            method._fit(r)
            return float(method._calculate(c))

        return {"js_distance_bits": of(methods.CategoricalJensenShannonDistance),
                "hellinger": of(methods.CategoricalHellingerDistance), "l_infinity": of(methods.LInfinityDistance)}

    return measure


def scouter_ml():
    from scouter.drift import Drifter, EqualWidthBinning, Manual, PsiDriftConfig

    def measure(reference, current):
        # As many bins of equal width as there are values.
        binning = EqualWidthBinning(Manual(num_bins=len(reference)))
        config = PsiDriftConfig(space="a", name="b", version="0.1.0", binning_strategy=binning)
        profile = Drifter().create_drift_profile(values(reference).reshape(-1, 1).copy(), config)
        drift = Drifter().compute_drift(values(current).reshape(-1, 1).copy(), profile)
        return {"psi_add_to_shares": json.loads(drift.model_dump_json())["features"]["feature_0"]}

    return measure


path = Path(__file__).with_name("table_peers.json")
found = json.loads(path.read_text()) if path.exists() else {}
for peer, load in [("evidently", evidently), ("nannyml", nannyml), ("scouter-ml", scouter_ml)]:
    try:
        version = importlib.metadata.version(peer)
    except importlib.metadata.PackageNotFoundError:
        continue
    measure = load()
    cases = [{"reference": r, "current": c, **measure(r, c)} for r, c in TABLES]
    found[peer] = {"version": version, "cases": cases}
path.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")
