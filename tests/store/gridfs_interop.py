"""Reads a store's payloads with pymongo alone: gridfs_interop.py URI

The store holds digits/1/model, 3 MiB + 17 bytes of the tests' pattern, and empty/1/model.
"""

import sys
from typing import Any

import gridfs
import pymongo


def pattern(size: int, seed: int) -> bytes:
    state = (seed * 2654435761 + 1) % 2**32
    out = bytearray(size)
    for i in range(size):
        state = (state * 1664525 + 1013904223) % 2**32
        out[i] = state >> 24
    return bytes(out)


def main() -> None:
    client: Any = pymongo.MongoClient(sys.argv[1])
    database = client.get_default_database()
    bucket = gridfs.GridFSBucket(database, "ptsecure.payloads")
    names = sorted(f.filename for f in bucket.find({}))
    assert names == ["digits/1/model", "empty/1/model"], names

    expected = pattern(3 * 2**20 + 17, 1)
    stream = bucket.open_download_stream_by_name("digits/1/model")
    assert stream.length == len(expected)
    assert stream.chunk_size == 2**20
    assert stream.upload_date is not None
    metadata: Any = stream.metadata
    assert metadata["name"] == "digits" and metadata["version"] == 1
    assert stream.read() == expected
    stream.seek(2**20 - 3)
    assert stream.read(6) == expected[2**20 - 3 : 2**20 + 3]
    assert bucket.open_download_stream("empty/1/model").read() == b""

    # A driver that uploads here afterwards finds the indexes it wants, and its file beside ours.
    with bucket.open_upload_stream("foreign") as upload:
        upload.write(b"x" * 300000)
    assert bucket.open_download_stream_by_name("foreign").read() == b"x" * 300000
    indexes = database["ptsecure.payloads.chunks"].index_information()
    assert indexes["files_id_1_n_1"]["unique"], indexes
    assert "filename_1_uploadDate_1" in database["ptsecure.payloads.files"].index_information()
    bucket.delete(bucket.find({"filename": "foreign"}).next()._id)


main()
