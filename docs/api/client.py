"""client.py PROMPT.json PICTURE [NODE.INPUT=VALUE ...]: run it on the ComfyUI at $COMFYUI, save what it made here."""

import http.client, json, os, sys, time, urllib.error, urllib.parse, urllib.request  # noqa: E401, I001 - short on purpose
from pathlib import Path

GIVEN = os.environ.get("COMFYUI", "").strip().rstrip("/") or "127.0.0.1:8188"
SERVER = GIVEN if "://" in GIVEN else f"http://{GIVEN}"
PATIENCE = float(os.environ.get("COMFYUI_TIMEOUT", 60))  # seconds without a byte of an answer
NOT_AS_MEANT = (LookupError, ValueError, TypeError, AttributeError)


def stop(why):
    """Exit code 1 and a reason, without characters that steer a terminal."""
    sys.exit("".join(each for each in why if each.isprintable() or each == "\n").strip())


def ask(path, body=None, kind="application/json"):
    try:
        request = urllib.request.Request(SERVER + path, body, {"Content-Type": kind})
        return urllib.request.urlopen(request, timeout=PATIENCE).read()
    except urllib.error.HTTPError as refusal:
        stop(f"{SERVER} refuses {path} ({refusal}).\n{refusal.read(9999).decode(errors='replace')}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        stop(f"No ComfyUI answers at {SERVER} ({error}): start it there, or set COMFYUI to where it runs.")


def named(file, key="filename"):
    return "/".join(filter(None, [file.get("subfolder"), file[key]])).replace("\\", "/")


def run(prompt):
    """The files that the prompt made, once it is done."""
    number = json.loads(ask("/prompt", json.dumps({"prompt": prompt}).encode()))["prompt_id"]
    while not (done := json.loads(ask(f"/history/{number}")).get(number)):
        time.sleep(0.5)
    if done["status"]["status_str"] != "success":
        at = [data for _, data in done["status"]["messages"] if "node_type" in data]
        stop("\n".join(f"{each['node_type']}: {each.get('exception_message', 'cancelled')}" for each in at) or "error")
    return [file for output in done["outputs"].values() for file in output.get("images", [])]


def place(file):
    """Where to save a file: in this folder or below, and not hidden, whatever the server calls it."""
    path = named(file)
    plain = file["filename"] and path.isprintable() and all(part and part[0] != "." for part in path.split("/"))
    if not plain or not Path(path).resolve().is_relative_to(Path.cwd()):
        stop(f"{SERVER} names a file {path!r}, which is no name for a picture below this folder: nothing is saved.")
    return Path(path)


def save(path, content):
    """Under this name, or with a number where another file has it."""
    names = [path, *(path.with_stem(f"{path.stem} ({number})") for number in range(1, 1000))]
    free = next(each for each in names if not each.exists() or (each.is_file() and each.read_bytes() == content))
    free.parent.mkdir(parents=True, exist_ok=True)
    free.write_bytes(content)
    print(free)


try:
    prompt, picture = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    for where, value in (change.split("=", 1) for change in sys.argv[3:]):
        inputs, key = prompt[where.split(".")[0]]["inputs"], where.split(".", 1)[1]
        inputs[key] = value if isinstance(inputs[key], str) else json.loads(value)
    loaders = [node["inputs"] for node in prompt.values() if node["class_type"] == "LoadImage"]
    head = f'--picture\r\nContent-Disposition: form-data; name="image"; filename="{picture.name}"\r\n\r\n'
    form = head.encode() + picture.read_bytes() + b"\r\n--picture--\r\n"
except (*NOT_AS_MEANT, OSError) as error:
    stop(f"{__doc__}\n{type(error).__name__}: {error}")
try:
    uploaded = named(json.loads(ask("/upload/image", form, "multipart/form-data; boundary=picture")), "name")
    for inputs in loaders:
        inputs["image"] = uploaded
    files = run(prompt)
    places = [place(file) for file in files]
    print("success")
    for file, path in zip(files, places):
        save(path, ask("/view?" + urllib.parse.urlencode(file)))
except NOT_AS_MEANT as error:
    stop(f"{SERVER} does not answer as ComfyUI does ({type(error).__name__}: {error}).")
except OSError as error:
    stop(f"Nothing can be saved here ({error}).")
