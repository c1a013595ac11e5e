"""Records what ml_dtypes makes of f32 numbers in E4M3 and E5M2, for tests/it/golden_codec.rs.

    pip install numpy ml_dtypes==0.6.0
    python tests/golden/fp8_codec.py

ml_dtypes does not saturate, so what it is given is clamped to the format's range first.
The file it writes, fp8_codec.txt, has one case a line, in hexadecimal:

    decode <format> <code> <bits of the f32>
    encode <format> <bits of the f32> <scale exponent, decimal> <code>

An encode case is the code of the f32 times 2^-exponent. NaNs are written as the canonical quiet
NaN with the sign kept.
"""

import pathlib

import ml_dtypes
import numpy as np

FORMATS = {"E4M3": (ml_dtypes.float8_e4m3fn, 448.0), "E5M2": (ml_dtypes.float8_e5m2, 57344.0)}


def bits(values):
    return np.asarray(values, dtype=np.float32).view(np.uint32)


def floats(words):
    return np.asarray(words, dtype=np.uint32).view(np.float32)


def inputs(kind, largest):
    """Bits worth trying: all codes, all midpoints, the ends of everything, and a random sample."""
    codes = np.arange(256, dtype=np.uint8).view(kind).astype(np.float32)
    finite = np.unique(np.abs(codes[np.isfinite(codes)]))
    midpoints = (finite[1:] + finite[:-1]) / 2
    edges = np.concatenate([finite, midpoints, [2 * largest, np.finfo(np.float32).max]])
    near = bits(edges)[:, None] + np.array([-1, 0, 1], dtype=np.int64)
    near = np.unique(near[(near >= 0) & (near < 2**32)]).astype(np.uint32)
    special = [0, 1, 0x7FFFFF, 0x800000, 0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF]
    random = np.random.default_rng(8).integers(0, 2**31, 500, dtype=np.uint32)
    positive = np.unique(np.concatenate([near, np.array(special, np.uint32), random]))
    positive = positive[positive < 2**31]
    return np.concatenate([positive, positive | np.uint32(0x80000000)])


def encode(x, kind, largest):
    with np.errstate(invalid="ignore"):
        return np.clip(x, -largest, largest).astype(kind).view(np.uint8)


def main():
    lines = []
    for name, (kind, largest) in FORMATS.items():
        codes = np.arange(256, dtype=np.uint8)
        values = codes.view(kind).astype(np.float32)
        for code, value in zip(codes, values):
            word = int(bits(value)) if not np.isnan(value) else (int(code) & 0x80) << 24 | 0x7FC00000
            lines.append(f"decode {name} {code:02x} {word:08x}")
        words = inputs(kind, largest)
        for word, code in zip(words, encode(floats(words), kind, largest)):
            lines.append(f"encode {name} {word:08x} 0 {code:02x}")
        for exponent in (-55, -9, -1, 3, 60):
            # Products that f32 holds exactly: normal on both sides.
            some = np.random.default_rng(100 + exponent).integers(0, 2**32, 200, dtype=np.uint32)
            # Around the range of the format, where something happens.
            field = 127 + exponent + np.random.default_rng(exponent + 60).integers(-20, 20, 200)
            some = (some & np.uint32(0x807FFFFF)) | (field.astype(np.uint32) << np.uint32(23))
            scaled = floats(some).astype(np.float64) * 2.0**-exponent
            assert (scaled.astype(np.float32).astype(np.float64) == scaled).all()
            for word, code in zip(some, encode(scaled.astype(np.float32), kind, largest)):
                lines.append(f"encode {name} {word:08x} {exponent} {code:02x}")
    path = pathlib.Path(__file__).with_suffix(".txt")
    path.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} cases, ml_dtypes {ml_dtypes.__version__}, numpy {np.__version__}: {path}")


if __name__ == "__main__":
    main()
