"""Float32 products over M, N and K, primes among them: where does speed fall off a cliff?

Usage: python Benchmarks/sweep.py [--library PATH] [--csv FILE] [--plot FILE.png] [--judge FILE]

Every product of three of EXTENTS up to LARGEST multiply-adds is timed on one thread through the C
API (sweep.c), with rhs as it is and packed before. Its share is the least time that the machine
allows over its own: the longer of its operations at the best rate of the sweep, and of reading lhs
and rhs and writing dst once, timed beside it. The neighbours of a shape are the shapes one step up
or down the list in one extent. A shape falls short
  - when its share is below 0.7 of that of a neighbour one step down: growing a product must not
    lose what it had (shares, for a product that leaves a cache is slower at best);
  - when it takes longer than a neighbour one step up by more than 1 / 0.7: less work, no more time.
What falls short is timed again with its neighbour, the best time counts. Writes a CSV, plots it
where matplotlib is installed, and exits 1 if anything falls short. --judge takes the CSV of an
earlier run instead of measuring.
"""

import argparse
import csv
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXTENTS = [1, 2, 3, 5, 8, 13, 17, 31, 64, 97, 128, 251, 512, 1021, 2048, 4096]
LARGEST = 2**28
BAR = 0.7
PASSES = 3  # in another order each, for a disturbance of the machine lasts
FORMS = ["plain", "packed"]

Shape = tuple[int, int, int]
# Microseconds: as it is, packed, and of moving the memory.
Times = dict[Shape, tuple[float, float, float]]


def all_shapes() -> list[Shape]:
    return [(m, n, k) for m in EXTENTS for n in EXTENTS for k in EXTENTS if m * n * k <= LARGEST]


def measure(program: str, library: str, shapes: list[Shape], times: Times) -> None:
    """Times the shapes into `times`; of two times of a shape the better stays."""
    lines = "".join(f"{m} {n} {k}\n" for m, n, k in shapes)
    result = subprocess.run([program, library], input=lines, text=True, check=True,
                            stdout=subprocess.PIPE)  # fmt: skip
    for line in result.stdout.splitlines():
        fields = line.split()
        shape = (int(fields[0]), int(fields[1]), int(fields[2]))
        best = [min(pair) for pair in zip(map(float, fields[3:]), times.get(shape, [1e30] * 3),
                                          strict=True)]  # fmt: skip
        times[shape] = (best[0], best[1], best[2])


def shares(times: Times) -> dict[tuple[Shape, int], float]:
    """Of the least time that the machine allows, per shape and form."""
    peak = max(m * n * k / min(us[:2]) for (m, n, k), us in times.items())
    return {((m, n, k), form): max(m * n * k / peak, us[2]) / us[form]
            for (m, n, k), us in times.items() for form in range(2)}  # fmt: skip


def neighbours(shape: Shape, step: int) -> list[Shape]:
    found = []
    for axis in range(3):
        at = EXTENTS.index(shape[axis]) + step
        if 0 <= at < len(EXTENTS):
            found.append((*shape[:axis], EXTENTS[at], *shape[axis + 1 :]))
    return found


def short_of(times: Times) -> list[tuple[float, Shape, int, Shape]]:
    """What falls short, worst first: the ratio, the shape, its form and the neighbour."""
    share = shares(times)
    found = []
    for (shape, form), own in share.items():
        ratios = [(own / share[down, form], down) for down in neighbours(shape, -1)]
        ratios += [(times[up][form] / times[shape][form], up)
                   for up in neighbours(shape, 1) if up in times]  # fmt: skip
        ratio, neighbour = min(ratios)
        if ratio < BAR:
            found.append((ratio, shape, form, neighbour))
    return sorted(found)


def text(shape: Shape) -> str:
    return "x".join(map(str, shape))


def rate(shape: Shape, us: float) -> float:
    """GFLOP/s."""
    return 2 * shape[0] * shape[1] * shape[2] / us / 1e3


def plot(times: Times, path: str) -> None:
    """A picture per form: each shape's share over its multiply-adds, what falls short in red."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    share, short = shares(times), {(shape, form) for _, shape, form, _ in short_of(times)}
    figure, panes = plt.subplots(1, 2, figsize=(12, 4.5), sharey=True)
    for form, pane in enumerate(panes):
        colours = {"an extent of 1": "tab:orange", "smallest extent 2 to 13": "tab:green",
                   "larger": "tab:blue", "falls short": "tab:red"}  # fmt: skip
        groups: dict[str, list[tuple[float, float]]] = {name: [] for name in colours}
        for (shape, which), value in share.items():
            if which != form:
                continue
            least = min(shape)
            name = ("falls short" if (shape, form) in short else
                    "an extent of 1" if least == 1 else
                    "smallest extent 2 to 13" if least <= 13 else "larger")  # fmt: skip
            groups[name].append((shape[0] * shape[1] * shape[2], value))
        for name, points in groups.items():
            pane.scatter(*zip(*points or [(float("nan"),) * 2], strict=True), s=5,
                         color=colours[name], label=f"{name} ({len(points)})")  # fmt: skip
        pane.set(xscale="log", xlabel="M x N x K", title=f"rhs {['as it is', 'packed'][form]}")
        pane.legend(fontsize=8)
    panes[0].set_ylabel("share of the machine's limit")
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", default=str(ROOT / ".build-dist" / "lib" / "libmartlet.so"))
    parser.add_argument("--csv", default="sweep.csv")
    parser.add_argument("--plot")
    parser.add_argument("--judge")
    options = parser.parse_args()
    times: Times = {}
    shuffle = random.Random(1)
    if options.judge:
        with open(options.judge, newline="") as file:
            for row in csv.DictReader(file):
                us = (float(row["plain_us"]), float(row["packed_us"]), float(row["memory_us"]))
                times[int(row["m"]), int(row["n"]), int(row["k"])] = us
    else:
        with tempfile.TemporaryDirectory() as folder:
            program = f"{folder}/sweep"
            build = ["cc", "-O3", "-march=native", f"-I{ROOT}/include", "-o", program]
            subprocess.run([*build, f"{ROOT}/Benchmarks/sweep.c", "-ldl"], check=True)
            shapes = all_shapes()
            for _ in range(PASSES):
                shuffle.shuffle(shapes)
                measure(program, options.library, shapes, times)
            for _ in range(PASSES):
                again = list({s for _, shape, _, other in short_of(times) for s in (shape, other)})
                measure(program, options.library, again, times)
        share = shares(times)
        with open(options.csv, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["m", "n", "k", "plain_us", "packed_us", "memory_us", "plain_share",
                             "packed_share"])  # fmt: skip
            for shape, us in sorted(times.items()):
                writer.writerow([*shape, *(f"{value:.4g}" for value in us),
                                 *(f"{share[shape, form]:.3f}" for form in range(2))])  # fmt: skip
    if options.plot:
        plot(times, options.plot)
    found = short_of(times)
    print(f"{2 * len(times)} products, {len(found)} below {BAR} of a neighbour, in GFLOP/s:")
    for ratio, shape, form, other in found:
        own, others = rate(shape, times[shape][form]), rate(other, times[other][form])
        name = f"{FORMS[form]:6} {text(shape):>15}"
        print(f"{ratio:.2f} {name} {own:6.1f}, {text(other):>15} {others:6.1f}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
