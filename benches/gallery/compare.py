"""Side by side in one run: the most alike of many templates, found exactly, on one thread each.

`python compare.py BENCH-PROGRAM [--templates N] [--rounds N]`, called by `make bench-gallery`. Each round
asks every contender in turn for one search with the same probe; what counts is the CPU time of the thread,
the median of the rounds, and the median of the rounds' ratios. Templates and probes are random bytes from a
normal distribution, fixed by a seed: the time of an exact search does not depend on them. The program's
answers are checked against a search by numpy, the others' answers are compared with it and counted.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import faiss
import numpy as np
import usearch
from usearch.index import search

VALUES = 128
SETS = ["portable", "neon", "sse2", "avx2"]
STREAMS = ["read 1", "read 2", "read 4"]


class Facelatch:
    def __init__(self, program, templates, probes):
        self.process = subprocess.Popen(
            [program, templates, probes, str(VALUES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("the bench program has ended")
        return answer.split()


def timed(run):
    start = time.thread_time()
    row = run()
    return int(row), (time.thread_time() - start) * 1e3


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("--templates", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=21)
    arguments = arguments.parse_args()
    faiss.omp_set_num_threads(1)

    count = arguments.templates
    numbers = np.random.default_rng(7)
    raw = np.empty((count, VALUES), np.int8)
    for start in range(0, count, 50_000):
        part = numbers.standard_normal((min(50_000, count - start), VALUES), np.float32)
        raw[start : start + len(part)] = np.rint(part / np.abs(part).max(1, keepdims=True) * 127)
    # Probes are noisy copies of templates, as a probe of an enrolled person is.
    owners = numbers.integers(0, count, arguments.rounds)
    noisy = raw[owners] + numbers.standard_normal((arguments.rounds, VALUES)) * 40
    probes = np.rint(noisy / np.abs(noisy).max(1, keepdims=True) * 127).astype(np.int8)

    with tempfile.TemporaryDirectory() as folder:
        files = [str(pathlib.Path(folder) / name) for name in ("templates", "probes")]
        raw.tofile(files[0])
        probes.tofile(files[1])
        ours = Facelatch(arguments.program, *files)
        memory = int(ours.ask("memory")[0])
    usable = [name for name in SETS if ours.ask(f"{name} 0")[1] != "-"]
    best = usable[-1]

    def unit(rows):
        rows = rows.astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    flat = faiss.IndexFlatIP(VALUES)
    quantized = faiss.IndexScalarQuantizer(VALUES, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    quantized.train(unit(raw[:100_000]))
    lengths = np.empty(count, np.float32)
    for start in range(0, count, 50_000):
        part = raw[start : start + 50_000]
        lengths[start : start + len(part)] = np.linalg.norm(part.astype(np.float32), axis=1)
        flat.add(unit(part))
        quantized.add(unit(part))
    unit_probes = unit(probes)

    def most_alike(probe):
        dots = np.concatenate(
            [raw[s : s + 50_000].astype(np.float32) @ probe.astype(np.float32) for s in range(0, count, 50_000)]
        )
        return int(np.argmax(dots / lengths))

    contenders = {f"facelatch {name}": lambda n, name=name: ours.ask(f"{name} {n}") for name in usable}
    contenders |= {name: lambda n, name=name: ours.ask(name) for name in STREAMS}
    contenders |= {
        "faiss IndexFlatIP": lambda n: timed(lambda: flat.search(unit_probes[n : n + 1], 1)[1][0, 0]),
        "faiss ScalarQuantizer 8 bit": lambda n: timed(
            lambda: quantized.search(unit_probes[n : n + 1], 1)[1][0, 0]
        ),
        "usearch exact int8, cosine": lambda n: timed(
            lambda: search(raw, probes[n], 1, "cos", exact=True, threads=1).keys[0]
        ),
        "usearch exact int8, product": lambda n: timed(
            lambda: search(raw, probes[n], 1, "ip", exact=True, threads=1).keys[0]
        ),
    }
    times = {name: [] for name in contenders}
    found = {name: 0 for name in contenders}
    for n in range(arguments.rounds):
        expected = most_alike(probes[n])
        for name, run in contenders.items():
            row, ms = run(n)
            times[name].append(float(ms))
            found[name] += int(row) == expected
    ours.process.stdin.close()

    base = times[f"facelatch {best}"]
    reads = [min(times[name][n] for name in STREAMS) for n in range(arguments.rounds)]
    gigabytes = count * VALUES / 1e9
    print(f"{count:,} templates of {VALUES} values, {arguments.rounds} rounds, one thread, CPU time")
    print(f"faiss {faiss.__version__}, usearch {usearch.__version__}, numpy {np.__version__}")
    print(f"{'':32}{'median ms':>10}{'GB/s':>8}{'time / ours':>13}{'right':>9}")
    for name, values in times.items():
        ratio = statistics.median(v / b for v, b in zip(values, base))
        size = gigabytes * (4 if name == "faiss IndexFlatIP" else 1)
        median = statistics.median(values)
        right = "" if name in STREAMS else f"{found[name]}/{arguments.rounds}"
        print(f"{name:32}{median:10.2f}{size / median * 1e3:8.1f}{ratio:13.2f}{right:>9}")
    share = statistics.median(r / b for r, b in zip(reads, base))
    print(f"share of the memory bandwidth (the fastest read of each round): {100 * share:.0f} %")
    others = [n for n in contenders if n.startswith(("faiss", "usearch"))]
    fastest = min(others, key=lambda name: statistics.median(times[name]))
    ratio = statistics.median(v / b for v, b in zip(times[fastest], base))
    print(f"beside the fastest other ({fastest}): {ratio:.2f} times as fast")
    print(f"memory: {memory / (count * VALUES):.3f} of the raw size")
    if found[f"facelatch {best}"] != arguments.rounds:
        sys.exit("facelatch found another row than numpy")


if __name__ == "__main__":
    main()
