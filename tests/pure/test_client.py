"""docs/api/client.py against servers that fail, that are something else, or that name files elsewhere."""

import json
import runpy
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

CLIENT = Path(__file__).resolve().parents[2] / "docs" / "api" / "client.py"
PROMPT = {"1": {"class_type": "LoadImage", "inputs": {"image": "example.png", "size": 5}}}
SUCCESS = {"status_str": "success", "completed": True, "messages": []}
HTML = b"<html><body>Welcome to nginx!</body></html>"


class Server(ThreadingHTTPServer):
    """ComfyUI's answers, which a test changes: `said` by path, `files` of a finished run. It keeps what it was sent."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.said, self.got, self.files, self.status = {}, {}, [{"filename": "a.png", "subfolder": ""}], SUCCESS
        self.address = f"127.0.0.1:{self.server_address[1]}"

    def answer(self, path, query):
        run = {"status": self.status, "outputs": {"2": {"images": self.files}, "3": {"text": ["nothing"]}}}
        usual = {
            "/upload/image": {"name": "uploaded.png", "subfolder": "", "type": "input"},
            "/prompt": {"prompt_id": "number"},
            "/history/number": {"number": run},
            "/view": f"{query.get('subfolder', [''])[0]}/{query.get('filename', [''])[0]}/{query.get('type', [''])[0]}",
        }
        return self.said.get(path, usual.get(path))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        split = urlsplit(self.path)
        answer = self.server.answer(split.path, parse_qs(split.query, keep_blank_values=True))
        if callable(answer):
            return answer(self)
        code, body = (405, HTML) if answer is None else answer if isinstance(answer, tuple) else (200, answer)
        self.send_response(code)
        self.end_headers()
        texts = split.path == "/view" and isinstance(body, str)
        self.wfile.write(body if isinstance(body, bytes) else (body if texts else json.dumps(body)).encode())

    def do_POST(self):
        self.server.got[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_):
        pass


class Ended(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def server():
    with Server() as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def folder(tmp_path):
    """Where the client is run, in a folder that nothing may leave."""
    made = tmp_path / "outer" / "here"
    made.mkdir(parents=True)
    (made / "prompt.json").write_text(json.dumps(PROMPT))
    (made / "mine.png").write_bytes(b"a picture")
    return made


@pytest.fixture
def client(server, folder, monkeypatch, capsys):
    """Runs it in this process: its exit code and what it wrote. Whatever is a traceback in a terminal is raised."""
    monkeypatch.chdir(folder)

    def run(*words, address=server.address, patience=20):
        monkeypatch.setattr(sys, "argv", ["client.py", *(words or ("prompt.json", "mine.png"))])
        monkeypatch.setenv("COMFYUI", address)
        monkeypatch.setenv("COMFYUI_TIMEOUT", str(patience))
        try:
            runpy.run_path(str(CLIENT), run_name="__main__")
        except SystemExit as end:
            return Ended(1, capsys.readouterr().out, str(end))
        return Ended(0, *capsys.readouterr())

    return run


def saved(folder):
    """All files in the folder and around it, but for those that were there."""
    outer = folder.parent
    found = {path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path): path.read_text()
             for path in outer.rglob("*") if path.is_file()}  # fmt: skip
    return {name: text for name, text in found.items() if name not in ("prompt.json", "mine.png")}


def said(answer):
    """What it gave up with."""
    assert answer.returncode == 1
    return answer.stderr.strip()


# --- as it should be ---


@pytest.mark.parametrize("written", ["{}", "{}/", "http://{}", "http://{}/", " http://{}// "])
def test_it_uploads_sends_waits_and_saves_however_the_address_is_written(server, client, folder, written):
    answer = client("prompt.json", "mine.png", "1.size=7", address=written.format(server.address))
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "success\na.png\n", "")
    assert saved(folder) == {"a.png": "/a.png/"}
    assert b'filename="mine.png"\r\n\r\na picture\r\n--' in server.got["/upload/image"]
    sent = json.loads(server.got["/prompt"])["prompt"]
    assert sent == {"1": {"class_type": "LoadImage", "inputs": {"image": "uploaded.png", "size": 7}}}


def test_an_uploaded_picture_is_asked_for_where_the_server_put_it(server, client):
    server.said["/upload/image"] = {"name": "b.png", "subfolder": "mine\\today", "type": "input"}
    assert client().returncode == 0
    assert json.loads(server.got["/prompt"])["prompt"]["1"]["inputs"]["image"] == "mine/today/b.png"


@pytest.mark.parametrize(
    "names",
    [[("a", "x.png"), ("b", "x.png")], [("", "a/x.png"), ("", "b/x.png")], [("a\\c", "x.png"), ("b", "c\\x.png")]],
)
def test_pictures_of_one_name_in_two_folders_are_both_kept(server, client, folder, names):
    server.files = [{"filename": name, "subfolder": subfolder} for subfolder, name in names]
    answer = client()
    assert answer.returncode == 0 and len(saved(folder)) == 2
    assert [Path(folder / name).is_file() for name in answer.stdout.split("\n")[1:-1]] == [True, True]


def test_files_of_one_name_are_told_apart_and_nothing_is_written_over(server, client, folder):
    server.files = [{"filename": "mine.png", "type": kind} for kind in ("temp", "output")]
    for _ in range(2):  # the second time they are there already
        answer = client()
        assert answer.stdout == "success\nmine (1).png\nmine (2).png\n"
        assert saved(folder) == {"mine (1).png": "/mine.png/temp", "mine (2).png": "/mine.png/output"}
    assert (folder / "mine.png").read_bytes() == b"a picture"


# --- names from outside ---


@pytest.mark.parametrize(
    "file",
    [
        {"filename": "../outside.txt"},
        {"filename": "outside.txt", "subfolder": "a/../.."},
        {"filename": "..\\outside.txt"},
        {"filename": "/{outer}/outside.txt"},
        {"filename": "outside.txt", "subfolder": "{outer}"},
        {"filename": "linked/outside.txt"},
        {"filename": ""},
        {"filename": ".."},
        {"filename": ".bashrc"},
        {"filename": "\x1b[2J.png"},
        {"filename": "\ud800.png"},
        {"filename": None},
        "a.png",
    ],
    ids=repr,
)
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_saved(server, client, folder, file):
    (folder / "linked").symlink_to(folder.parent, target_is_directory=True)
    placed = json.loads(json.dumps(file).replace("{outer}", str(folder.parent)))
    server.files = [{"filename": "first.png"}, placed]
    assert server.address in said(client())
    assert saved(folder) == {}


# --- what goes wrong ---


def test_a_failed_run_says_why_and_saves_nothing(server, client, folder):
    fault = {"node_id": "2", "node_type": "EmerDiffLiftMask", "exception_message": "every mask is empty\n"}
    server.status = {"status_str": "error", "messages": [["execution_start", {}], ["execution_error", fault]]}
    assert said(client()) == "EmerDiffLiftMask: every mask is empty"
    server.status["messages"][1] = ["execution_interrupted", {"node_type": "KSampler"}]
    assert said(client()) == "KSampler: cancelled"
    server.status["messages"].pop()
    assert said(client()) == "error" and saved(folder) == {}


def test_no_server_is_a_sentence(server, client):
    server.shutdown()
    server.server_close()
    for address in (server.address, "nowhere.invalid:8188", "127.0.0.1:99999", "127.0.0.1:port", "http://", "a b"):
        told = said(client(address=address))
        assert told.startswith("No ComfyUI answers at http://") and told.endswith("set COMFYUI to where it runs.")
        assert "\n" not in told


@pytest.mark.parametrize("path", ["/upload/image", "/prompt", "/history/number"])
@pytest.mark.parametrize("body", [HTML, b"", b"\xff\0", [], {}, None, "text", 5], ids=repr)
def test_a_server_that_is_no_comfyui_is_a_sentence(server, client, folder, path, body):
    if path == "/history/number":
        body = {"number": {"status": body}} if isinstance(body, dict) else body
    server.said[path] = (200, body)
    assert said(client()).startswith(f"http://{server.address} does not answer as ComfyUI does (")
    assert saved(folder) == {}


def test_a_refusal_is_passed_on_without_what_would_steer_the_terminal(server, client):
    server.said["/prompt"] = (400, b'{"error": "no \x1b[31msuch\x07 node"}')
    told = said(client())
    assert told.startswith(f"http://{server.address} refuses /prompt (HTTP Error 400: Bad Request).\n")
    assert told.endswith('{"error": "no [31msuch node"}')


@pytest.mark.parametrize("path", ["/upload/image", "/history/number", "/view"])
def test_a_server_that_never_answers_is_given_up(server, client, folder, path):
    hold = threading.Event()
    server.said[path] = lambda handler: hold.wait(30)
    assert said(client(patience=0.5)).startswith("No ComfyUI answers at http://")
    hold.set()
    assert saved(folder) == {}


def test_a_server_that_hangs_up_or_speaks_something_else_is_a_sentence(server, client):
    for line in (b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"):
        server.said["/prompt"] = lambda handler, line=line: handler.wfile.write(line)
        assert said(client()).startswith("No ComfyUI answers at http://")


@pytest.mark.parametrize(
    "words",
    [
        ["prompt.json"],
        ["nothing.json", "mine.png"],
        ["mine.png", "mine.png"],
        ["prompt.json", "nothing.png"],
        ["prompt.json", "mine.png", "7.size=5"],
        ["prompt.json", "mine.png", "1.sise=5"],
        ["prompt.json", "mine.png", "1.size"],
        ["prompt.json", "mine.png", "1.size=five"],
    ],
    ids=" ".join,
)
def test_a_command_that_does_not_fit_says_how_it_is_given(server, client, words):
    assert said(client(*words)).startswith("client.py PROMPT.json PICTURE")
    assert server.got == {}
