"""The digest of two rows, (1, "a") and (2, null), from its definition; prints it."""

import hashlib
import struct


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


rows = [b"\1" + struct.pack("<q", 1) + b"\1" + text("a"), b"\1" + struct.pack("<q", 2) + b"\0"]
total = sum(int.from_bytes(hashlib.sha256(row).digest(), "little") for row in rows) % 2**256
schema = b"mlops dataset 1\n" + text("n") + text("Integer") + text("t") + text("Text")
whole = schema + struct.pack("<Q", len(rows)) + total.to_bytes(32, "little")
print("sha256:" + hashlib.sha256(whole).hexdigest())
