# A proxy before a schema registry: TLS, and nobody comes in without a name and password or a token.
import base64, http.server, ssl, sys, urllib.error, urllib.request

folder, behind = sys.argv[1:]
BASIC = "Basic " + base64.b64encode(b"ada:secret: with colon").decode()


class Guard(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("authorization") not in (BASIC, "Bearer token of ada"):
            return self.give(401, b'{"error_code": 401, "message": "Unauthorized"}')
        headers = {"content-type": self.headers.get("content-type") or "application/json"}
        asked = urllib.request.Request(behind + self.path, data=body or None, headers=headers, method=self.command)
        try:
            with urllib.request.urlopen(asked) as answer:
                self.give(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            self.give(error.code, error.read())

    do_GET = do_POST = answer

    def give(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guard)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/server.pem", folder + "/server.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
print("port", server.server_address[1])
server.serve_forever()
