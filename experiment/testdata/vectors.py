#!/usr/bin/env python3
"""Computes the test vectors of docs/assignment.md from its text alone.

It shares nothing with the Go code: xxhash64 is written out below, and only
Python's standard library is used.

    python3 vectors.py > vectors.json      writes them
    python3 vectors.py --check vectors.json    exits 1 if the file differs
"""

import json
import sys

MASK = (1 << 64) - 1
P1 = 0x9E3779B185EBCA87
P2 = 0xC2B2AE3D27D4EB4F
P3 = 0x165667B19E3779F9
P4 = 0x85EBCA77C2B2AE63
P5 = 0x27D4EB2F165667C5


def rotl(x, r):
    return ((x << r) | (x >> (64 - r))) & MASK


def mix(acc, lane):
    return rotl((acc + lane * P2) & MASK, 31) * P1 & MASK


def xxhash64(data, seed=0):
    """The 64-bit variant of the xxHash specification."""
    at, end = 0, len(data)
    if end >= 32:
        accs = [(seed + P1 + P2) & MASK, (seed + P2) & MASK, seed, (seed - P1) & MASK]
        while at + 32 <= end:
            for i in range(4):
                accs[i] = mix(accs[i], int.from_bytes(data[at : at + 8], "little"))
                at += 8
        h = (rotl(accs[0], 1) + rotl(accs[1], 7) + rotl(accs[2], 12) + rotl(accs[3], 18)) & MASK
        for acc in accs:
            h = ((h ^ mix(0, acc)) * P1 + P4) & MASK
    else:
        h = (seed + P5) & MASK
    h = (h + end) & MASK
    while at + 8 <= end:
        h ^= mix(0, int.from_bytes(data[at : at + 8], "little"))
        h = (rotl(h, 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= end:
        h ^= int.from_bytes(data[at : at + 4], "little") * P1 & MASK
        h = (rotl(h, 23) * P2 + P3) & MASK
        at += 4
    while at < end:
        h ^= data[at] * P5 & MASK
        h = rotl(h, 11) * P1 & MASK
        at += 1
    h ^= h >> 33
    h = h * P2 & MASK
    h ^= h >> 29
    h = h * P3 & MASK
    return h ^ (h >> 32)


# Published figures of xxhash64 with seed 0.
for text, figure in (("", 0xEF46DB3751D8E999), ("a", 0xD24EC4F1A98C6E5B), ("abc", 0x44BC2CF5AD770999)):
    assert xxhash64(text.encode()) == figure, text


def hashed(kind, salt, unit):
    for part in (kind, salt, unit):
        assert "\0" not in part
    return xxhash64("\0".join((kind, salt, unit)).encode("utf-8"))


def bucket(kind, salt, unit):
    return (hashed(kind, salt, unit) * 10000) >> 64


def assign(experiment, unit):
    """The arm of a unit, or why there is none."""
    own = bucket("variant", experiment.get("salt", experiment["name"]), unit)
    answer = {"arm": "", "because": "", "bucket": own}
    layer = experiment.get("layer")
    if layer:
        slot = bucket("layer", layer["name"], unit)
        if not layer["from"] * 100 <= slot < layer["to"] * 100:
            answer["because"] = "layer"
            return answer
    total = sum(arm["weight"] for arm in experiment["arms"])
    start, weights = 0, 0
    for arm in experiment["arms"]:
        weights += arm["weight"]
        end = 10000 * weights // total
        covered = (end - start) * experiment.get("coverage", 100) // 100
        if start <= own < start + covered:
            answer["arm"] = arm["name"]
            return answer
        if own < end:
            answer["because"] = "coverage"
            return answer
        start = end
    raise AssertionError("the ranges do not cover bucket %d" % own)


# Lengths around 32 bytes in all, where xxhash64 changes its way of working, and
# ids as they occur: short, numeric, a UUID, other scripts, an e-mail address.
UNITS = [
    "",
    "u1",
    "u2",
    "541312140",
    "72d76fde-8bb3-4e00-8c23-a032dfed738c",
    "사용자-42",
    "Ünï cödé 🛒",
    "ann@example.com",
    "U1",
    " u1",
    "x" * 10,
    "x" * 11,
    "x" * 12,
    "x" * 13,
    "x" * 1000,
]
# Ids whose buckets lie on the two sides of the edges that the experiments and
# holdouts below have: found by trying e0, e1, ... in turn.
EDGES = (
    ["e6782", "e201", "e13451", "e3740", "e237", "e304", "e6060", "e8714"]  # cart_coupon 0 599|600 1999|2000 4399|4400 9999
    + ["e4889", "e14194", "e19062", "e6105"]  # thirds 3332|3333 6665|6666
    + ["e2518", "e9347"]  # layer cart 4999|5000
    + ["e464", "e17510", "e3500", "e12469", "e1882"]  # holdout global-2026 0 6|7 499|500
)
SALTS = [("variant", "cart_coupon"), ("variant", "cart_coupon-2"), ("variant", ""), ("layer", "cart"), ("holdout", "global-2026")]

TWO = [{"name": "control", "weight": 20}, {"name": "treatment", "weight": 80}]
EXPERIMENTS = [
    {"name": "cart_coupon", "arms": TWO},
    {"name": "cart_coupon", "coverage": 30, "arms": TWO},
    {"name": "renamed", "salt": "cart_coupon", "arms": TWO},
    {"name": "thirds", "arms": [{"name": n, "weight": 1} for n in ("a", "b", "c")]},
    {"name": "sevenths", "coverage": 55, "arms": [{"name": n, "weight": w} for n, w in (("a", 3), ("b", 1), ("c", 3))]},
    {"name": "in_layer", "layer": {"name": "cart", "from": 0, "to": 50}, "arms": TWO},
    {"name": "in_layer_too", "coverage": 80, "layer": {"name": "cart", "from": 50, "to": 100}, "arms": TWO},
]
HOLDOUTS = [{"percent": 5, "salt": "global-2026"}, {"percent": 0.07, "salt": "global-2026"}, {"percent": 50, "salt": "global-2027"}]


def vectors():
    users = UNITS[:6] + ["u%d" % n for n in range(3, 17)] + EDGES
    return {
        "buckets": [
            {"kind": kind, "salt": salt, "unit": unit, "hash": "%016x" % hashed(kind, salt, unit), "bucket": bucket(kind, salt, unit)}
            for kind, salt in SALTS
            for unit in UNITS
        ],
        "experiments": EXPERIMENTS,
        "assignments": [
            dict({"experiment": number, "unit": unit}, **assign(e, unit)) for number, e in enumerate(EXPERIMENTS) for unit in users
        ],
        "holdouts": [
            {"holdout": h, "in": [u for u in users if bucket("holdout", h["salt"], u) < round(h["percent"] * 100)], "of": users}
            for h in HOLDOUTS
        ],
    }


def written(table):
    """JSON with one vector a line."""
    parts = []
    for name, rows in table.items():
        lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
        parts.append(' "%s": [\n%s\n ]' % (name, lines))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(args):
    text = written(vectors())
    if args[:1] == ["--check"] and len(args) == 2:
        with open(args[1], encoding="utf-8") as f:
            if f.read() != text:
                sys.exit("%s differs from what docs/assignment.md asks for" % args[1])
    elif args:
        sys.exit(__doc__)
    else:
        sys.stdout.buffer.write(text.encode("utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
