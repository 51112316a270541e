"""openwakeword: listens for its words in a recording, frame by frame, with voice activity."""

REQUIREMENTS = ["numpy", "scipy", "scikit-learn", "tqdm"]
# The last version whose wheel holds the models.
BARE = ["openwakeword==0.4.0"]
MODELS = ["moonshine-voice"]


def results(speech):
    import wave

    import numpy as np
    from openwakeword.model import Model

    (path,) = speech.rglob("beckett.wav")
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    model = Model(vad_threshold=0.01)
    frames = [model.predict(samples[at : at + 1280]) for at in range(0, len(samples) - 1279, 1280)]
    words = sorted(frames[0])
    assert len(words) >= 6, words
    return {
        "words": np.array(words),
        "scores": np.array([[frame[word] for word in words] for frame in frames], float),
        "features": np.asarray(model.preprocessor.get_features(64)),
    }
