#!/usr/bin/env python3
"""What examples/rees46/rules.yaml must decide over a file of the shop's events.

Written from the documents alone (docs/input.md, docs/assignment.md and the
rules' own text), with nothing but Python's standard library. It shares no code
with nudged: hashes, ids and the three rules are written out below, the plain
way. The tests hold nudged against it.

    python3 oracle.py FILE.csv[.gz] --partitions 12

prints every decision as a line of JSON, in the order in which a reader of the
whole file comes to it; the sends are those whose decision is "sent".
"""

import argparse
import csv
import gzip
import hashlib
import heapq
import itertools
import json
import re
import sys
from datetime import datetime, timedelta, timezone

MASK32 = (1 << 32) - 1
MASK64 = (1 << 64) - 1

# --- hashes -----------------------------------------------------------------


def murmur2(data):
    """MurmurHash2 with the seed of Kafka's default partitioner."""
    m = 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & MASK32
        k = (k ^ k >> 24) * m & MASK32
        h = h * m & MASK32 ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & MASK32
    h = (h ^ h >> 13) * m & MASK32
    return h ^ h >> 15


def partition_of(user, partitions):
    return (murmur2(user.encode()) & 0x7FFFFFFF) % partitions


def rotl(x, bits):
    return (x << bits | x >> 64 - bits) & MASK64


def xxhash64(data):
    """xxHash64 with seed 0."""
    p1, p2, p3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    p4, p5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5

    def turn(acc, lane):
        return rotl(acc + lane * p2 & MASK64, 31) * p1 & MASK64

    at, n = 0, len(data)
    if n >= 32:
        accs = [(p1 + p2) & MASK64, p2, 0, -p1 & MASK64]
        while n - at >= 32:
            for i in range(4):
                accs[i] = turn(accs[i], int.from_bytes(data[at : at + 8], "little"))
                at += 8
        h = sum(rotl(acc, bits) for acc, bits in zip(accs, (1, 7, 12, 18))) & MASK64
        for acc in accs:
            h = ((h ^ turn(0, acc)) * p1 + p4) & MASK64
    else:
        h = p5
    h = h + n & MASK64
    while n - at >= 8:
        h ^= turn(0, int.from_bytes(data[at : at + 8], "little"))
        h = rotl(h, 27) * p1 + p4 & MASK64
        at += 8
    if n - at >= 4:
        h ^= int.from_bytes(data[at : at + 4], "little") * p1 & MASK64
        h = rotl(h, 23) * p2 + p3 & MASK64
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ byte * p5 & MASK64, 11) * p1 & MASK64
    h = (h ^ h >> 33) * p2 & MASK64
    h = (h ^ h >> 29) * p3 & MASK64
    return h ^ h >> 32


# The examples of other specifications: a wrong constant shows here at once.
assert xxhash64(b"") == 0xEF46DB3751D8E999
assert xxhash64(b"variant\0cart_coupon\0e237") == 0x3339A94776E407E7
assert murmur2(b"21") == -973932308 & MASK32
assert murmur2(b"foobar") == -790332482 & MASK32


def arm(experiment, control_weight, user):
    """Two arms, control first; weights of 100 in all. The salt is the name."""
    bucket = xxhash64(f"variant\0{experiment}\0{user}".encode()) * 10000 >> 64
    return "control" if bucket < control_weight * 100 else "treatment"


def command_id(rule, user, instance, trigger_id):
    """The first 16 bytes of SHA-256 over the parts, each with its length before it."""
    digest = hashlib.sha256()
    for part in (rule, user, instance, "0", trigger_id):
        part = part.encode()
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.hexdigest()[:32]


# --- the file ---------------------------------------------------------------

TYPES = {"view": "product_view", "cart": "add_to_cart"}


def number_or_text(cell):
    """A cell as docs/input.md types it; None for an empty one."""
    if not cell:
        return None
    if re.fullmatch(r"-?(0|[1-9][0-9]*)", cell) and -(2**63) <= int(cell) < 2**63:
        return int(cell)
    if re.fullmatch(r"-?(0|[1-9][0-9]*)\.[0-9]+", cell) and len(cell.replace(".", "").lstrip("-0")) <= 15:
        return float(cell)
    return {"true": True, "false": False}.get(cell, cell)


def events(path, partitions):
    """The file's events in order, each with its place in the topic."""
    opener = gzip.open if path.endswith(".gz") else open
    offsets = [0] * partitions
    latest = None
    with opener(path, "rt", newline="", encoding="utf-8-sig") as f:
        rows = (row for row in csv.reader(f) if row)
        columns = next(rows)
        for n, row in enumerate(rows, 1):
            cells = dict(zip(columns, row))
            time = datetime.strptime(cells["event_time"], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=timezone.utc)
            if latest and time < latest:
                sys.exit(f"{path}: record {n} is older than the one before it; this oracle takes a file in the order of time")
            latest = time
            user = cells["user_id"]
            partition = partition_of(user, partitions)
            yield {
                "id": hashlib.sha256(b"%d:%s" % (n, "\x1f".join(row).encode())).hexdigest()[:16],
                "type": TYPES.get(cells["event_type"], cells["event_type"]),
                "user": user,
                "time": time,
                "partition": partition,
                "offset": offsets[partition],
                "product": number_or_text(cells["product_id"]),
                "category": number_or_text(cells["category_code"]),
                "price": number_or_text(cells["price"]),
            }
            offsets[partition] += 1


# --- the rules --------------------------------------------------------------

CART_WAIT = timedelta(minutes=30)
VIEWS_WINDOW = timedelta(minutes=20)
VIEWS_COOLDOWN = timedelta(hours=1)
QUIET_WAIT = timedelta(hours=1)
QUIET_COOLDOWN = timedelta(hours=24)


class User:
    def __init__(self):
        self.views = {}  # product -> times
        self.carts = {}
        self.waiting = {}  # (rule, product) -> (due, triggering event)
        self.last_send = {}  # rule -> when it last sent, or would have sent but for the control arm


class Shop:
    def __init__(self, partitions, decide):
        self.decide = decide
        self.users = {}
        self.due = [[] for _ in range(partitions)]  # heaps of (due, rule's order, number, user, key)
        self.number = itertools.count()

    def take(self, event):
        self.fire(event["partition"], event["time"])
        user = self.users.setdefault(event["user"], User())
        product = str(event["product"])

        # What is counted.
        if event["type"] == "product_view":
            user.views.setdefault(product, []).append(event["time"])
        if event["type"] == "add_to_cart":
            user.carts.setdefault(product, []).append(event["time"])

        # What ends.
        if event["type"] == "purchase":
            self.cancel(user, ("cart_not_bought", product), event)
        if event["type"] in ("add_to_cart", "purchase"):
            self.cancel(user, ("gone_quiet", ""), event)

        # What begins, in the order of the rules.
        if event["type"] == "add_to_cart":
            self.wait(user, ("cart_not_bought", product), event, CART_WAIT, order=0)
        if event["type"] == "product_view":
            self.three_views(user, product, event)
            self.wait(user, ("gone_quiet", ""), event, QUIET_WAIT, order=2)

    def three_views(self, user, product, event):
        now = event["time"]

        def recent(times):
            return sum(now - VIEWS_WINDOW < t <= now for t in times.get(product, []))

        views = recent(user.views)
        if views < 3 or recent(user.carts) > 0:
            return
        if self.cooling_down(user, "three_views", VIEWS_COOLDOWN, now):
            self.decide("cooldown", "three_views", product, event, now, now)
            return
        user.last_send["three_views"] = now
        side = arm("look_again", 50, event["user"])
        self.decide(
            "control" if side == "control" else "sent", "three_views", product, event, now, now,
            experiment="look_again", arm=side, data={"product": event["product"], "views": views},
        )

    def wait(self, user, key, event, span, order):
        """Starts an instance, or starts it anew with this event as its trigger."""
        due = event["time"] + span
        user.waiting[key] = (due, event)
        heapq.heappush(self.due[event["partition"]], (due, order, next(self.number), event["user"], key))

    def cancel(self, user, key, event):
        if key in user.waiting:
            due, trigger = user.waiting.pop(key)
            self.decide("cancelled", key[0], key[1], trigger, due, event["time"])

    def fire(self, partition, now):
        """Before an event of time t, all that is due at or before t in its partition."""
        heap = self.due[partition]
        while heap and heap[0][0] <= now:
            due, _, _, name, key = heapq.heappop(heap)
            user = self.users[name]
            if key not in user.waiting or user.waiting[key][0] != due:
                continue  # ended, or started anew
            _, trigger = user.waiting.pop(key)
            (self.cart_not_bought if key[0] == "cart_not_bought" else self.gone_quiet)(name, user, key[1], trigger, due)

    def cart_not_bought(self, name, user, product, trigger, due):
        side = arm("cart_reminder", 20, name)
        self.decide(
            "control" if side == "control" else "sent", "cart_not_bought", product, trigger, due, due,
            experiment="cart_reminder", arm=side, data={"product": trigger["product"], "price": trigger["price"]},
        )

    def gone_quiet(self, name, user, _, trigger, due):
        if self.cooling_down(user, "gone_quiet", QUIET_COOLDOWN, due):
            self.decide("cooldown", "gone_quiet", "", trigger, due, due)
            return
        user.last_send["gone_quiet"] = due
        self.decide("sent", "gone_quiet", "", trigger, due, due, data={"category": trigger["category"]})

    @staticmethod
    def cooling_down(user, rule, span, now):
        return rule in user.last_send and now - user.last_send[rule] < span


# --- what is printed --------------------------------------------------------


def rfc3339(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def print_decision(decision, rule, instance, trigger, due, fired, data=None, **assignment):
    line = {
        "command_id": command_id(rule, trigger["user"], instance, trigger["id"]),
        "decision": decision,
        "rule": rule,
        "user": trigger["user"],
        "instance": instance,
        **assignment,
        "trigger": {
            "id": trigger["id"],
            "type": trigger["type"],
            "time": rfc3339(trigger["time"]),
            "partition": trigger["partition"],
            "offset": trigger["offset"],
        },
        "due": rfc3339(due),
        "fired": rfc3339(fired),
    }
    if data is not None:
        # A value that the event lacks is left out.
        line["data"] = {name: value for name, value in data.items() if value is not None}
    print(json.dumps(line))


def main():
    args = argparse.ArgumentParser(description="What examples/rees46/rules.yaml must decide.")
    args.add_argument("file", help="CSV of the shop, plain or gzipped (.gz)")
    args.add_argument("--partitions", type=int, default=1, help="of the topic: each has a clock of its own")
    args = args.parse_args()
    shop = Shop(args.partitions, print_decision)
    for event in events(args.file, args.partitions):
        shop.take(event)


if __name__ == "__main__":
    main()
