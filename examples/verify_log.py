#!/usr/bin/env python3
"""Verifies an audit log from its export, its checkpoints and a public key, with nothing but Python.

    python3 examples/verify_log.py audit.jsonl checkpoints.txt key.pub

Written from the description of the form in docs/registry.md and from RFC 6962, 8032 and 8785, so
that nobody has to take this library's word for its own log. Exits 0 if the log is whole, 1 if it
is not, 3 if it can't be read.
"""

import base64
import hashlib
import io
import json
import math
import sys

EMPTY = hashlib.sha256().digest()


# ---- Ed25519 (RFC 8032)

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def point(data):
    """A point of the curve in extended coordinates, or None."""
    y = int.from_bytes(data, "little")
    odd, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and odd):
        return None
    x = P - x if x & 1 != odd else x
    return x, y, 1, x * y % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, p):
    out = (0, 1, 1, 0)
    while n:
        if n & 1:
            out = add(out, p)
        p, n = add(p, p), n >> 1
    return out


def same(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(key, message, signature):
    a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    small = (0, 1, 1, 0)
    if len(signature) != 64 or a is None or r is None or s >= L or same(times(8, a), small):
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    return same(times(s, BASE), add(r, times(k, a)))


# ---- canonical JSON (RFC 8785)


def number(x):
    if isinstance(x, int):
        if abs(x) > 2**53 and number(float(x)) != str(x):
            raise ValueError(f"the integer {x} is no double")
        return str(x)
    if not math.isfinite(x):
        raise ValueError("a number that is not finite")
    if x == 0:
        return "0"
    # The shortest digits that are read back as x, and where the point stands.
    sign, (digits, _, exponent) = "-" if x < 0 else "", f"{abs(x)!r}e".partition("e")
    whole, _, part = digits.partition(".")
    point_at = len(whole) + int(exponent.rstrip("e") or 0)
    digits = whole + part
    bare = digits.lstrip("0")
    point_at -= len(digits) - len(bare)
    digits = bare.rstrip("0")
    n, k = point_at, len(digits)
    if k <= n <= 21:
        return sign + digits + "0" * (n - k)
    if 0 < n <= 21:
        return sign + digits[:n] + "." + digits[n:]
    if -6 < n <= 0:
        return sign + "0." + "0" * -n + digits
    mantissa = digits[0] + ("." + digits[1:] if k > 1 else "")
    return f"{sign}{mantissa}e{'+' if n > 0 else '-'}{abs(n - 1)}"


def canonical(value):
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(canonical(key) + ":" + canonical(value[key]) for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return json.dumps(value, ensure_ascii=False)
    return number(value)


def once(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


# ---- entries


def digest(data):
    return "sha256:" + data.hex()


def opened(field):
    """The hash of a personal value, and whether the value is gone; the value must give the hash."""
    if set(field) == {"hash"}:
        return field["hash"], True
    if set(field) != {"hash", "salt", "value"}:
        raise ValueError("a personal value with other fields")
    salted = b"mlops-audit-personal-v1\0" + bytes.fromhex(field["salt"]) + field["value"].encode()
    if digest(hashlib.sha256(salted).digest()) != field["hash"]:
        raise ValueError("another value than was hashed")
    return field["hash"], False


FIELDS = {"action", "actor", "at", "detail", "personal", "previous", "seq", "subject", "version"}


def read(line):
    """An entry, its hash, and whether a personal value of it is gone."""
    entry = json.loads(line, object_pairs_hook=once)
    if set(entry) != FIELDS or entry["version"] != 1:
        raise ValueError("other fields than those of an entry")
    if canonical(entry) != line:
        raise ValueError("JSON that is not canonical")
    actor, gone = opened(entry["actor"])
    personal = {}
    for name, field in entry["personal"].items():
        personal[name], lost = opened(field)
        gone |= lost
    hashed = canonical({**entry, "actor": actor, "personal": personal})
    return entry, hashlib.sha256(b"\0" + hashed.encode()).digest(), gone


def root(leaves):
    """The Merkle tree hash of RFC 6962 over hashes of leaves."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(leaves[:half]) + root(leaves[half:])).digest()


# ---- checkpoints


def public_key(text):
    """Name, number and key of `name+number+base64`."""
    name, number, key = text.strip().split("+", 2)
    key = base64.b64decode(key, validate=True)
    told = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    if key[:1] != b"\1" or len(key) != 33 or told.hex() != number:
        raise ValueError("no public key of a log")
    return name, told, key[1:]


def checkpoints(text, name, number, key):
    """Size and root of every note; a problem for each that is none."""
    notes, start, signed_before = [], 0, False
    lines = list(io.StringIO(text, newline="\n"))
    for i, line in enumerate(lines):
        signature = line.startswith("\u2014 ")
        if signed_before and not signature:
            notes.append("".join(lines[start:i]))
            start = i + 1 if line == "\n" else i
        signed_before = signature
    if lines[start:]:
        notes.append("".join(lines[start:]))
    for note in notes:
        try:
            body, signatures = note.rsplit("\n\n", 1)
            body += "\n"
            found = 0
            for line in signatures.removesuffix("\n").split("\n"):
                who, data = line.removeprefix("\u2014 ").split(" ", 1)
                data = base64.b64decode(data, validate=True)
                if (who, data[:4]) == (name, number):
                    found += 1
                    if not signed(key, body.encode(), data[4:]):
                        raise ValueError("a signature that does not hold")
            origin, size, root_text, *_ = body.split("\n")
            if not found or origin != name or str(int(size)) != size:
                raise ValueError("no checkpoint of this key")
            yield int(size), base64.b64decode(root_text, validate=True), None
        except (ValueError, IndexError) as error:
            yield None, None, f"a checkpoint that is none: {error}"


def verify(log, notes, key_text):
    problems, leaves, gone, said = [], [], [], set()
    previous = EMPTY
    *lines, rest = log.split("\n")
    if rest:
        problems.append("no line feed at the end")
        lines.append(rest)
    for i, line in enumerate(lines):
        try:
            entry, leaf, lost = read(line)
            if type(entry["seq"]) is not int or entry["seq"] != i:
                raise ValueError(f"number {entry['seq']}")
            if previous is not None and entry["previous"] != digest(previous):
                raise ValueError("not the entry that follows the one before")
            if lost:
                gone.append(i)
            if entry["action"] == "erase":
                said.update(n for n in entry["detail"]["entries"] if n < i)
            leaves.append(leaf)
            previous = leaf
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            problems.append(f"line {i + 1}: {error}")
            leaves.append(bytes(32))
            previous = None
    problems += [f"entry {n}: a value is gone, and no entry says why" for n in gone if n not in said]
    holding = 0
    for size, signed_root, problem in checkpoints(notes, *public_key(key_text)):
        if problem:
            problems.append(problem)
        elif size > len(leaves):
            problems.append(f"the log ends after {len(leaves)} entries, signed were {size}")
        elif root(leaves[:size]) != signed_root:
            problems.append(f"the first {size} entries are not those that were signed")
        else:
            holding += 1
    if not holding:
        problems.append("no checkpoint holds")
    return len(leaves), holding, problems


def main():
    if len(sys.argv) != 4:
        print(__doc__)
        return 3
    try:
        texts = []
        for path in sys.argv[1:]:
            with open(path, encoding="utf-8", newline="") as file:
                texts.append(file.read())
        entries, holding, problems = verify(*texts)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    print(f"{entries} entries, {holding} checkpoints hold")
    for problem in problems:
        print(problem)
    print(f"NOT whole: {len(problems)} problems" if problems else "whole")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
