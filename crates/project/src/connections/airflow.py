# Reads connections as Airflow does and says what it made of each: a JSON object a line, in and out.
import json
import logging
import sys

from airflow.models import connection as module
from airflow.models.connection import Connection
from airflow.secrets.local_filesystem import _create_connection

# Neither changes what is read: the masker's pattern grows with every password, and the log with every warning.
module.mask_secret = lambda *_: None
logging.disable(logging.CRITICAL)

for line in open(sys.argv[1], encoding="utf-8"):
    case = json.loads(line)
    try:
        if case["form"] == "file":
            connection = _create_connection("c", json.loads(case["text"]))
        elif case["text"].strip().startswith("{"):
            connection = Connection.from_json(case["text"].strip(), conn_id="c")
        else:
            connection = Connection(conn_id="c", uri=case["text"].strip())
        if not connection.conn_type:
            raise ValueError("no type")
        print(json.dumps({"uri": connection.get_uri(), "json": json.loads(connection.as_json())}))
    except Exception:
        print(json.dumps(None))
