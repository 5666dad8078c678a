# One request that goes on: the next record is only sent when the one before has its answer.
import http.client, json, sys
from urllib.parse import urlsplit

url = urlsplit(sys.argv[1])
connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
connection.putrequest("POST", url.path)
connection.putheader("Content-Type", "application/json")
connection.putheader("Transfer-Encoding", "chunked")
connection.endheaders()
answer = None
for n in range(5):
    record = json.dumps({"value": {"type": "JSON", "data": n}}).encode()
    # In two parts, so that a record is not what comes at once.
    for part in (record[:10], record[10:]):
        connection.sock.sendall(b"%x\r\n%s\r\n" % (len(part), part))
    if answer is None:
        answer = connection.getresponse()
    line = json.loads(answer.readline())
    assert (line["error_code"], line["offset"]) == (200, n), line
connection.sock.sendall(b"0\r\n\r\n")
assert answer.read() == b""
print(answer.status, "five answers")
