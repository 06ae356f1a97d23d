# SPDX-License-Identifier: Apache-2.0
"""Names that all have one hash under std::hash of libstdc++, whatever its seed: MurmurHash64A, in which two
neighbouring words of 8 bytes can be exchanged for two others without a trace."""

import itertools
import random

MASK, FACTOR, SEED = (1 << 64) - 1, 0xc6a4a7935bd1e995, 0xc70f6907
INVERSE, TOP = pow(FACTOR, -1, 1 << 64), 1 << 63


def mixed(word):
    word = word * FACTOR & MASK
    return (word ^ word >> 47) * FACTOR & MASK


def unmixed(word):
    word = word * INVERSE & MASK
    return (word ^ word >> 47) * INVERSE & MASK  # the shift is over half of the width: its own inverse


def std_hash(text):
    """std::hash<std::string> on 64 bits, of texts whose size is a multiple of 8."""
    hashed = SEED ^ len(text) * FACTOR & MASK
    for at in range(0, len(text), 8):
        hashed = (hashed ^ mixed(int.from_bytes(text[at:at + 8], "little"))) * FACTOR & MASK
    hashed = (hashed ^ hashed >> 47) * FACTOR & MASK
    return hashed ^ hashed >> 47


# The other word is this one plus that, byte by byte from the lowest, with carries.
STEP = (INVERSE << 16 ^ TOP) & MASK


def follows(state, byte):
    """What may come behind that byte in a text of letters of one, two or three bytes in UTF-8; None: it may not."""
    if state:
        return state - 1 if 0x80 <= byte <= 0xbf else None
    if 0x61 <= byte <= 0x7a or 0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x5a:
        return 0
    return 1 if 0xc3 <= byte <= 0xd3 else 2 if 0xe4 <= byte <= 0xe9 else None


def twins(chance):
    """Two words of 8 bytes whose mixtures differ in the highest bit only, which no multiplication moves. They are
    apart by STEP, or by its opposite, so that bytes are chosen from the lowest on."""
    while True:
        found = search(chance, b"", b"", 0, 0, 0)
        if mixed(int.from_bytes(found[0], "little")) ^ mixed(int.from_bytes(found[1], "little")) == TOP:
            return found


def search(chance, word, other, state, other_state, carry):
    at = len(word)
    if at == 8:
        return (word, other) if state == other_state == 0 else None
    for byte in chance.sample(range(256), 256):
        total = byte + (STEP >> 8 * at & 0xff) + carry
        after, other_after = follows(state, byte), follows(other_state, total & 0xff)
        if after is None or other_after is None:
            continue
        if found := search(chance, word + bytes([byte]), other + bytes([total & 0xff]), after, other_after, total >> 8):
            return found
    return None


def colliding_names(count, seed=1):
    """So many names of one size, a power of two of them, with one std::hash."""
    chance = random.Random(seed)
    pairs = []
    while 1 << len(pairs) < count:
        (a, a_twin), (b, b_twin) = twins(chance), twins(chance)
        pairs.append((a + b, a_twin + b_twin))
    return [b"".join(parts) for parts in itertools.islice(itertools.product(*pairs), count)]
