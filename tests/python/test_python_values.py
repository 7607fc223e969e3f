"""What goes into a model and comes out, and that it is not copied."""

import array
import json
import threading
import time
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import ptsecure
import pytest
import torch

Array = npt.NDArray[Any]

NUMPY_TYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


def address(x: Array | torch.Tensor) -> int:
    return int(x.data_ptr()) if isinstance(x, torch.Tensor) else int(x.ctypes.data)


@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_numpy_goes_in_and_out_in_place(everything: ptsecure.Model, dtype: str) -> None:
    x = np.arange(12).reshape(3, 4).astype(dtype)
    y = everything(x)
    assert isinstance(y, np.ndarray)
    assert y.dtype == x.dtype
    assert address(y) == address(x)
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool]
)
def test_torch_goes_in_and_out_in_place(everything: ptsecure.Model, dtype: torch.dtype) -> None:
    x = torch.arange(12).reshape(3, 4).to(dtype)
    y = everything(x)
    assert isinstance(y, torch.Tensor)
    assert y.dtype == dtype
    assert address(y) == address(x)
    assert torch.equal(x, y)


def test_results_outlive_everything(keys: ptsecure.Keyring, folder: ptsecure.Store) -> None:
    from tests.python.models import Counter

    folder.publish("counter", Counter(), keys)
    model = folder.load("counter", keys)
    y = model(np.ones(1000, dtype="float32"))
    model.close()
    folder.close()
    assert y.tolist() == [1000.0]
    y += 1  # the engine's memory is the caller's now
    assert y.tolist() == [1001.0]


def test_inputs_are_kept_while_a_result_shares_them(everything: ptsecure.Model) -> None:
    y = everything(np.full(100_000, 7.0))
    np.full(100_000, 8.0)
    assert (y == 7.0).all()


def test_any_dlpack_object(everything: ptsecure.Model) -> None:
    class Foreign:
        """An array of some other library."""

        def __init__(self, versioned: bool) -> None:
            self.held = np.arange(5.0)
            self.versioned = versioned

        def __dlpack__(self, **options: Any) -> object:
            if not self.versioned and options:
                raise TypeError("an exporter of before DLPack 1.0")
            return self.held.__dlpack__(**options)

    for versioned in (True, False):
        x = Foreign(versioned)
        y = everything(x)
        assert isinstance(y, np.ndarray)
        assert address(y) == address(x.held)


def test_buffers(everything: ptsecure.Model) -> None:
    x = array.array("d", [1.0, 2.0])
    y = everything(x)
    assert address(y) == x.buffer_info()[0]
    assert everything.call("doubled", memoryview(x)).tolist() == [2.0, 4.0]


def test_read_only_arrays(everything: ptsecure.Model) -> None:
    x = np.arange(4.0)
    x.flags.writeable = False
    y = everything(x)
    assert address(y) == address(x)
    assert not y.flags.writeable  # or the caller could change what it was told not to
    assert everything.call("doubled", x).flags.writeable


@pytest.mark.parametrize(
    "x",
    [
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.arange(12.0).reshape(3, 4).T,
        np.broadcast_to(np.arange(3.0), (2, 3)),
        np.arange(12.0)[::-1],
        np.arange(12.0).astype(">f8"),
        np.frombuffer(b"\0" * 33, dtype="f8", count=4, offset=1),
        np.zeros(3, dtype=[("a", "i1"), ("b", "<f4")])["b"],
    ],
    ids=["strided", "transposed", "broadcast", "negative", "big-endian", "unaligned", "field"],
)
def test_layouts(everything: ptsecure.Model, x: Array) -> None:
    before = x.copy()
    y = everything(x)
    assert y.dtype.isnative
    np.testing.assert_array_equal(y, before)
    np.testing.assert_array_equal(x, before)


def test_strides_are_no_copy(everything: ptsecure.Model) -> None:
    x = np.arange(12.0).reshape(3, 4)
    assert address(everything.call("transposed", x.T)) == address(x)


def test_conjugated_and_negated_views(everything: ptsecure.Model) -> None:
    x = torch.tensor([1 + 2j, 3 - 4j]).conj()
    assert everything(x).tolist() == [1 - 2j, 3 + 4j]
    assert everything(x.imag).tolist() == [-2.0, 4.0]


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0, 2), (1,), (1, 1, 1)])
def test_empty_and_scalar_arrays(everything: ptsecure.Model, shape: tuple[int, ...]) -> None:
    x = np.ones(shape, dtype="float32")
    y = everything(x)
    assert y.shape == shape
    assert y.dtype == np.float32
    assert everything(torch.ones(shape)).shape == shape


def test_bfloat16(everything: ptsecure.Model) -> None:
    x = np.arange(4).astype(ml_dtypes.bfloat16)
    assert everything.call("doubled", torch.ones(2, dtype=torch.bfloat16)).dtype == torch.bfloat16
    with pytest.raises(ptsecure.UnsupportedError, match=r"bfloat16.*output=.torch"):
        everything(x)
    with pytest.raises(ptsecure.UnsupportedError, match="open the model with output"):
        everything.call("brain", np.ones(2))


def test_output_can_be_chosen(keys: ptsecure.Keyring, folder: ptsecure.Store) -> None:
    from tests.python.models import Everything

    folder.publish("everything", Everything(), keys)
    as_torch = folder.load("everything", keys, output="torch")
    as_numpy = folder.load("everything", keys, output="numpy")
    x = np.ones(3)
    assert as_torch(x).data_ptr() == address(x)
    assert as_torch.fork().call("brain", x).dtype == torch.bfloat16
    assert isinstance(as_numpy(torch.ones(3)), np.ndarray)
    with pytest.raises(ptsecure.InvalidArgumentError, match="'auto', 'numpy' or 'torch'"):
        folder.load("everything", keys, output="jax")  # type: ignore[arg-type]


def test_trees(everything: ptsecure.Model) -> None:
    one, two = np.ones(2), np.full(2, 2.0)
    items, count = everything.call("nested", {"a": [one, two], "b": []})
    assert count == 2
    assert isinstance(items, list)
    assert [address(each) for each in items] == [address(one), address(two)]
    tensors, _ = everything.call("nested", {"a": [torch.ones(1)]})
    assert isinstance(tensors[0], torch.Tensor)
    given = (True, 2**40, 0.5, "grüße\0", None)
    assert everything.call("scalars", *given) == given
    assert everything.call("strings", ["a", "bcd"]) == {"a": 1, "bcd": 3}
    assert everything.call("scalars", np.bool_(True), np.int32(3), np.float32(0.5), "", None) == (
        True,
        3,
        0.5,
        "",
        None,
    )


def test_inputs_by_name(everything: ptsecure.Model) -> None:
    x = np.ones(2)
    assert everything.call("scaled", x, by=3.0)["y"].tolist() == [3.0, 3.0]
    assert everything.call("scaled", name="z", by=2.0, x=x)["z"].tolist() == [2.0, 2.0]
    with pytest.raises(ptsecure.InvalidInputError):
        everything.call("scaled", x, size=3.0)
    with pytest.raises(ptsecure.NotFoundError):
        everything.call("nothing", x)


class Recursive(list[Any]):
    pass


def recursive() -> list[Any]:
    x: list[Any] = []
    x.append(x)
    return x


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (np.array([{}]), "datatype object is no input"),
        (np.array(["a"]), "datatype str.* is no input"),
        (np.array(["2026-01-01"], dtype="M8[D]"), "datatype datetime64"),
        (np.zeros(2, dtype=[("a", "f4")]), "is no input"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "fill it first"),
        (torch.ones(2, requires_grad=True), r"detach\(\)"),
        (torch.ones(2).to_sparse(), "no input"),
        (torch.ones(2, device="meta"), "no input|device"),
        (2**63, "64 bits"),
        ("\ud800", "Unicode"),
        ({1: np.ones(1)}, "keys are of type int"),
        ({"a\0b": 1}, "NUL"),
        ({1, 2}, "type set"),
        (b"bytes", "type bytes"),
        (object(), "type object"),
        ([[object()]], "type object"),
        (1 + 2j, "type complex"),
    ],
)
def test_what_is_no_input_is_said(everything: ptsecure.Model, x: Any, match: str) -> None:
    with pytest.raises(ptsecure.InvalidInputError, match=match) as caught:
        everything(x)
    assert isinstance(caught.value, ValueError)
    assert caught.value.status == "invalid_input"


def test_endless_nesting_is_refused(everything: ptsecure.Model) -> None:
    with pytest.raises(ptsecure.LimitExceededError, match="256"):
        everything(recursive())


def test_wrong_shape_and_datatype(
    keys: ptsecure.Keyring, folder: ptsecure.Store, digits: Any, images: Array
) -> None:
    folder.publish("digits", digits, keys, sample=images)
    model = folder.load("digits", keys)
    assert model(images).shape == (8, 10)
    for wrong in (images.astype("float64"), images[0], images[:, :, :4], [images], "text", None):
        with pytest.raises(ptsecure.InvalidInputError, match="images"):
            model(wrong)
    with pytest.raises(ptsecure.InvalidInputError):
        model()
    with pytest.raises(ptsecure.InvalidInputError):
        model(images, images)


def test_a_model_that_fails(everything: ptsecure.Model) -> None:
    with pytest.raises(ptsecure.EngineError, match="always fails"):
        everything.call("fails", np.ones(1))


def test_closed_models(keys: ptsecure.Keyring, folder: ptsecure.Store, digits: Any) -> None:
    folder.publish("digits", digits, keys)
    with folder.load("digits", keys) as model:
        assert not model.closed
    model.close()
    assert model.closed
    assert repr(model) == "<ptsecure.Model: closed>"
    for use in (lambda: model(1), model.fork, lambda: model.name, lambda: model.infer_json({})):
        with pytest.raises(ptsecure.ClosedError, match="closed"):
            use()


def test_threads_run_side_by_side(everything: ptsecure.Model) -> None:
    """While one thread is inside the model, another one runs it too, again and again."""
    x = np.random.default_rng(1).random((300, 300))
    running, ended = threading.Event(), threading.Event()

    def run() -> None:
        running.set()
        everything.call("slow", x, 100)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    running.wait()
    meanwhile = 0
    while not ended.is_set():
        everything.call("doubled", np.ones(1))
        meanwhile += not ended.is_set()
        time.sleep(0.001)
    thread.join()
    # With the GIL held no call of this thread would begin and end within the other's one.
    assert meanwhile > 2


def test_closing_while_others_run(keys: ptsecure.Keyring, folder: ptsecure.Store) -> None:
    from tests.python.models import Everything

    folder.publish("everything", Everything(), keys)
    model = folder.load("everything", keys)
    x = np.ones((64, 64))
    results: list[object] = []

    def run() -> None:
        try:
            while True:
                model.call("slow", x, 3)
        except ptsecure.Error as error:
            results.append(type(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    model.close()
    for thread in threads:
        thread.join(30)
    assert results == [ptsecure.ClosedError] * 4


def test_state_and_forks(keys: ptsecure.Keyring, folder: ptsecure.Store) -> None:
    from tests.python.models import Counter

    folder.publish("counter", Counter(), keys)
    model = folder.load("counter", keys)
    assert model.metadata["stateful"]
    assert "stateful" in repr(model)
    one = np.ones(1, dtype="float32")
    model(one)
    other = model.fork()
    assert (model(one)[0], model(one)[0], other(one)[0]) == (2.0, 3.0, 2.0)
    assert model.call("reset_states") is None
    assert (model(one)[0], other(one)[0]) == (1.0, 3.0)


@pytest.mark.parametrize("how", ["freeze", "inference"])
def test_optimized_programs(
    keys: ptsecure.Keyring, folder: ptsecure.Store, digits: Any, images: Array, how: Any
) -> None:
    folder.publish("digits", digits, keys)
    expected = folder.load("digits", keys)(images)
    found = folder.load("digits", keys, optimize=how)(images)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    with pytest.raises(ptsecure.InvalidArgumentError, match="'freeze'"):
        folder.load("digits", keys, optimize="fast")  # type: ignore[arg-type]


def test_json(keys: ptsecure.Keyring, folder: ptsecure.Store, digits: Any, images: Array) -> None:
    folder.publish("digits", digits, keys, sample=images)
    model = folder.load("digits", keys, warm_ups=2)
    request = model.example()
    request["inputs"][0] |= {"shape": list(images.shape), "data": images.ravel().tolist()}
    answer = model.infer_json(request)
    np.testing.assert_allclose(
        np.reshape(answer["outputs"][0]["data"], (8, 10)), model(images), rtol=1e-5
    )
    assert model.metadata["inputs"][0]["shape"] == [-1, 1, 8, 8]
    assert repr(model) == "<ptsecure.Model digits/1(images: FP32[-1, 1, 8, 8])>"


def test_requests_as_servers_get_them(
    keys: ptsecure.Keyring, folder: ptsecure.Store, digits: Any, images: Array
) -> None:
    folder.publish("digits", digits, keys, sample=images)
    model = folder.load("digits", keys)
    wanted = model(images)

    rows = model.infer_v1({"instances": images.tolist()})["predictions"]
    np.testing.assert_allclose(rows, wanted, rtol=1e-5)
    np.testing.assert_allclose(
        model.infer_v1(json.dumps({"inputs": images.tolist()}))["predictions"], wanted, rtol=1e-5
    )

    (name,) = [each["name"] for each in model.metadata["inputs"]]
    (out,) = [each["name"] for each in model.metadata["outputs"]]
    data = images.tobytes()
    tensor: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(images.shape)}
    tensor["parameters"] = {"binary_data_size": len(data)}
    asked = [{"name": out, "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": asked}).encode()
    bodies: list[bytes | bytearray] = [head + data, bytearray(head + data)]
    for body in bodies:
        response, json_size = model.infer_v2(body, len(head))
        assert len(response) == json_size + wanted.nbytes
        got = np.frombuffer(response[json_size:], np.float32).reshape(wanted.shape)
        np.testing.assert_array_equal(got, wanted)
        described = json.loads(bytes(response[:json_size]))["outputs"][0]
        assert described["parameters"] == {"binary_data_size": wanted.nbytes}
    text = json.dumps(model.example()).encode()
    response, json_size = model.infer_v2(text)
    assert json_size == len(response)
    assert json.loads(bytes(response))["outputs"][0]["name"] == out
    with pytest.raises(ptsecure.InvalidInputError):
        model.infer_v2(head + data[:-1], len(head))
    with pytest.raises(ptsecure.Error):
        model.infer_v2(head, len(head) + 1)
    with pytest.raises(ptsecure.InvalidArgumentError, match="lie together"):
        model.infer_v2(memoryview(head + data)[::2], len(head))
    with pytest.raises(ptsecure.InvalidInputError):
        model.infer_v1({"instances": "no rows"})
