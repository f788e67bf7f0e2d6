"""What the comparisons with peers share: the words of the command, the clock, and the lines.

Each is a program of its own, beside this file: it says what the peers do, and this how it is timed
and printed. Whatever reads the number of threads must be imported after `settle`.
"""

import argparse
import logging
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version

# What takes longer in seconds runs once.
PATIENCE = 10.0


def words(doc, data="a folder for the data", timed=True, scaled=False, interpreters=False):
    """The words that a comparison is asked with."""
    ask = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--data", type=pathlib.Path, required=True, help=data)
    ask.add_argument("--ours", help="a command that prints lines `name ms`")
    if interpreters:
        ask.add_argument("--python", action="append", default=[], help="another interpreter with peers; may be repeated")
        ask.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    if scaled:
        ask.add_argument("--scale", type=float, default=1.0, help="of the number of rows")
    if timed:
        ask.add_argument("--threads", type=int, default=2)
        ask.add_argument("--only", help="names that begin so")
        ask.add_argument("--runs", type=int, default=3)
    return ask


def settle(args):
    """As many threads as were asked for, no chatter, and a folder for each scale of the data."""
    os.environ.update({
        "DO_NOT_TRACK": "1", "TQDM_DISABLE": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "GX_ANALYTICS_ENABLED": "false",
        "NML_DISABLE_USAGE_LOGGING": "1", "MLFLOW_DISABLE_TELEMETRY": "true",
    })
    if hasattr(args, "threads"):
        os.environ.update({f"{name}_THREADS": str(args.threads) for name in (
            "OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMBA_NUM", "RAYON_NUM", "POLARS_MAX")})
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    if getattr(args, "scale", 1) != 1 and not getattr(args, "as_peer", False):
        args.data /= f"scale_{args.scale:g}"


class Times:
    """The times as they come in, a line for each piece of work and who did it."""

    def __init__(self, args, name=18, who=24, digits=1):
        self.args, self.times = args, {}
        self.label = lambda work, by: f"{work:{name}}  {by:{who}}"
        self.digits = digits

    def wanted(self, *names):
        only = getattr(self.args, "only", None)
        return not only or any(name.startswith(only) for name in names)

    def report(self, name, who, ms):
        self.times[name, who] = min(ms, self.times.get((name, who), ms))
        print(f"{self.label(name, who)}  {ms:12.{self.digits}f} ms", flush=True)

    def failed(self, name, who, error):
        said = (str(error).splitlines() or [""])[0]
        print(f"{self.label(name, who)}  failed: {type(error).__name__}: {said[:120]}", flush=True)

    def best(self, name, who, work, scale=1.0, runs=None):
        """The least of the runs; a peer that fails is a line of its own."""
        if not self.wanted(name):
            return
        least = float("inf")
        try:
            for _ in range(runs or self.args.runs):
                start = time.perf_counter()
                work()
                least = min(least, time.perf_counter() - start)
                if least > PATIENCE:
                    break
        except Exception as error:
            return self.failed(name, who, error)
        self.report(name, who, least * 1e3 * scale)

    def ours(self, *more):
        """Runs our command on the data and takes its lines `name ms`; the others are passed over."""
        if self.args.ours:
            for line in self._lines([*shlex.split(self.args.ours), *map(str, more or [self.args.data])]):
                try:
                    name, ms = line.split()[0], float(line.split()[1])
                except (IndexError, ValueError):
                    continue
                if self.wanted(name):
                    self.report(name, "mlops", ms)

    def peers(self, peers):
        """Measures the peers that are installed here: of each distribution a function."""
        for name, peer in peers.items():
            try:
                print(f"# {name} {version(name)}, python {sys.version.split()[0]}", flush=True)
                peer()
            except PackageNotFoundError:
                continue
            except Exception as error:
                print(f"{name} is left out: {type(error).__name__}: {error}", flush=True)

    def interpreters(self, program, *more):
        """The peers of this interpreter and of the others, each in a process of its own."""
        args = self.args
        given = ["--as-peer", "--data", str(args.data), "--threads", str(args.threads), "--runs", str(args.runs), *map(str, more)]
        given += ["--only", args.only] if args.only else []
        for python in [sys.executable, *args.python]:
            for line in self._lines([python, program, *given]):
                if line.endswith(" ms") and self.wanted(line.split()[0]):
                    self.report(*re.split(r" {2,}", line)[:2], float(line.split()[-2]))
                else:
                    print(line)

    def ratios(self, also=lambda name: []):
        """How many times as long as we took, with the same work of ours and what else is like it."""
        print("\nHow many times as long as we took:")
        for (name, who), ms in self.times.items():
            for own in [name, *also(name)] if who != "mlops" else []:
                if (own, "mlops") in self.times:
                    print(f"{self.label(own, who)}  {ms / self.times[own, 'mlops']:12.1f}")

    @staticmethod
    def _lines(command):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{command[0]} ended with {done.returncode}", file=sys.stderr)
        return done.stdout.splitlines()
