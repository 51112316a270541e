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
            build = [ROOT / "scripts" / "build-library", "--library-only"]
            subprocess.run(build, check=True, stdout=sys.stderr)
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


SOURCES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "python/_martlet").glob("*.c"))

setup(
    ext_modules=[
        Extension(
            "martlet._martlet",
            SOURCES,
            depends=["python/_martlet/extension.h", "include/martlet.h"],
            include_dirs=["include"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            extra_compile_args=["-std=gnu11", "-fvisibility=hidden", "-g0"],
            extra_link_args=["-Wl,-rpath,$ORIGIN"],
        )
    ],
    cmdclass={"build_ext": BuildExtension},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
