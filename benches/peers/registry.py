"""Tracking and versions by MLflow and by us, each on SQLite, in one run on the same disk.

    python benches/peers/registry.py --data /some/scratch --ours "cargo bench --bench registry --"

Needs mlflow (3.x, its SQLite store, in process: no server between). Each line is one piece of
work: its name, who did it, and the time of one in ms. --ours is a command that is given the
folder as its last argument (and `full`) and prints lines `name ms`; its other lines are passed
over. The work:

    run              a run is created, one after the other
    run_threads      the same from 64 threads; the time of all through their number
    metric           a single point of a metric is logged
    metric_threads   the same from 64 threads
    metric_queued    the same through a queue, flushed at the end (MLflow: synchronous=False)
    batch_1000       1,000 points of 10 metrics in one call
    batch_100000     100,000 points of 10 metrics, in calls as large as the store takes
    version          a version of a model is registered
    open             an existing store is opened
    search           of 2,000 runs (100,000 with --full) of 20 metrics, the 100 best by one metric
                     that pass a test of another and of a parameter; best of 5
    search_1000      of them, a thousand that pass one test, the latest first
    search_order     the first thousand of all by one metric
    search_many      the first 100 by one metric that pass tests of three others
    search_text      the latest 100 of those whose parameter is like a pattern

MLflow commits with SQLite's defaults, we with synchronous=EXTRA. MLflow's threads collide on
SQLite's lock and wait for each other; that is what its users have.
"""

import concurrent.futures
import pathlib
import sys
import tempfile
import time

from comparison import Times, settle, words

ask = words(__doc__, "a folder on the disk to be measured", timed=False)
ask.add_argument("--full", action="store_true", help="search 100,000 runs; MLflow takes a while to make them")
ask.add_argument("--number", type=int, default=100, help="pieces of work that are timed together")
args = ask.parse_args()
settle(args)

times = Times(args, 16, 14, digits=4)
THREADS = 64


def timed(name, number, work):
    """The time of one of so many that are done together."""
    times.best(name, "mlflow", work, 1 / number, runs=1)


def peer(folder):
    import mlflow
    from mlflow.entities import Metric, Param
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    print(f"python {sys.version.split()[0]}, mlflow {mlflow.__version__}", flush=True)
    uri = f"sqlite:///{folder}/mlflow.db"
    client = mlflow.MlflowClient(uri, uri)
    experiment = client.create_experiment("bench")
    run = client.create_run(experiment).info.run_id
    n = args.number

    def threads(work):
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(work, i) for i in range(n)]:
                done.result()

    timed("run", n, lambda: [client.create_run(experiment) for _ in range(n)])
    timed("run_threads", n, lambda: threads(lambda _: client.create_run(experiment)))
    timed("metric", n, lambda: [client.log_metric(run, "loss", 0.5, step=i) for i in range(n)])
    timed("metric_threads", n, lambda: threads(lambda i: client.log_metric(run, "loss", 0.5, step=n + i)))

    def queued():
        for waiting in [client.log_metric(run, "queued", 0.5, step=i, synchronous=False) for i in range(10 * n)]:
            waiting.wait()

    timed("metric_queued", 10 * n, queued)

    def batches(name, points, calls):
        now = int(time.time() * 1000)
        for c in range(calls):
            first = c * points
            client.log_batch(run, metrics=[Metric(f"{name}/{i * 10 // points}", 0.5, now, first + i) for i in range(points)])

    timed("batch_1000", 10, lambda: batches("batch_1000", 1000, 10))
    timed("batch_100000", 1, lambda: batches("batch_100000", 1000, 100))
    client.create_registered_model("loans")
    timed("version", n, lambda: [client.create_model_version("loans", f"s3://b/{i}", run) for i in range(n)])
    timed("open", 1, lambda: SqlAlchemyStore(uri, str(folder)))

    searched = client.create_experiment("search")
    for i in range(100_000 if args.full else 2_000):
        made = client.create_run(searched).info.run_id
        metrics = [Metric(f"m{m}", (i * 7919 + m * 104_729) % 10_007 / 10_007, 0, 0) for m in range(20)]
        client.log_batch(made, metrics=metrics, params=[Param("model", ("tree", "linear")[i % 2])])
    for name, asked, order, limit in (
        ("search", "metrics.m3 > 0.9 and params.model = 'tree'", ["metrics.m1 DESC"], 100),
        ("search_1000", "metrics.m3 > 0.5", None, 1000),
        ("search_order", "", ["metrics.m1"], 1000),
        ("search_many", "metrics.m3 > 0.5 and metrics.m4 < 0.5 and metrics.m5 >= 0.25", ["metrics.m6"], 100),
        ("search_text", "params.model LIKE 't%'", None, 100),
    ):
        def search():
            assert client.search_runs([searched], asked, order_by=order, max_results=limit)

        times.best(name, "mlflow", search, runs=5)


def main():
    args.data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.data) as folder:
        times.ours(*(["full"] if args.full else []), folder)
        try:
            peer(pathlib.Path(folder))
        except ImportError as error:
            print(f"mlflow is left out: {error}")
    times.ratios()


if __name__ == "__main__":
    main()
