"""Matrix products of Martlet and of oneDNN and OpenBLAS, interleaved in one process (gemm.c).

Usage: $(scripts/peers-env) Benchmarks/peers/gemm.py [--threads 1 2] [--passes N]
                                 [--cases MxNxK ...] [--json FILE] [--plot FILE.png]

Prints, for each case and variant, Martlet's rate, the best peer's, and how many times as fast
Martlet is: the median of the rounds' own ratios. The bar is to be ahead. For shares of the
machine's limits see `martlet bench gemm --suite bars`.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = pathlib.Path(sys.prefix)  # scripts/peers-env puts oneDNN there, and NumPy with OpenBLAS
DIST = ROOT / ".build-dist"
ROUNDS = 5  # of a pass

CASES = ["17x33x65", "64x64x64", "128x128x128", "256x256x256", "512x512x512", "1024x1024x1024",
         "2048x2048x2048", "128x768x768", "128x3072x768", "128x768x3072", "512x4096x4096",
         "197x768x768", "3136x64x576", "1x4096x4096", "8x4096x4096"]  # fmt: skip


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


def measure(program: str, threads: int, passes: int, cases: list[str]) -> list[dict]:
    """Passes over all cases with some rounds each: what disturbs the machine for seconds meets no
    case alone, and within a round drift of its speed meets all engines alike."""
    # Threads of an engine that waits must not take the processors from the next one's turn.
    quiet = os.environ | {"GOMP_SPINCOUNT": "10000", "OPENBLAS_THREAD_TIMEOUT": "14"}
    times: dict[tuple[str, str], dict[str, list[float]]] = {}
    for index in range(passes):
        print(f"{threads} thread(s), pass {index + 1} of {passes} …", file=sys.stderr)
        for case in cases:
            command = [program, str(threads), str(ROUNDS), case]
            lines = subprocess.run(command, env=quiet, check=True, capture_output=True, text=True)
            for line in map(json.loads, lines.stdout.splitlines()):
                engines = times.setdefault((case, line["variant"]), {})
                engines.setdefault(line["engine"], []).extend(line["ms"])
    rows = []
    for (case, variant), engines in times.items():
        m, n, k = map(int, case.split("x"))
        rates = {x: 2e-6 * m * n * k / statistics.median(ms) for x, ms in engines.items()}
        row = {"case": case, "variant": variant, "threads": threads, "gflops": rates}
        for engine, ms in engines.items():
            pairs = zip(ms, engines["martlet"], strict=True)
            ratio = statistics.median(a / b for a, b in pairs)
            if engine != "martlet" and ratio < row.get("ratio", float("inf")):
                row |= {"best_peer": engine, "ratio": ratio}
        rows.append(row)
    return rows


def show(rows: list[dict]) -> None:
    print("| M x N x K | variant | threads | GFLOP/s | best peer | its GFLOP/s | ratio | |")
    print("|---|---|---|---|---|---|---|---|")
    compared = [row for row in rows if "ratio" in row]
    for row in compared:
        peer = row["best_peer"]
        verdict = "ahead" if row["ratio"] >= 1 else "behind"
        print(f"| {row['case']} | {row['variant']} | {row['threads']} "
              f"| {row['gflops']['martlet']:.1f} | {peer} | {row['gflops'][peer]:.1f} "
              f"| {row['ratio']:.2f} | {verdict} |")  # fmt: skip
    print(f"\nahead in {sum(row['ratio'] >= 1 for row in compared)} of {len(compared)}")


def plot(rows: list[dict], file: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    chosen = [row for row in rows if row["variant"] in ("float32, packed", "BF16 mode, packed")]
    names = [f"{row['case']}\n{row['variant']}, {row['threads']} T" for row in chosen]
    figure, axes = pyplot.subplots(figsize=(9, 0.32 * len(names) + 1.5))
    axes.barh(names, [row.get("ratio", 0) for row in chosen], color="#3b6ea5")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("Martlet's rate / the best peer's")
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=6)
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--passes", type=int, default=7)
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
            rows += measure(program, threads, arguments.passes, arguments.cases)
    show(rows)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=2) + "\n")
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
