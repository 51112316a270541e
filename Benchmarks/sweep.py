"""Float32 products over M, N and K, primes among them: where does speed fall off a cliff?

Usage: python Benchmarks/sweep.py [--martlet PATH] [--threads N] [--rounds N] [--csv FILE]
                                  [--plot FILE.png] [--check FILE]

Each line of the sweep moves one extent through EXTENTS while the other two stand still at each pair
of BASES, with rhs packed before and as it is. A shape is flagged where its rate is below 0.7 of the
lower of its two neighbours' on the line. Writes a CSV, plots it where matplotlib is installed, and
exits 1 if anything is flagged. --check judges a CSV of an earlier run instead of measuring.
"""

import argparse
import csv
import itertools
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXTENTS = [1, 2, 3, 5, 7, 8, 11, 16, 17, 31, 32, 37, 61, 64, 97, 127, 128, 251, 256, 509, 512, 1021,
           1024, 2039, 2048, 4093, 4096]  # fmt: skip
BASES = [1, 61, 512]
LARGEST = 2e9  # floating-point operations
CLIFF = 0.7
FIELDS = ["axis", "m", "n", "k", "is_packed", "threads", "gflops", "gb_per_s", "share_of_limit"]


def lines() -> list[tuple[str, list[tuple[int, int, int]]]]:
    """The sweep's lines: the moving axis and its shapes."""
    result = []
    for axis, (a, b) in itertools.product("mnk", itertools.product(BASES, BASES)):
        shapes = []
        for extent in EXTENTS:
            rest = [a, b]
            rest.insert("mnk".index(axis), extent)
            if 2 * rest[0] * rest[1] * rest[2] <= LARGEST:
                shapes.append(tuple(rest))
        result.append((axis, shapes))
    return result


def measure(martlet: str, threads: int, rounds: int) -> list[dict]:
    """One row per shape and form of rhs, in the order of `lines`."""
    rows = []
    for axis, shapes in lines():
        command = [martlet, "bench", "gemm", "--json", "--threads", str(threads), "--rounds",
                   str(rounds)]  # fmt: skip
        for m, n, k in shapes:
            command += ["--shape", f"{m}x{n}x{k}"]
        text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        for case in json.loads(text)["cases"]:
            bytes_moved = 4 * (case["m"] * case["k"] + case["k"] * case["n"])
            rows.append(
                {"axis": axis, "m": case["m"], "n": case["n"], "k": case["k"],
                 "is_packed": int(case["is_packed"]), "threads": case["threads"],
                 "gflops": round(case["gflops"], 3),
                 "gb_per_s": round(bytes_moved / case["median_us"] / 1e3, 3),
                 "share_of_limit": round(case["share_of_limit"], 4)})  # fmt: skip
    return rows


def grouped(rows: list[dict]) -> dict[tuple, list[dict]]:
    """The rows of each line, by axis, the two extents that stand still, and the form of rhs."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        fixed = tuple((x, int(row[x])) for x in "mnk" if x != row["axis"])
        groups.setdefault((row["axis"], fixed, int(row["is_packed"])), []).append(row)
    for group in groups.values():
        group.sort(key=lambda row: int(row[row["axis"]]))
    return groups


def cliffs(rows: list[dict]) -> list[str]:
    """What is below 0.7 of both neighbours."""
    found = []
    for group in grouped(rows).values():
        rates = [float(row["gflops"]) for row in group]
        for at in range(1, len(group) - 1):
            row, lower = group[at], min(rates[at - 1], rates[at + 1])
            if rates[at] < CLIFF * lower:
                found.append(
                    f"{row['m']}x{row['n']}x{row['k']} {'packed' if int(row['is_packed']) else ''}"
                    f" {rates[at]:.1f} GFLOP/s, {rates[at] / lower:.2f} of its neighbours"
                )
    return found


def plot(rows: list[dict], path: str) -> None:
    """A picture per axis: rates along each line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panes = plt.subplots(1, 3, figsize=(13, 4), sharey=True)
    for pane, axis in zip(panes, "mnk", strict=True):
        for (which, fixed, packed), group in grouped(rows).items():
            if which != axis or not packed:
                continue
            label = " ".join(f"{name}={value}" for name, value in fixed)
            pane.plot([int(r[axis]) for r in group], [float(r["gflops"]) for r in group],
                      marker=".", linewidth=1, label=label)  # fmt: skip
        pane.set(xscale="log", yscale="log", xlabel=axis.upper())
        pane.legend(fontsize=6)
    panes[0].set_ylabel("GFLOP/s, rhs packed")
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--martlet", default=str(ROOT / ".build-dist" / "bin" / "martlet"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", default="sweep.csv")
    parser.add_argument("--plot")
    parser.add_argument("--check")
    options = parser.parse_args()
    if options.check:
        with open(options.check, newline="") as file:
            rows = list(csv.DictReader(file))
    else:
        rows = measure(options.martlet, options.threads, options.rounds)
        with open(options.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    if options.plot:
        plot(rows, options.plot)
    found = cliffs(rows)
    print(f"{len(rows)} shapes, {len(found)} below {CLIFF} of both neighbours", *found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
