"""What Python users put together today: a JWE (A256KW + A256GCM) of the model in GridFS.

gridfs_jwe.py seal MODEL.pt OUT.jwe          makes OUT.jwe and OUT.key (a JWK)
gridfs_jwe.py put OUT.jwe URI DATABASE       uploads it as pymongo does by default
gridfs_jwe.py open OUT.key URI DATABASE      pymongo, jwcrypto, torch.jit.load; prints the cost
gridfs_jwe.py drop URI DATABASE
"""

import io
import json
import os
import pathlib
import sys
import time

import gridfs
import pymongo

FILE = "model.jwe"


def seal(model: pathlib.Path, out: pathlib.Path) -> None:
    from jwcrypto import jwe, jwk

    key = jwk.JWK.generate(kty="oct", size=256)
    token = jwe.JWE(model.read_bytes(), json.dumps({"alg": "A256KW", "enc": "A256GCM"}))
    token.add_recipient(key)
    out.write_text(token.serialize(compact=True))
    out.with_suffix(".key").write_text(key.export())


def bucket(uri: str, database: str) -> gridfs.GridFSBucket:
    return gridfs.GridFSBucket(pymongo.MongoClient(uri)[database])


def put(file: pathlib.Path, uri: str, database: str) -> None:
    with file.open("rb") as source:
        bucket(uri, database).upload_from_stream(FILE, source)


def open_model(key_file: pathlib.Path, uri: str, database: str) -> None:
    import torch
    from jwcrypto import jwe, jwk

    torch.empty(1)
    key = jwk.JWK.from_json(key_file.read_text())
    # jwcrypto refuses tokens over 250 kB unless told otherwise.
    jwe.default_max_plaintext_size = sys.maxsize
    jwe.default_max_compressed_size = sys.maxsize
    if os.system(os.environ.get("PTSECURE_BENCH_BEFORE", ":")) != 0:
        sys.exit("PTSECURE_BENCH_BEFORE failed")
    begin = time.perf_counter()
    cpu = time.process_time()
    token = io.BytesIO()
    bucket(uri, database).download_to_stream_by_name(FILE, token)
    opened = jwe.JWE()
    opened.deserialize(token.getvalue().decode(), key)
    torch.jit.load(io.BytesIO(opened.payload))
    print(
        json.dumps(
            {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - cpu}
        )
    )


def main() -> None:
    verb, *rest = sys.argv[1:]
    if verb == "seal":
        seal(pathlib.Path(rest[0]), pathlib.Path(rest[1]))
    elif verb == "put":
        put(pathlib.Path(rest[0]), rest[1], rest[2])
    elif verb == "open":
        open_model(pathlib.Path(rest[0]), rest[1], rest[2])
    else:
        pymongo.MongoClient(rest[0]).drop_database(rest[1])


if __name__ == "__main__":
    main()
