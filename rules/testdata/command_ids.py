#!/usr/bin/env python3
"""Computes the figures of command_id_test.go from the description of
rules.CommandID alone: the first 16 bytes of SHA-256 over rule, user, instance
key, step in decimal and id of the triggering event, each preceded by its length
in bytes as 4 bytes, big-endian.

    python3 command_ids.py
"""

import hashlib
import struct

CASES = [
    ("cart_abandoned", "u1", "k1", 0, "e1"),
    ("cart_abandoned", "u1", "", 0, "e1"),
    ("cart_abandoned", "u1", "", 12, "e1"),
    ("", "", "", 0, ""),
    ("장바구니", "사용자", "열쇠", 0, "이벤트"),
    ("r" * 200, "u" * 512, "k" * 512, 0, "e" * 256),
    ("a", "bc", "", 0, "e"),
    ("ab", "c", "", 0, "e"),
]


def command_id(rule, user, key, step, trigger):
    text = b""
    for part in (rule, user, key, str(step), trigger):
        part = part.encode()
        text += struct.pack(">I", len(part)) + part
    return hashlib.sha256(text).hexdigest()[:32]


for case in CASES:
    print(command_id(*case), [str(part)[:16] for part in case])
