"""What ONNX Runtime asks of a system: nothing here."""

from martlet.onnxruntime._environment import __version__


def get_package_name_and_version_info() -> tuple[str, str, str]:
    """The package's name, its version and CUDA's."""
    return "onnxruntime", __version__, ""


def check_distro_info() -> None:
    """Nothing: Martlet runs where its wheel installs."""
