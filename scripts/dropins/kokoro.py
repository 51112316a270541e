"""kokoro-onnx: its session code, on a small model with Kokoro's inputs and random weights."""

REQUIREMENTS = ["kokoro-onnx==0.4.9", "onnx==1.23.2"]


def results():
    import pathlib
    import tempfile

    import numpy as np
    from kokoro_onnx import Kokoro

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "kokoro.onnx").write_bytes(small_model())
        rng = np.random.default_rng(3)
        voice = rng.standard_normal((510, 1, 256)).astype(np.float32)
        with open(folder / "voices.bin", "wb") as file:
            np.savez(file, af=voice)
        kokoro = Kokoro(str(folder / "kokoro.onnx"), str(folder / "voices.bin"))
        assert kokoro.get_voices() == ["af"]
        given = {}
        for speed in (1.0, 1.5):
            samples, rate = kokoro.create(
                "həloʊ wɜld", voice="af", speed=speed, is_phonemes=True, trim=False
            )
            given[f"samples {speed}"] = np.asarray(samples)
            given[f"rate {speed}"] = np.asarray(rate)
        return given


def small_model():
    """Tokens are looked up, an LSTM runs over them, a ConvTranspose makes 600 samples of each."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(7)
    weights = {
        "table": (178, 64),
        "style_to": (256, 64),
        "w": (2, 4 * 32, 64),
        "r": (2, 4 * 32, 32),
        "bias": (2, 8 * 32),
        "up": (64, 1, 600),
    }
    initializers = [
        numpy_helper.from_array((rng.standard_normal(shape) / 8).astype(np.float32), name)
        for name, shape in weights.items()
    ]
    initializers.append(numpy_helper.from_array(np.array([0, 0, -1]), "joined"))
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "tokens"], ["looked"]),
        node("MatMul", ["style", "style_to"], ["s"]),
        node("Add", ["looked", "s"], ["styled"]),
        node("Div", ["styled", "speed"], ["slowed"]),
        node("Transpose", ["slowed"], ["steps"], perm=[1, 0, 2]),
        node("LSTM", ["steps", "w", "r", "bias"], ["h"], hidden_size=32, direction="bidirectional"),
        node("Transpose", ["h"], ["turned"], perm=[2, 1, 3, 0]),
        node("Transpose", ["turned"], ["channels"], perm=[1, 3, 2, 0]),
        node("Transpose", ["channels"], ["last"], perm=[0, 3, 1, 2]),
        node("Reshape", ["last", "flat"], ["sequence"]),
        node("ConvTranspose", ["sequence", "up"], ["wave"], strides=[600]),
        node("Tanh", ["wave"], ["sound"]),
        node("Reshape", ["sound", "line"], ["audio"]),
    ]
    initializers.append(numpy_helper.from_array(np.array([1, 64, -1]), "flat"))
    initializers.append(numpy_helper.from_array(np.array([-1]), "line"))
    graph = helper.make_graph(
        nodes,
        "kokoro",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n"]),
            helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
            helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["samples"])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
