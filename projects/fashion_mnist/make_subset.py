"""Makes the sample's IDX files from Fashion-MNIST's own (https://github.com/zalandoresearch/fashion-mnist):
the first 1,000 training and 200 test images of each of the ten classes, in their original order.

    python3 make_subset.py FOLDER_WITH_THE_FOUR_ORIGINAL_FILES
"""

import gzip
import pathlib
import struct
import sys


def read(path):
    raw = gzip.decompress(path.read_bytes())
    dims = raw[3]
    shape = struct.unpack(f">{dims}I", raw[4 : 4 + 4 * dims])
    return shape, raw[4 + 4 * dims :]


def write(path, shape, data):
    head = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    # No time stamp: the same input always gives the same file.
    path.write_bytes(gzip.compress(head + data, 9, mtime=0))


def main():
    source, here = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent
    for part, per_class in (("train", 1000), ("t10k", 200)):
        images, labels = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
        (n, height, width), pixels = read(source / images)
        _, classes = read(source / labels)
        taken, kept = [0] * 10, []
        for i in range(n):
            if taken[classes[i]] < per_class:
                taken[classes[i]] += 1
                kept.append(i)
        assert taken == [per_class] * 10, taken
        size = height * width
        write(here / images, (len(kept), height, width), b"".join(pixels[i * size : (i + 1) * size] for i in kept))
        write(here / labels, (len(kept),), bytes(classes[i] for i in kept))


main()
