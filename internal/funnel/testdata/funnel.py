#!/usr/bin/env python3
"""Computes what the funnel must come to, the plain way, with the standard library only.

It shares nothing with the Go code. It reads a CSV of events and prints JSON:

    python3 funnel.py rees46 FILE.csv.gz > rees46.json
    python3 funnel.py shop shop.csv.gz > shop.json
    python3 funnel.py make > shop.csv         makes the second file up: a shop over 80 days
"""

import csv
import gzip
import json
import random
import sys
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from fractions import Fraction

DAY = 86400


def make():
    rng = random.Random(20261127)
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    rows = []
    for u in range(260):
        t = rng.random() * 60 * DAY
        source = rng.choice(["", "ad", "ad", "mail", "search"])
        while t < 80 * DAY:
            at = t
            for step, go in (("visit", 0.9), ("search", 0.4), ("product_view", 0.8), ("add_to_cart", 0.35), ("purchase", 0.6)):
                if step == "search" and rng.random() < 0.5:
                    continue
                if rng.random() < 0.97 or step != "visit":
                    rows.append((start + timedelta(seconds=int(at)), step, u, source if rng.random() < 0.5 else "",
                                 rng.choice(["dress", "shoes", "bags"]) if step == "purchase" else ""))
                at += rng.random() * 900 * (1 + (step == "add_to_cart") * 40)
                if step != "search" and rng.random() > go:
                    break
            if rng.random() < 0.35:
                break
            t += DAY * rng.expovariate(1 / 6)
    rng.shuffle(rows)
    rows += rows[:25]  # some are told twice
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["time", "type", "user", "source", "category"])
    for at, step, u, source, category in rows:
        out.writerow([at.strftime("%Y-%m-%dT%H:%M:%SZ"), step, f"u{u}", source, category])


def read(path):
    with gzip.open(path, "rt", newline="", encoding="utf-8") as f:
        yield from csv.DictReader(f)


def quantile(xs, q):
    xs = sorted(xs)
    at = q * (len(xs) - 1)
    low = int(at)
    high = min(low + 1, len(xs) - 1)
    return xs[low] + (at - low) * (xs[high] - xs[low])


def funnel(journeys, steps):
    """steps: (name, optional). A journey is a list of (time, set of step names, source)."""
    reached = defaultdict(int)
    anyhow = defaultdict(int)
    took = defaultdict(list)
    for events in journeys:
        ahead = None
        lost = False
        for name, optional in steps:
            times = [t for t, did, _ in events if name in did]
            anyhow[name] += bool(times)
            times = [] if lost else [t for t in times if ahead is None or t >= ahead]
            if times:
                reached[name] += 1
                if ahead is not None:
                    took[name].append(min(times) - ahead)
            if not optional:
                if times:
                    ahead = min(times)
                else:
                    lost = True
    out, before = [], None
    for name, optional in steps:
        row = dict(step=name, users=reached[name], any_order=anyhow[name],
                   rate=reached[name] / reached[before] if before and reached[before] else None,
                   median_s=quantile(took[name], 0.5) if took[name] else None,
                   p90_s=quantile(took[name], 0.9) if took[name] else None)
        out.append(row)
        if not optional:
            before = name
    return out


def lapse(days_by_user, last_day):
    """Kaplan-Meier in exact fractions, by brute force over all stretches."""
    stretches = []
    for days in days_by_user.values():
        days = sorted(days)
        stretches += [(b - a, True) for a, b in zip(days, days[1:])]
        stretches.append((last_day - days[-1], False))
    survival, q = [Fraction(1)], 1
    while True:
        at_risk = sum(1 for length, _ in stretches if length >= q)
        if at_risk < 30:
            break
        back = sum(1 for length, ended in stretches if ended and length == q)
        survival.append(survival[-1] * (1 - Fraction(back, at_risk)))
        q += 1
    horizon = len(survival) - 1
    for q in range(1, horizon):
        never = survival[horizon] / survival[q]
        if never >= Fraction(9, 10):
            return dict(days=q, never_return=float(never), horizon_days=horizon, observations=len(stretches))
    return dict(days=None, horizon_days=horizon, observations=len(stretches))


def repurchase(buys):
    """buys: user -> set of (time, category)."""
    gaps = defaultdict(list)
    for rows in buys.values():
        times = sorted({t for t, _ in rows})
        gaps[""] += [(b - a) / DAY for a, b in zip(times, times[1:])]
        for category in {c for _, c in rows if c}:
            times = sorted({t for t, c in rows if c == category})
            gaps[category] += [(b - a) / DAY for a, b in zip(times, times[1:])]
    return {c: dict(intervals=len(g), median_days=quantile(g, 0.5), p25_days=quantile(g, 0.25), p75_days=quantile(g, 0.75))
            for c, g in gaps.items() if g}


def main():
    if sys.argv[1] == "make":
        return make()
    kind, path = sys.argv[1:3]
    rees = kind == "rees46"
    names = {"view": "product_view", "cart": "add_to_cart"}
    users, days, buys, n, at_most, sources = defaultdict(list), defaultdict(set), defaultdict(set), 0, 0, {}
    for row in read(path):
        if rees:
            t = datetime.strptime(row["event_time"], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=timezone.utc).timestamp()
            user, typ, source, category = row["user_id"], row["event_type"], row["brand"], row["category_code"]
            typ = names.get(typ, typ)
            did = {typ, "visit"}  # no event says visit: every event is one
        else:
            t = datetime.strptime(row["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
            user, typ, source, category = row["user"], row["type"], row["source"], row["category"]
            did = {typ}
        n += 1
        at_most = max(at_most, t)
        users[user].append((t, did, source))
        days[user].add(int(t // DAY))
        if typ == "purchase":
            buys[user].add((t, category))
    steps = [("visit", False)] + ([] if rees else [("search", True)]) + [("product_view", False), ("add_to_cart", False), ("purchase", False)]
    out = dict(events=n, users=len(users), steps=funnel(users.values(), steps), repurchase=repurchase(buys))
    weeks, fresh, back = defaultdict(list), [], []
    for events in users.values():
        parts = defaultdict(list)
        for e in events:
            when = datetime.fromtimestamp(e[0], timezone.utc)
            monday = (when - timedelta(days=when.weekday())).strftime("%Y-%m-%d")
            parts[monday].append(e)
        for i, monday in enumerate(sorted(parts)):
            weeks[monday].append(parts[monday])
            (back if i else fresh).append(parts[monday])
    out["weeks"] = {w: funnel(j, steps) for w, j in sorted(weeks.items())}
    out["new"], out["returning"] = funnel(fresh, steps), funnel(back, steps)
    if not rees:
        by = defaultdict(list)
        for events in users.values():
            # The sort is stable, as the file's order is not told apart within a second:
            # the made-up file has one source a user, so that it does not matter.
            named = [s for _, _, s in sorted(events, key=lambda e: e[0]) if s]
            by[named[0] if named else "(none)"].append(events)
        out["sources"] = {s: funnel(j, steps) for s, j in by.items()}
        out["lapse"] = lapse(days, int(at_most // DAY))
    json.dump(out, sys.stdout, indent=1)
    print()


main()
