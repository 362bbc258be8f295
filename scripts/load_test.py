"""Load on a running ``diffperc serve``: requests per second, how long each takes, and whether the memory grows.

diffperc serve ckpt=tiny-depth queue=200 &
python scripts/load_test.py http://127.0.0.1:8000/depth --requests 2000 --concurrency 16

The memory is that which the server itself says at /metrics, where the system has such a number (Linux).
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import io
import re
import statistics
import time
from urllib.parse import urljoin

import httpx2 as httpx
from PIL import Image

from diffperc.scenes import render, sample_scene

_SIZES = ((240, 320), (320, 240), (200, 200))
_PHOTOS = 12
_MEMORY = re.compile(r"^process_resident_memory_bytes (\S+)", re.MULTILINE)


def photos() -> list[bytes]:
    """Rendered rooms of some sizes, as png files."""
    files = []
    for i in range(_PHOTOS):
        file = io.BytesIO()
        Image.fromarray(render(sample_scene(2028, i), size=_SIZES[i % len(_SIZES)]).image).save(file, "PNG")
        files.append(file.getvalue())
    return files


async def memory(client: httpx.AsyncClient, address: str) -> str:
    """The resident memory of the server."""
    found = _MEMORY.search((await client.get(urljoin(address, "/metrics"))).text)
    return f"{float(found[1]) / 2**20:.0f} MiB" if found else "unknown"


async def measure(address: str, requests: int, concurrency: int, fields: dict[str, str], accept: str) -> None:
    """Send the requests and print what was measured."""
    files, left = photos(), iter(range(requests))
    seconds: list[float] = []
    statuses: collections.Counter[str] = collections.Counter()
    seen: dict[str, str] = {}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(timeout=300, limits=limits) as client:

        async def sender() -> None:
            for i in left:
                if i == requests // 2:
                    seen["middle"] = await memory(client, address)
                begun = time.perf_counter()
                sent = {"image": files[i % _PHOTOS]}
                try:
                    answer = await client.post(address, files=sent, data=fields, headers={"Accept": accept})
                    statuses[str(answer.status_code)] += 1
                except httpx.TransportError as error:
                    statuses[type(error).__name__] += 1
                seconds.append(time.perf_counter() - begun)

        seen["start"] = await memory(client, address)
        begun = time.perf_counter()
        await asyncio.gather(*(sender() for _ in range(concurrency)))
        took = time.perf_counter() - begun
        seen["end"] = await memory(client, address)
    percentiles = statistics.quantiles(seconds, n=100)
    print(f"{requests} requests, {concurrency} at a time, by status: {dict(statuses)}")
    print(f"{requests / took:.1f} per second; p50 {percentiles[49]:.2f} s, p99 {percentiles[98]:.2f} s")
    print("resident memory: " + ", ".join(f"{seen[when]} at the {when}" for when in ("start", "middle", "end")))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="of an endpoint, such as http://127.0.0.1:8000/depth")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--accept", default="application/json")
    parser.add_argument("--field", action="append", default=[], metavar="NAME=VALUE", help="an option of the model")
    arguments = parser.parse_args()
    fields = dict(field.split("=", 1) for field in arguments.field)
    asyncio.run(measure(arguments.address, arguments.requests, arguments.concurrency, fields, arguments.accept))


if __name__ == "__main__":
    main()
