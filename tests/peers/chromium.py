"""Headless Chromium through its driver, with a page from folders of this machine."""

import http.server
import json
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Seconds that one script may take.
PATIENCE = 600


def serve(folders):
    """Serves each folder under its name, `""` at the root, as a page that is cross-origin isolated: threads need that.
    Returns the server."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        extensions_map = {"": "application/octet-stream"} | {
            ".html": "text/html",
            ".js": "text/javascript",
            ".mjs": "text/javascript",
            ".wasm": "application/wasm",
        }

        def translate_path(self, path):
            first, _, rest = path.split("?")[0].lstrip("/").partition("/")
            name, rest = (first, rest) if first in folders else ("", f"{first}/{rest}".rstrip("/"))
            wanted = (Path(folders[name]) / (rest or "index.html")).resolve()
            inside = wanted.is_relative_to(Path(folders[name]).resolve())
            return str(wanted if inside else Path(folders[name]) / "nothing")

        def end_headers(self):
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.send_header("Cache-Control", "no-store")
            super().end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Browser:
    """A browser with the page of `folders` open."""

    def __init__(self, driver, folders):
        self.server = serve(folders)
        self.profile = tempfile.mkdtemp(prefix="hilum-bench-chromium-")
        self.driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True)
        self.session = None
        try:
            self.begin()
        except BaseException:
            self.close()
            raise

    def begin(self):
        port = next(
            line.rpartition(" ")[2].strip(".\n")
            for line in self.driver.stdout
            if "started successfully on port" in line
        )
        self.address = f"http://127.0.0.1:{port}/session"
        arguments = ARGUMENTS + [f"--user-data-dir={self.profile}"]
        capabilities = {"goog:chromeOptions": {"args": arguments}}
        self.session = self.call("POST", "", {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]
        self.call("POST", "/timeouts", {"script": PATIENCE * 1000})
        self.call("POST", "/url", {"url": f"http://127.0.0.1:{self.server.server_port}/"})

    def call(self, method, path, body=None):
        """A command of the driver."""
        session = f"/{self.session}" if self.session else ""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + session + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE + 60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def ask(self, message):
        """What the page's `ask` answers."""
        script = """const done = arguments[1];
            ask(arguments[0]).then((answer) => done({ answer }), (error) => done({ error: `${error}` }));"""
        told = self.call("POST", "/execute/async", {"script": script, "args": [message]})
        if "error" in told:
            raise RuntimeError(told["error"])
        return told["answer"]

    def close(self):
        """Ends browser, driver and server."""
        if self.session:
            try:
                self.call("DELETE", "")
            except (OSError, RuntimeError):
                pass  # it has ended by itself
        self.driver.terminate()
        self.driver.wait()
        self.server.shutdown()
        shutil.rmtree(self.profile, ignore_errors=True)
