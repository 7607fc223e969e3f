"""Seals a model, opens it again and runs it on pictures of digits.

python digits.py ../digits/digits.pt ../digits/sample.npy
"""

import sys
from pathlib import Path

import numpy as np
import ptsecure


def load_or_make_keys(path: Path) -> ptsecure.Keyring:
    """The keys of this example, made on its first run."""
    if path.exists():
        return ptsecure.Keyring.load(path)
    keys = ptsecure.Keyring.generate()
    keys.save(path)
    print(f"made {path}: whoever has it can open and publish models")
    return keys


def main(model_file: str, images_file: str) -> None:
    keys = load_or_make_keys(Path("keys.jwks"))
    images = np.load(images_file)

    with ptsecure.open_store("models") as store:
        # With a sample the manifest knows datatypes and shapes, and wrong inputs are refused.
        version = store.publish(
            "digits", model_file, keys, alias="production", sample=images, progress=True
        )
        print(f"published {version.reference} in ./models")
        model = store.load("digits@production", keys, progress=True)

    probabilities = model(images)  # NumPy in, NumPy out; torch in, torch out
    for i, row in enumerate(probabilities):
        print(f"picture {i}: {row.argmax()} ({row.max():.1%})")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python digits.py MODEL.pt IMAGES.npy")
    try:
        main(*sys.argv[1:])
    except ptsecure.Error as error:
        sys.exit(f"{error.status}: {error}")
