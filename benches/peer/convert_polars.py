"""The peer of `tidemill convert`: CSV to JSON Lines in gzip or to Parquet by polars' streaming engine.

usage: convert_polars.py IN.csv OUT.jsonl.gz|OUT.parquet
"""
import sys

import polars

source, target = sys.argv[1:]
rows = polars.scan_csv(source, try_parse_dates=True)
if target.endswith(".parquet"):
    rows.sink_parquet(target, compression="snappy", engine="streaming")
else:
    rows.sink_ndjson(target, compression="gzip", compression_level=2, engine="streaming")
