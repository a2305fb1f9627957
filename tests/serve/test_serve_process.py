"""`destila serve` as a process: the command's bits under load, a stop that loses nothing, a kill."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

import destila

pytest.importorskip("uvicorn")


@pytest.fixture
def serve(exported):
    """Start `destila serve` on a port: `serve("tag", "--workers", "2")` -> (process, port, log lines)."""
    running = []

    def start(task, *options, port=0, **environment):
        folder = exported(task) if not running else running[0][1]
        command = [sys.executable, "-m", "destila", "serve", f"{task}={folder}", *options]
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        running.append((process, folder))
        first = json.loads(process.stderr.readline())
        assert (first["event"], first["host"]) == ("listening", "127.0.0.1")
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(process.stderr), daemon=True)
        reader.start()
        process.log, process.reader, process.folder = lines, reader, folder
        return process, first["port"]

    yield start
    for process, _ in running:
        process.kill()
        process.wait(30)
        process.reader.join(30)
        process.stderr.close()


@pytest.mark.slow
def test_answers_are_the_commands_whatever_runs_beside(serve, asked, tmp_path):
    """A stream's lines equal those of `destila predict`, byte for byte, beside other loads."""
    process, port = serve("tag", "--workers", "2")
    rows = [{"text": text} for text in asked("tag")] + [{"text": "Ana, de Lugo. " * 100}]
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    command = [sys.executable, "-m", "destila", "predict", str(process.folder), str(file)]
    expected = subprocess.run(command, check=True, capture_output=True).stdout

    over = threading.Event()

    def disturb():
        while not over.is_set():
            assert (
                _post(port, "/v1/models/tag/predict", ["Llueve mucho en Soria. " * 10] * 8)[0]
                == 200
            )

    beside = [threading.Thread(target=disturb) for _ in range(2)]
    [thread.start() for thread in beside]
    status, answered = _post(port, "/v1/models/tag/predict/stream", file.read_bytes())
    over.set()
    [thread.join() for thread in beside]
    assert (status, answered) == (200, expected)


def test_sigterm_answers_what_was_taken(serve):
    """Every request that was sent is answered, with its own answer; then the process ends."""
    process, port = serve("classify", "--workers", "1")
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(8)]
    for i, connection in enumerate(connections):
        texts = [{"id": f"{i}-{j}", "text": "una frase bastante larga " * 12} for j in range(30)]
        connection.request("POST", "/v1/models/classify/predict", json.dumps(texts))
    _wait_until(lambda: "destila_waiting_texts 1" in _get(port, "/metrics").decode())
    process.send_signal(signal.SIGTERM)

    for i, connection in enumerate(connections):
        response = connection.getresponse()
        answers = json.loads(response.read())
        assert response.status == 200
        assert [answer["id"] for answer in answers] == [f"{i}-{j}" for j in range(30)]
        connection.close()
    process.wait(30)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_sigterm_ends_a_stream_after_its_answers(serve):
    """A client that would send on for ever gets its answers, and is told where to go on."""
    process, port = serve("classify")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        head = "POST /v1/models/classify/predict/stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b'7\r\n"hola"\n\r\n')
        received = b""
        while b'"id": "0"' not in received:  # answered before the stream has ended
            received += connection.recv(65536)
        process.send_signal(signal.SIGTERM)
        while chunk := connection.recv(65536):
            received += chunk
    assert b'"status": 503' in received
    assert b"the server stops" in received
    assert received.endswith(b"0\r\n\r\n")
    process.wait(10)


def test_a_killed_server_can_start_again_at_once(serve):
    """SIGKILL under load: whole answers were right, others are errors, and the port is free."""
    process, port = serve("classify")
    right = destila.load(process.folder).predict("una frase " * 20).to_dict()
    results, killed = [], threading.Event()

    def ask():
        while not killed.is_set():
            try:
                results.append(_post(port, "/v1/models/classify/predict", "una frase " * 20))
            except (OSError, http.client.HTTPException):
                results.append("no answer")
                killed.wait(0.01)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    [thread.start() for thread in threads]
    _wait_until(lambda: len(results) > 20)
    process.kill()
    process.wait()
    killed.set()
    [thread.join() for thread in threads]
    answers = [json.loads(result[1]) for result in results if result != "no answer"]
    assert len(answers) > 20
    assert all(answer == right for answer in answers)
    serve("classify", port=port)
    assert json.loads(_post(port, "/v1/models/classify/predict", "una frase " * 20)[1]) == right


def test_slow_clients_keep_nobody_waiting(serve):
    """Half a request, half a body, nobody who reads: others are answered, and each wait ends."""
    process, port = serve("classify", "--timeout", "1", "--workers", "1")
    place = b"POST /v1/models/classify/predict"
    half = place + b' HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n"hola'
    line = b'/stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n"hola"\n\r\n'
    with ExitStack() as stack:
        clients = []
        for sent in [half] * 10 + [b"POST /v1"] * 10 + [place + line] * 3:
            client = socket.create_connection(("127.0.0.1", port), timeout=30)
            clients.append(stack.enter_context(client))
            client.sendall(sent)
        assert _post(port, "/v1/models/classify/predict", "hola")[0] == 200

        answer = clients[0].recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        stream = b""
        while not stream.endswith(b"0\r\n\r\n"):
            stream += clients[-1].recv(65536)
        assert stream.count(b'"probabilities"') == 1
        assert b'"status": 408' in stream
    assert _post(port, "/v1/models/classify/predict", "hola")[0] == 200
    assert not [line for line in process.log if "Traceback" in line]


def test_a_taken_port_is_one_error(serve, exported):
    process, port = serve("classify")
    command = [sys.executable, "-m", "destila", "serve", str(process.folder), "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1, port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_log_is_json_without_texts(serve):
    process, port = serve("classify", DESTILA_TOKEN="secreto")
    assert _post(port, "/v1/models/classify/predict?q=Zamora", "Begoña")[0] == 401
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    process.reader.join(30)
    entries = [json.loads(line) for line in process.log if line.startswith("{")]
    others = [line for line in process.log if not line.startswith("{")]
    assert all(line.startswith("stopped") for line in others)  # the command's last line
    assert {"time", "event", "method", "path", "status", "ms"} == entries[0].keys()
    assert "Bego" not in "".join(process.log)
    assert "Zamora" not in "".join(process.log)
    assert "secreto" not in "".join(process.log)


def _post(port, path, value):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    content = connection.getresponse().read()
    connection.close()
    return content


def _wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
