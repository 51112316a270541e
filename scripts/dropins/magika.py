"""magika: says what kinds of files these bytes are."""

REQUIREMENTS = ["magika==1.0.3"]

SAMPLES = {
    "python": b"import sys\n\n\ndef main(argv):\n    print('hello', argv)\n    return 0\n" * 8,
    "json": b'{"name": "martlet", "numbers": [1, 2, 3], "nested": {"a": null, "b": true}}' * 6,
    "html": b"<!DOCTYPE html><html><head><title>A</title></head><body><p>Text</p></body></html>",
    "c": b'#include <stdio.h>\nint main(void) {\n  printf("%d\\n", 42);\n  return 0;\n}\n' * 4,
    "markdown": b"# Title\n\nSome *text* with [a link](http://example.org).\n\n- one\n- two\n" * 5,
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + bytes(range(256)) * 4,
    "zeros": bytes(4096),
}


def results():
    import sys

    import numpy as np
    from magika import Magika

    magika = Magika()
    with open(sys.executable, "rb") as file:
        samples = {**SAMPLES, "elf": file.read(1 << 16)}
    found = [magika.identify_bytes(content) for content in samples.values()]
    labels = [one.output.label for one in found]
    assert "python" in labels, labels
    return {
        "labels": np.array([str(label) for label in labels]),
        "scores": np.array([one.score for one in found]),
    }
