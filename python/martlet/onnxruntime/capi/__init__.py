"""The modules that ONNX Runtime keeps its names in."""
