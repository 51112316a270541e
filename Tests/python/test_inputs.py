"""Arrays of other libraries as inputs, and the names in what is said of those that do not fit."""

import numpy as np
import pytest

import martlet


class OnlyArray:
    """As pandas' frames: nothing but ``__array__``."""

    def __init__(self, data):
        self.data = data

    def __array__(self, dtype=None, copy=None):
        return self.data


class OnlyInterface:
    """As older Pillow images."""

    def __init__(self, data):
        self.data = data

    @property
    def __array_interface__(self):
        return self.data.__array_interface__


class Refuses:
    def __init__(self, error):
        self.error = error

    def __dlpack__(self, **_):
        raise self.error

    def __dlpack_device__(self):
        return (1, 0)


def test_what_has_only_an_array(digits, images):
    expected = digits(images[:2]).numpy()
    for wrap in (OnlyArray, OnlyInterface):
        np.testing.assert_array_equal(digits(wrap(images[:2])).numpy(), expected)
        np.testing.assert_array_equal(digits([wrap(images[0]), wrap(images[1])]).numpy(), expected)
        assert (martlet.tensor([1.0, 2.0]) + wrap(np.float32([1, 2]))).tolist() == [2, 4]
    assert martlet.Tensor(OnlyArray(np.array(["a", "b"], object))).tolist() == ["a", "b"]
    assert martlet.Tensor(OnlyArray(np.zeros(2, ">i4"))).dtype == "int32"
    assert martlet.Tensor(np.array([[1, 2.5]], object)).tolist() == [[1, 2.5]]
    with pytest.raises(TypeError, match=r"input 'image' has an __array__\(\) that gives no array"):
        digits(OnlyArray(3))
    with pytest.raises(BufferError, match="input 'image': DLPack only"):
        digits(OnlyArray(np.zeros(2, "datetime64[s]")))


def test_what_does_not_fit_is_named(digits):
    for error in (BufferError("no"), RuntimeError("no"), TypeError("no")):
        with pytest.raises(BufferError, match=r"^input 'image': no$") as info:
            digits(Refuses(error))
        assert info.value.__cause__ is error
    with pytest.raises(KeyError, match="mine"):
        digits(Refuses(KeyError("mine")))
    with pytest.raises(TypeError, match="input 'image' is an array of objects, of which that at 1"):
        digits(np.array([1, None], object))
    with pytest.raises(TypeError, match="input 'image': a tensor has numbers or strings, not both"):
        digits(np.array([1, "a"], object))

    class Sparse:
        def toarray(self):
            return np.zeros(2)

    with pytest.raises(TypeError, match=r"of type Sparse; expected an array.*its toarray\(\)"):
        digits(Sparse())


def test_torch(digits, images):
    torch = pytest.importorskip("torch")
    given = torch.from_numpy(images[:3])
    expected = digits(images[:3]).numpy()
    np.testing.assert_array_equal(digits(given).numpy(), expected)
    np.testing.assert_array_equal(digits([given[0], given[1], given[2]]).numpy(), expected)
    assert torch.equal(torch.from_dlpack(digits(given)), torch.from_numpy(expected))
    assert martlet.load(digits.path, mode=torch.bfloat16).mode == "BF16"
    with pytest.raises(BufferError, match=r"input 'image': .*detach\(\)"):
        digits(given.clone().requires_grad_())
    with pytest.raises(TypeError, match=r"input 'image' has elements of DLPack's type code 5"):
        digits(given.to(torch.complex64))


def test_jax(digits, images):
    jnp = pytest.importorskip("jax.numpy")
    expected = digits(images[:3]).numpy()
    np.testing.assert_array_equal(digits(jnp.asarray(images[:3])).numpy(), expected)
    np.testing.assert_array_equal(jnp.from_dlpack(digits(images[:3])), expected)
    assert martlet.Tensor(jnp.ones(2, jnp.bfloat16)).dtype == "bfloat16"


def test_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert martlet.Tensor(frame).tolist() == [[1, 3], [2, 4]]
    assert martlet.Tensor(frame["a"]).tolist() == [1, 2]
    assert martlet.Tensor(pandas.Series(["x", "y"])).tolist() == ["x", "y"]
    assert list(pandas.Series(martlet.tensor([1.0, 2.0]))) == [1, 2]
    with pytest.raises(TypeError, match="numbers or strings, not both"):
        martlet.Tensor(pandas.DataFrame({"a": [1], "b": ["x"]}))


def test_pillow():
    image = pytest.importorskip("PIL.Image").new("RGB", (4, 3), (1, 2, 3))
    assert martlet.Tensor(image).shape == (3, 4, 3)
    assert martlet.tensor([image, image])[1, 2, 3].tolist() == [1, 2, 3]
