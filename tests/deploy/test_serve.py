"""The HTTP server: answers for each task, refusals in sentences, its description, and its end."""

# ruff: noqa: E402  # imports behind those that may be missing
from __future__ import annotations

import base64
import io
import re
import signal
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diffperc.checkpoints import load
from diffperc.commands.serve import by_task, listening, serve
from diffperc.config.compose import composed
from diffperc.config.nodes import PATHS
from diffperc.errors import CheckpointError, ConfigError
from diffperc.inference.predictor import Predictor
from diffperc.scenes import render, sample_scene

for library in ("fastapi", "prometheus_client"):
    pytest.importorskip(library, reason=f"{library} is not installed")
httpx = pytest.importorskip("httpx2", reason="httpx2 is not installed")
schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

import hypothesis
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from diffperc.deploy.answers import wanted
from diffperc.deploy.gate import Limits
from diffperc.deploy.serve import application

PIXELS = render(sample_scene(41, 3), size=(96, 128)).image
OPTIONS = {
    "depth": {"scene": "bedroom", "flip": "true"},
    "normals": {"flip": "false"},
    "pose": {"boxes": "[[10, 5, 50, 80], [60, 20, 40, 70]]"},
    "referring": {"expression": r"the $\frac{$ box"},
    "segmentation": {},
}
GIVEN: dict[str, dict[str, Any]] = {
    "depth": {"scene": "bedroom", "flip": True},
    "normals": {"flip": False},
    "pose": {"boxes": [[10, 5, 50, 80], [60, 20, 40, 70]]},
    "referring": {"expression": r"the $\frac{$ box"},
    "segmentation": {},
}


def file_of(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


PHOTO = file_of(PIXELS)


@pytest.fixture(scope="module")
def predictors() -> dict[str, Predictor]:
    return {task: load(f"tiny-{task}", "cpu") for task in OPTIONS}


@pytest.fixture(scope="module")
def client(predictors: dict[str, Predictor]) -> Iterator[TestClient]:
    limits = Limits(max_bytes=200_000, max_pixels=500_000, wait=0.0)
    with TestClient(application(predictors, limits), raise_server_exceptions=False) as client:
        yield client


def upload(client: Any, path: str, content: bytes = PHOTO, accept: str = "*/*", **fields: Any) -> Any:
    # a name that would be a file of this machine
    files = {"image": ("/etc/hostname", content)}
    return client.post(path, files=files, data=fields, headers={"Accept": accept})


@pytest.mark.parametrize("task", OPTIONS)
def test_each_task_answers_as_its_predictor(
    task: str, client: TestClient, predictors: dict[str, Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = upload(client, f"/{task}", **OPTIONS[task])
    assert answer.status_code == 200, answer.text
    content = answer.json()
    expected = predictors[task](PIXELS, **GIVEN[task])
    array = np.load(io.BytesIO(base64.b64decode(content["array"])))
    np.testing.assert_allclose(array, np.asarray(expected), rtol=1e-4, atol=1e-4)
    assert (content["summary"], content["width"], content["height"]) == (expected.summary, 128, 96)
    pictured = upload(client, f"/{task}", accept="text/html, image/png;q=0.8", **OPTIONS[task])
    assert pictured.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(pictured.content)).size == expected.picture().shape[1::-1]
    assert base64.b64decode(content["picture"]) == pictured.content
    alone = upload(client, f"/{task}", accept="application/octet-stream", **OPTIONS[task])
    np.testing.assert_array_equal(np.load(io.BytesIO(alone.content)), array)


def test_values_stand_beside_the_picture(client: TestClient) -> None:
    depth = upload(client, "/depth").json()["found"]
    assert 0 < depth["smallest"] < depth["mean"] < depth["largest"] < 20
    shares = upload(client, "/segmentation").json()["found"]["shares"]
    assert sum(shares.values()) == pytest.approx(1)
    persons = upload(client, "/pose", boxes="[[10, 5, 50, 80]]").json()["found"]["persons"]
    assert persons[0]["box"] == [10, 5, 50, 80]
    assert {"nose", "left_ankle"} <= persons[0]["keypoints"].keys()
    assert upload(client, "/referring", expression="a sofa").json()["found"]["expression"] == "a sofa"


def test_jpeg_is_turned_by_its_exif_data(client: TestClient) -> None:
    file, turned = io.BytesIO(), Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(PIXELS).save(file, "JPEG", exif=turned)
    answer = upload(client, "/depth", file.getvalue()).json()
    assert (answer["width"], answer["height"]) == (96, 128)


def bomb(width: int, height: int) -> bytes:
    """A png of few bytes that decodes to many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


BAD: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 422, "image: cannot be read as an image"),
    "cut": (PHOTO[: len(PHOTO) // 2], 422, "image: cannot be read as an image"),
    "pdf": (b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n", 422, "image: cannot be read as an image (not an image)"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", 422, "not an image"),
    "path": (b"/etc/hostname", 422, "not an image"),
    "address": (b"http://127.0.0.1:9/x.png", 422, "not an image"),
    "strip": (file_of(np.zeros((100_000, 1, 3), np.uint8)), 422, "is 1x100000 pixels, more than 100 times longer"),
    "bomb": (bomb(12_000, 12_000), 422, "is 12000x12000 pixels, more than the 500000 that are read"),
    "larger bomb": (bomb(60_000, 60_000)[:100_000], 422, "more than 178 million pixels"),
    "32 bits": (file_of(np.zeros((9, 9), np.float32), "TIFF"), 422, "32-bit numbers"),
    "large": (bytes(300_000), 413, "has more than 200000 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_upload_is_a_sentence(name: str, client: TestClient) -> None:
    content, status, sentence = BAD[name]
    answer = upload(client, "/depth", content)
    assert answer.status_code == status
    assert sentence in answer.json()["detail"]
    assert upload(client, "/depth").status_code == 200


@pytest.mark.parametrize(
    ("task", "fields", "sentence"),
    [
        ("depth", {"flip": "maybe"}, "flip: input should be a valid boolean"),
        ("depth", {"scene": "moon"}, "scene: 'moon' is not a label of scenes; known: "),
        ("depth", {"expression": "a sofa"}, "expression: there is no such field. Known: "),
        ("depth", {"flipp": "true"}, "flipp: there is no such field; did you mean 'flip'?"),
        ("depth", {"flip": ["true", "false"]}, "flip: is given 2 times; give it once."),
        ("referring", {}, "expression: this model finds what a sentence names"),
        ("pose", {"boxes": "[[1, 2"}, "boxes: must be json, as described in /openapi.json, found '[[1, 2'."),
        ("pose", {"boxes": "5"}, "boxes: must be json"),
        ("pose", {"boxes": "[[1, 2, 3]]"}, "boxes: expected four numbers"),
        ("pose", {"boxes": "[[1e400, 0, 9, 9]]"}, "boxes: expected four numbers"),
        ("pose", {"boxes": f"[[1{'0' * 400}, 0, 9, 9]]"}, "boxes: "),
        ("pose", {"boxes": "[[500, 0, 9, 9]]"}, "outside the image of 128x96 pixels"),
        ("pose", {"boxes": f"[{','.join(['[0,0,9,9]'] * 101)}]"}, "boxes: has 101 entries, more than 100"),
        ("pose", {"boxes": "[" * 100_000}, "boxes: must be json"),
        ("pose", {"detector": "/etc"}, "detector: input should be 'heat', found '/etc'."),
        ("pose", {"detector": "owner/name@0123456789abcdef0123456789abcdef01234567"}, "detector: input should be"),
        ("pose", {"detector_score": "0.5"}, "detector_score: is of a detector, and none is given"),
        ("pose", {"detector": "heat", "detector_score": "nan"}, "detector_score: must be a number from 0 to 1"),
    ],
)
def test_a_wrong_option_is_a_sentence(task: str, fields: Any, sentence: str, client: TestClient) -> None:
    answer = upload(client, f"/{task}", **fields)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


def test_what_is_no_upload_is_a_sentence(client: TestClient) -> None:
    needed = "image: must be an uploaded file"
    for sent in (
        {"data": {"image": "/etc/hostname"}},
        {"json": {"image": "http://127.0.0.1/x.png"}},
        {"content": b""},
        {"files": {"photo": PHOTO}},
    ):
        answer = client.post("/depth", **sent)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["detail"][: len(needed)]) == (422, needed)
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/depth", content=b"--x\r\nnothing", headers=broken).status_code in (400, 422)
    assert upload(client, "/depth", accept="text/html").status_code == 406
    assert client.get("/depth").status_code == 405
    unknown = upload(client, "/nowhere")
    assert (unknown.status_code, unknown.json()["detail"][:20]) == (404, "there is no /nowhere")
    parts = iter([b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n', *[bytes(10_000)] * 40])
    assert client.post("/depth", content=parts, headers=broken).status_code == 413


def test_no_option_of_a_request_is_opened(client: TestClient) -> None:
    """What is a path or the name of something to load anywhere else has fixed values here."""
    described = client.get("/openapi.json").json()["components"]["schemas"]
    opened = []
    for task in OPTIONS:
        for name, field in described[f"Body_{task}"]["properties"].items():
            if name in PATHS:
                opened += [
                    f"{task}.{name}" for kind in field["anyOf"] if kind.get("type") != "null" and "const" not in kind
                ]
    assert opened == []


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/*", "image/png"),
        ("text/html, image/png;q=0.1", "image/png"),
        ("application/json;q=0.2, image/png;q=0.9", "image/png"),
        ("application/octet-stream", "application/octet-stream"),
        ("image/png;q=0, application/json;q=x, application/octet-stream;q=0.1", "application/octet-stream"),
    ],
)
def test_the_kind_that_is_accepted_most_is_sent(accept: str, media: str) -> None:
    assert wanted(accept) == media


def test_health_and_counts(predictors: dict[str, Predictor]) -> None:
    with TestClient(application({"depth": predictors["depth"]}, Limits())) as client:
        assert client.get("/health").json()["tasks"] == ["depth"]
        upload(client, "/depth")
        upload(client, "/depth", b"")
        client.get("/anything")
        counts = client.get("/metrics")
        assert counts.headers["content-type"].startswith("text/plain")
        for line in (
            'diffperc_requests_total{endpoint="/depth",status="200"} 1.0',
            'diffperc_requests_total{endpoint="/depth",status="422"} 1.0',
            'diffperc_requests_total{endpoint="other",status="404"} 1.0',
            'diffperc_request_seconds_count{endpoint="/depth"} 2.0',
            "diffperc_queue_length 0.0",
        ):
            assert line in counts.text.splitlines()
        # pages that load scripts of other hosts
        assert [client.get(page).status_code for page in ("/docs", "/redoc")] == [404, 404]


class Held:
    """A network that does not answer before it is let."""

    def __init__(self, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go, forward = threading.Event(), threading.Event(), predictor.model.forward

        def held(batch: Any) -> Any:
            self.begun.set()
            self.go.wait(60)
            return forward(batch)

        monkeypatch.setattr(predictor.model, "forward", held)


def test_more_than_the_queue_is_refused(predictors: dict[str, Predictor], monkeypatch: pytest.MonkeyPatch) -> None:
    network = Held(predictors["depth"], monkeypatch)
    limits = Limits(queue=1)
    with TestClient(application({"depth": predictors["depth"]}, limits)) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(upload, client, "/depth")
        network.begun.wait(60)
        assert "diffperc_queue_length 1.0" in client.get("/metrics").text
        second = upload(client, "/depth")
        network.go.set()
        assert first.result().status_code == 200
    assert second.status_code == 503
    assert second.json()["detail"] == "the server is busy with 1 requests; try again later."
    assert second.headers["retry-after"] == "1"


def test_a_prediction_that_takes_too_long_is_refused(
    predictors: dict[str, Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Held(predictors["depth"], monkeypatch)
    with TestClient(application({"depth": predictors["depth"]}, Limits(timeout=0.2))) as client:
        answer = upload(client, "/depth")
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("the prediction took more than 0.2 s")
        network.go.set()


def test_a_mistake_of_ours_is_no_sentence_about_the_image(
    client: TestClient, predictors: dict[str, Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictors["depth"].model, "forward", lambda batch: 1 / 0)
    answer = upload(client, "/depth")
    assert (answer.status_code, answer.json()["detail"]) == (500, "/depth: failed; the log of the server says why.")


def test_two_checkpoints_of_a_task_are_refused(predictors: dict[str, Predictor]) -> None:
    depth, pose = predictors["depth"], predictors["pose"]
    assert by_task({"a": depth, "b": pose}) == {"depth": depth, "pose": pose}
    with pytest.raises(ConfigError, match="ckpt: a and b are both of depth"):
        by_task({"a": depth, "b": depth})


def test_an_address_that_cannot_be_used_is_a_sentence() -> None:
    with listening("127.0.0.1", None) as taken:
        taken.listen()
        with pytest.raises(ConfigError, match=r"port: the server cannot be offered at 127\.0\.0\.1, port"):
            listening("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(ConfigError, match=r"port: the server cannot be offered at no\.such\.host\.invalid"):
        listening("no.such.host.invalid", 8000)


class Server:
    """`diffperc serve` in a process of its own, at a free port."""

    def __init__(self, *typed: str) -> None:
        command = [sys.executable, "-m", "diffperc.serve", "port=null", "device=cpu", *typed]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            found = re.search(r"(http://127\.0\.0\.1:\d+)", line)
            if found:
                self.address = found[1]
                return
        raise AssertionError("".join(said))


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server("ckpt=tiny-depth", "queue=200", "timeout=120")
    yield started
    started.process.kill()
    started.process.communicate()


@pytest.mark.slow
def test_two_hundred_at_once_and_a_clean_end(server: Server, predictors: dict[str, Predictor]) -> None:
    sizes = [(96, 128), (128, 96), (60, 60)]
    photos = [render(sample_scene(41, i), size=size).image for i, size in enumerate(sizes)]
    expected = [predictors["depth"](photo).depth for photo in photos]
    limits = httpx.Limits(max_connections=None)
    with httpx.Client(base_url=server.address, timeout=200, limits=limits) as client, ThreadPoolExecutor(200) as pool:

        def asked(i: int) -> Any:
            return upload(client, "/depth", file_of(photos[i % 3]), accept="application/octet-stream")

        answers = list(pool.map(asked, range(200)))
        assert {answer.status_code for answer in answers} == {200}
        for i, answer in enumerate(answers):
            np.testing.assert_allclose(np.load(io.BytesIO(answer.content)), expected[i % 3], atol=1e-3)
        # what is accepted when it is told to end is answered
        last = [pool.submit(asked, i) for i in range(40)]
        while int(float(re.findall(r"^diffperc_queue_length (.*)", client.get("/metrics").text, re.M)[0])) < 40:
            assert not all(job.done() for job in last)
        server.process.send_signal(signal.SIGTERM)
        assert {job.result().status_code for job in last} == {200}
    rest, _ = server.process.communicate(timeout=60)
    assert server.process.returncode == 0, rest
    assert "Traceback" not in rest


def test_a_wrong_checkpoint_is_found_before_anything_is_served() -> None:
    with pytest.raises((CheckpointError, ConfigError), match="gone"):
        serve(composed("serve", ["ckpt=gone"]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Glyph", "ignore:Matplotlib currently does not support")
@pytest.mark.parametrize("path", [*(f"/{task}" for task in OPTIONS), "/health", "/metrics"])
def test_requests_made_of_the_description_are_answered_as_described(
    path: str, predictors: dict[str, Predictor]
) -> None:
    described = schemathesis.openapi.from_asgi("/openapi.json", application(predictors, Limits()))
    operation = described[path]["GET" if path in ("/health", "/metrics") else "POST"]

    @hypothesis.settings(max_examples=25, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(case=operation.as_strategy())
    def asked(case: Any) -> None:
        # which bytes are an image, and which labels there are, no schema says
        case.call_and_validate(excluded_checks=[positive_data_acceptance])
        if isinstance(case.body, dict) and "image" in case.body:  # once more with one that can be read
            case.body["image"] = PHOTO
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

    asked()
