"""silero-vad: where somebody speaks in a recording; its state goes on from chunk to chunk."""

REQUIREMENTS = ["torch==2.13.0", "numpy", "packaging"]
BARE = ["silero-vad==6.2.3"]
MODELS = ["moonshine-voice"]


def results(speech):
    import wave

    import numpy as np
    import torch
    from silero_vad import VADIterator, get_speech_timestamps, load_silero_vad

    torch.set_num_threads(1)
    (path,) = speech.rglob("beckett.wav")
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth()) == (16000, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    audio = torch.from_numpy(samples[: 30 * 16000].astype(np.float32) / 32768)
    given = {}
    for version in (15, 16):
        model = load_silero_vad(onnx=True, opset_version=version)
        spans = get_speech_timestamps(audio, model, sampling_rate=16000)
        given[f"spans {version}"] = np.array([[span["start"], span["end"]] for span in spans])
        model.reset_states()
        places = range(0, len(audio) - 511, 512)
        chunks = [model(audio[at : at + 512], 16000).item() for at in places]
        given[f"chances {version}"] = np.array(chunks)
        given[f"state {version}"] = np.asarray(model._state)
        given[f"whole {version}"] = model.audio_forward(audio[: 5 * 16000], 16000).numpy()
        events = VADIterator(model)
        turns = [events(audio[at : at + 512]) for at in places]
        given[f"turns {version}"] = np.array([str(turn) for turn in turns if turn])
        assert len(spans) > 0
    return given
