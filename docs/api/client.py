"""client.py PROMPT.json PICTURE [NODE.INPUT=VALUE ...]: run it on the ComfyUI at $COMFYUI, save what it made here."""

import json, os, pathlib, sys, time, urllib.error, urllib.parse, urllib.request  # noqa: E401, I001 - short on purpose

SERVER = os.environ.get("COMFYUI", "http://127.0.0.1:8188")


def ask(path, body=None, kind="application/json"):
    try:
        return urllib.request.urlopen(urllib.request.Request(SERVER + path, body, {"Content-Type": kind})).read()
    except urllib.error.HTTPError as refusal:
        sys.exit(refusal.read().decode())


prompt, picture = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
head = f'--x\r\nContent-Disposition: form-data; name="image"; filename="{picture.name}"\r\n\r\n'
form = head.encode() + picture.read_bytes() + b"\r\n--x--\r\n"
name = json.loads(ask("/upload/image", form, "multipart/form-data; boundary=x"))["name"]
for node in prompt.values():
    node["inputs"] |= {"image": name} if node["class_type"] == "LoadImage" else {}
for place, value in (change.split("=", 1) for change in sys.argv[3:]):
    inputs, key = prompt[place.split(".")[0]]["inputs"], place.split(".", 1)[1]
    inputs[key] = value if isinstance(inputs[key], str) else json.loads(value)
number = json.loads(ask("/prompt", json.dumps({"prompt": prompt}).encode()))["prompt_id"]
while not (run := json.loads(ask(f"/history/{number}")).get(number)):
    time.sleep(0.5)
print(run["status"]["status_str"])
for file in [file for output in run["outputs"].values() for file in output.get("images", [])]:
    pathlib.Path(file["filename"]).write_bytes(ask("/view?" + urllib.parse.urlencode(file)))
    print(file["filename"])
