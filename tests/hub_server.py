"""A server on this machine that speaks as much of the Hugging Face Hub as a model's way there and back."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub(BaseHTTPRequestHandler):
    """Repositories in memory: `files` holds bytes by "USER/NAME/PATH"."""

    files: dict
    COMMIT = "0" * 40

    def do_HEAD(self):
        self._file(body=False)

    def do_GET(self):
        self._file(body=True)

    def do_PUT(self):  # a large file's content
        self.files[self.path] = self._body()
        self._json({})

    def do_POST(self):
        body = self._body()
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization") or "someone", asked["name"])))
            self._json({"url": f"http://{self.headers['Host']}/{name}", "name": name})
        elif "/preupload/" in self.path:
            listed = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            self._json({"files": listed})
        elif "/commit/" in self.path:
            repository = "/".join(self.path.split("/")[3:5])
            for line in map(json.loads, body.decode().splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.files[f"{repository}/{value['path']}"] = base64.b64decode(value["content"])
            url = f"http://{self.headers['Host']}/{repository}/commit/{self.COMMIT}"
            self._json({"success": True, "commitOid": self.COMMIT, "commitUrl": url})
        else:
            self._json({"type": "model", "valid": True}, 200 if "validate-yaml" in self.path else 404)

    def _file(self, *, body: bool):
        owner, name, _, _, *rest = [*self.path.strip("/").split("/"), "", "", "", ""][:32]
        key = "/".join(filter(None, (owner, name, *rest)))
        if "/api/" in self.path or key not in self.files:
            return self._json({"error": "not found"}, 404)
        content = self.files[key]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)
        return None

    def _json(self, value, code: int = 200):
        content = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def log_message(self, *_):
        pass


@contextmanager
def hub():
    """Runs a server; gives its address and its files."""
    files: dict[str, bytes] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHub", (Hub,), {"files": files}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", files
    finally:
        server.shutdown()
        server.server_close()
