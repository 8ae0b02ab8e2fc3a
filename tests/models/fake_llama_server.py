"""Takes the place of llama-server: loads for a moment, then answers /health, and /v1/models to those who have the key.

python fake_llama_server.py [--fail] [--loading SECONDS] --host HOST --port PORT
"""

import argparse
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        allowed = self.path == "/health" or self.headers["Authorization"] == f"Bearer {os.environ['LLAMA_API_KEY']}"
        loaded = time.monotonic() >= READY
        body = json.dumps({"argv": sys.argv, "environment": dict(os.environ)}).encode()
        self.send_response(503 if not loaded else 200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


parser = argparse.ArgumentParser()
parser.add_argument("--fail", action="store_true")
parser.add_argument("--loading", type=float, default=0.0)
parser.add_argument("--host", required=True)
parser.add_argument("--port", type=int, required=True)
options = parser.parse_args()
if options.fail:
    sys.exit("no memory for the model")
READY = time.monotonic() + options.loading
ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()
