"""What a team would write without simtile: aiohttp and FAISS's flat index in one process, one search a request.

    serve_peer.py MATRIX.emb PORT      MATRIX: dense f32; the body of POST /search is one f32 vector
"""
import struct
import sys

import faiss
import numpy as np
from aiohttp import web


def read_rows(path):
    """docs/file_format.md: rows, columns and stride in the body at offset 576; the rows follow the header."""
    with open(path, "rb") as file:
        header = file.read(4096)
    rows, columns, stride = struct.unpack_from("<QQQ", header, 576 + 8)
    flat = np.memmap(path, dtype=np.float32, mode="r", offset=4096, shape=(rows, stride // 4))
    return np.ascontiguousarray(flat[:, :columns])


def main():
    rows = read_rows(sys.argv[1])
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)

    async def search(request):
        query = np.frombuffer(await request.read(), dtype=np.float32).reshape(1, -1)
        scores, found = index.search(query, int(request.query.get("k", 10)))
        neighbours = [{"row": int(row), "score": float(score)} for row, score in zip(found[0], scores[0])]
        return web.json_response({"results": [{"neighbours": neighbours}]})

    app = web.Application()
    app.router.add_post("/v1/indexes/items/search", search)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=None, access_log=None)


if __name__ == "__main__":
    main()
