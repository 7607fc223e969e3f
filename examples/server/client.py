"""Asks a ptsecure-server with Triton's client: pip install "tritonclient[http]".

python client.py 127.0.0.1:8080 IMAGES.npy         the API key stands in PTSECURE_API_KEY
"""

import os
import sys

import numpy as np
import tritonclient.http


def main(address: str, images_file: str) -> None:
    images = np.load(images_file)
    headers = {"Authorization": f"Bearer {os.environ['PTSECURE_API_KEY']}"}
    with tritonclient.http.InferenceServerClient(address) as client:
        pictures = tritonclient.http.InferInput("images", images.shape, "FP32")
        pictures.set_data_from_numpy(images)  # sent as bytes, not as JSON
        answer = client.infer("digits", [pictures], headers=headers)
    for i, row in enumerate(answer.as_numpy("output_0")):
        print(f"picture {i}: {row.argmax()} ({row.max():.1%})")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python client.py HOST:PORT IMAGES.npy")
    main(*sys.argv[1:])
