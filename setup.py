"""Builds libmartlet.so with scripts/build-library and the CPython extension over it.

MARTLET_LIBRARY_DIR names a directory with a libmartlet.so that was built before, to use instead.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import SetupError

ROOT = pathlib.Path(__file__).resolve().parent
LIBRARY = "libmartlet.so.0"


class BuildExtension(build_ext):
    """Puts the library beside the extension, which finds it through its rpath."""

    def run(self):
        include = pathlib.Path(sysconfig.get_paths()["include"])
        if not (include / "Python.h").exists():
            raise SetupError(
                f"Python.h is missing (looked in {include}). On Debian and Ubuntu the package "
                "libpython3-dev (or python3-dev) brings it: apt-get install libpython3-dev; on "
                "Fedora python3-devel."
            )
        given = os.environ.get("MARTLET_LIBRARY_DIR")
        if given is None:
            build_library()
        folder = pathlib.Path(given) if given else ROOT / ".build-dist" / "lib"
        package = ROOT / "python" if self.inplace else pathlib.Path(self.build_lib)
        target = package / "martlet" / LIBRARY
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / LIBRARY, target)
        subprocess.run(["strip", "--strip-unneeded", target], check=True)
        for extension in self.extensions:
            extension.extra_objects = [str(target)]
        super().run()

    def get_outputs(self):
        return [*super().get_outputs(), str(pathlib.Path(self.build_lib) / "martlet" / LIBRARY)]


def build_library():
    scripts = ROOT / "scripts"
    check = subprocess.run([scripts / "need-swift"], stderr=subprocess.PIPE, text=True)
    if check.returncode != 0:
        raise SetupError(check.stderr.strip())
    build = subprocess.run([scripts / "build-library", "--library-only"], stdout=sys.stderr)
    if build.returncode != 0:
        raise SetupError("scripts/build-library failed; what it said stands above")


class BuildWheel(bdist_wheel):
    """Claims manylinux for what was built, where it needs nothing newer."""

    def get_tag(self):
        python, abi, system = super().get_tag()
        built = sorted(pathlib.Path(self.get_finalized_command("build").build_lib).rglob("*.so*"))
        # A platform that was asked for stays, and so does one for which nothing is built (yet).
        if self.plat_name_supplied or not system.startswith("linux_") or not built:
            return python, abi, system
        script = [sys.executable, ROOT / "scripts" / "manylinux-tag", *built]
        judged = subprocess.run(script, capture_output=True, text=True)
        if judged.returncode != 0:
            print(f"martlet: tagged {system}, {judged.stderr.strip()}", file=sys.stderr)
            return python, abi, system
        return python, abi, system.replace("linux", judged.stdout.strip(), 1)


# Free-threaded CPython has no stable ABI (before 3.15): a wheel for each of its versions.
IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
LIMITED = ("Py_LIMITED_API", "0x030B0000")

SOURCES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "python/_martlet").glob("*.c"))

setup(
    ext_modules=[
        Extension(
            "martlet._martlet",
            SOURCES,
            depends=["python/_martlet/extension.h", "include/martlet.h"],
            include_dirs=["include"],
            define_macros=[("MARTLET_FREE_THREADED", "1") if IS_FREE_THREADED else LIMITED],
            py_limited_api=not IS_FREE_THREADED,
            extra_compile_args=["-std=gnu11", "-fvisibility=hidden", "-g0"],
            extra_link_args=["-Wl,-rpath,$ORIGIN"],
        )
    ],
    cmdclass={"bdist_wheel": BuildWheel, "build_ext": BuildExtension},
    options={} if IS_FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
