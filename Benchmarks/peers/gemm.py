"""Matrix products of Martlet and of oneDNN and OpenBLAS, interleaved in one process (gemm.c).

Usage: $(scripts/peers-env) Benchmarks/peers/gemm.py [--threads 1 2] [--rounds N]
                                 [--cases MxNxK ...] [--json FILE] [--plot FILE.png]

Prints, for each case and variant, Martlet's rate, its share of the measured limit (the peak of the
multiply-add units, or the rate of reading memory where the weights do not fit in the caches), the
best peer and the ratio to it, and the bar with whether it is met.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = pathlib.Path(sys.prefix)  # scripts/peers-env puts oneDNN there, and NumPy with OpenBLAS
DIST = ROOT / ".build-dist"

SQUARES = ["256x256x256", "512x512x512", "1024x1024x1024", "2048x2048x2048"]
LAYERS = ["128x768x768", "128x3072x768", "128x768x3072", "512x4096x4096", "197x768x768",
          "3136x64x576"]  # fmt: skip
SMALL = ["17x33x65", "64x64x64", "128x128x128"]
STREAMS = ["1x4096x4096", "8x4096x4096"]
CASES = SMALL + SQUARES + LAYERS + STREAMS

# One thread, per cent of the limit. AVX2 is held to 5 points less.
BARS = {
    "float32": {**dict.fromkeys(SQUARES, 94), "64x64x64": 85},
    "float32, packed": {**dict.fromkeys(SQUARES, 94), **dict.fromkeys(LAYERS, 92), "64x64x64": 85,
                        **dict.fromkeys(STREAMS, 90)},
    "BF16 mode": dict.fromkeys(SQUARES[1:], 85),
    "BF16 mode, packed": {**dict.fromkeys(SQUARES, 92), **dict.fromkeys(LAYERS, 90),
                          "128x128x128": 75, "64x64x64": 60, **dict.fromkeys(STREAMS, 90)},
    "bfloat16, packed": dict.fromkeys(SQUARES[1:], 96),
}  # fmt: skip


def build(program: str) -> None:
    """Compiles gemm.c against libmartlet, oneDNN and the OpenBLAS that NumPy brings."""
    blas = next(PEERS.glob("lib/python*/site-packages/numpy.libs/libscipy_openblas64_*.so"))
    libraries = [DIST / "lib", PEERS / "lib", blas.parent]
    subprocess.run(
        [os.environ.get("CC", "cc"), "-O2", "-std=c11", "-D_GNU_SOURCE", f"-I{ROOT / 'include'}",
         f"-I{PEERS / 'include'}", "-DHAVE_ONEDNN", "-DSGEMM=scipy_cblas_sgemm64_",
         "-DSET_THREADS=scipy_openblas_set_num_threads64_",
         pathlib.Path(__file__).with_suffix(".c"), "-o", program, f"-L{DIST / 'lib'}", "-lmartlet",
         f"-L{PEERS / 'lib'}", "-ldnnl", "-lgomp", blas, *(f"-Wl,-rpath,{x}" for x in libraries)],
        check=True)  # fmt: skip


def limits(threads: int) -> dict[str, float]:
    """GFLOP/s of multiply-adds on registers, and GB/s of reading memory where it is measured."""
    command = [DIST / "bin" / "martlet", "bench", "gemm", "--m", "256", "--n", "256", "--k", "256",
               "--threads", str(threads), "--json"]  # fmt: skip
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {key: value for key, value in json.loads(text).items() if isinstance(value, float)}


def measure(program: str, threads: int, rounds: int, cases: list[str]) -> list[dict]:
    # Threads of an engine that waits must not take the processors from the next one's turn.
    quiet = os.environ | {"GOMP_SPINCOUNT": "10000", "OPENBLAS_THREAD_TIMEOUT": "14"}
    rows: dict[tuple[str, str], dict] = {}
    peaks = limits(threads)
    for case in cases:
        print(f"{case}, {threads} thread(s) …", file=sys.stderr)
        lines = subprocess.run([program, str(threads), str(rounds), case], env=quiet, check=True,
                               capture_output=True, text=True).stdout  # fmt: skip
        for line in map(json.loads, lines.splitlines()):
            key = (case, line["variant"])
            row = rows.setdefault(key, {"case": case, "variant": key[1], "threads": threads})
            row[line["engine"]] = line["gflops"]
    later = limits(threads)
    peaks = {key: max(value, later.get(key, 0)) for key, value in peaks.items()}
    is_avx2 = "bf16" not in info() and "512" not in info()
    for row in rows.values():
        complete(row, peaks, threads, is_avx2)
    return list(rows.values())


def info() -> str:
    """The name of the instruction set in use."""
    text = subprocess.run([DIST / "bin" / "martlet", "info", "--json"], check=True,
                          capture_output=True, text=True).stdout  # fmt: skip
    return str(json.loads(text).get("isa", ""))


def complete(row: dict, peaks: dict[str, float], threads: int, is_avx2: bool) -> None:
    """Adds the share of the limit, the best peer and the bar."""
    wide = "bfloat16" if row["variant"].lower().startswith("b") else "float32"
    limit = peaks.get(f"peak_gflops_{wide}") or peaks["peak_gflops_float32"]
    row["limit"] = f"{limit:.0f} GFLOP/s"
    if row["case"] in STREAMS and "peak_gb_per_s_read" in peaks:
        m, n, k = map(int, row["case"].split("x"))
        element = 4 if wide == "float32" else 2
        seconds = 2 * m * n * k / row["martlet"] / 1e9
        row["share"] = n * k * element / seconds / 1e9 / peaks["peak_gb_per_s_read"]
        row["limit"] = f"{peaks['peak_gb_per_s_read']:.1f} GB/s"
    else:
        row["share"] = row["martlet"] / limit
    peers = {name: row[name] for name in ("onednn", "openblas") if name in row}
    row["best_peer"] = max(peers, key=peers.__getitem__, default=None)
    row["ratio"] = row["martlet"] / peers[row["best_peer"]] if peers else None
    bar = BARS[row["variant"]].get(row["case"])
    is_measured = row["case"] not in STREAMS or "peak_gb_per_s_read" in peaks
    if bar is not None and threads == 1 and is_measured:
        row["bar"] = bar - (5 if is_avx2 else 0)
        row["met"] = row["share"] * 100 >= row["bar"]


def show(rows: list[dict]) -> None:
    print("| M x N x K | variant | threads | GFLOP/s | of the limit | best peer | ratio | bar | |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        peer = f"{row['best_peer']} {row[row['best_peer']]:.1f}" if row["best_peer"] else "-"
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else "-"
        verdict = {True: "met", False: "falls short"}.get(row.get("met"), "")
        print(f"| {row['case']} | {row['variant']} | {row['threads']} | {row['martlet']:.1f} "
              f"| {row['share']:.1%} of {row['limit']} | {peer} | {ratio} "
              f"| {row.get('bar', '')} | {verdict} |")  # fmt: skip


def plot(rows: list[dict], file: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    chosen = [row for row in rows if row["variant"] in ("float32, packed", "BF16 mode, packed")]
    names = [f"{row['case']}\n{row['variant']}, {row['threads']} T" for row in chosen]
    figure, axes = pyplot.subplots(figsize=(9, 0.32 * len(names) + 1.5))
    axes.barh(names, [row["ratio"] or 0 for row in chosen], color="#3b6ea5")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("Martlet's rate / the best peer's")
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=6)
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="MxNxK")
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument("--plot", help="also draw the ratios into this PNG file")
    arguments = parser.parse_args()
    if not (DIST / "lib" / "libmartlet.so").exists() or not (DIST / "bin" / "martlet").exists():
        sys.exit("build the library first: scripts/build-library")
    if not (PEERS / "include" / "dnnl.h").exists():
        sys.exit("oneDNN is not installed beside this interpreter: use that of scripts/peers-env")
    with tempfile.TemporaryDirectory() as work:
        program = f"{work}/gemm"
        build(program)
        rows = []
        for threads in arguments.threads:
            rows += measure(program, threads, arguments.rounds, arguments.cases)
    show(rows)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=2) + "\n")
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
