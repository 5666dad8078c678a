"""The peer of `tidemill convert`: CSV to JSON Lines in gzip or to Parquet by duckdb. It also counts rows, for whoever made the file.

usage: convert_duckdb.py IN.csv OUT.jsonl.gz|OUT.parquet
       convert_duckdb.py FILE count
"""
import sys

import duckdb

source, target = sys.argv[1:]
if target == "count":
    read = "read_parquet" if source.endswith(".parquet") else "read_json_auto"
    print(duckdb.execute(f"SELECT count(*) FROM {read}('{source}')").fetchall()[0][0])
elif target.endswith(".parquet"):
    duckdb.execute(f"COPY (FROM read_csv('{source}')) TO '{target}' (FORMAT parquet, COMPRESSION snappy)")
else:
    duckdb.execute(f"COPY (FROM read_csv('{source}')) TO '{target}' (FORMAT json, COMPRESSION gzip)")
