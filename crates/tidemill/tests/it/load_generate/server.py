# An interface of HTTP with 95 people in pages, as real ones are: now and then it is too busy, broken, or cuts an answer off.
# Prints its port. Each path counts its own requests.
import collections
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PEOPLE = [{"id": n, "email": f"p{n}@example.com", "city": ["Lisbon", "Quito"][n % 2]} for n in range(95)]
requests, lock = collections.Counter(), threading.Lock()


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=()):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with lock:
            requests[url.path] += 1
            count = requests[url.path]
        if url.path == "/people":
            if count % 5 == 1:
                return self.answer(429, b"", [("Retry-After", "0")])
            if count % 5 == 2:
                return self.answer(500, b"{}")
            if count % 5 == 3:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"results": [')
                self.close_connection = True
                return None
            size, page = int(query.get("results", 10)), int(query.get("page", 1))
            return self.answer(200, {"results": PEOPLE[(page - 1) * size : page * size], "info": {"page": page}})
        if url.path == "/secret":
            if self.headers.get("Authorization") != "Bearer s3cret":
                return self.answer(401, {})
            start = int(query.get("after", 0))
            last = start + 20 >= len(PEOPLE)
            return self.answer(200, {"data": PEOPLE[start : start + 20], "next": None if last else start + 20})
        if url.path == "/endless":
            return self.answer(200, [{"id": 1}])
        if url.path == "/page":
            return self.answer(200, b"<html>Sign in</html>")
        return self.answer(404, {"error": "no such thing"})


server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
print(server.server_address[1], flush=True)
server.serve_forever()
