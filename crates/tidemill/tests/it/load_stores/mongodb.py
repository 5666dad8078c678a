# Compares collections: with the rows of a CSV file, or with each other. Arguments: uri, database, CSV file or "-", collections.
import csv
import sys

from pymongo import MongoClient

uri, database, path, *names = sys.argv[1:]
collections = {name: {d["_id"]: d for d in MongoClient(uri)[database][name].find()} for name in names}


def cell(name, text):
    if text in ("", "NA"):
        return None
    return int(text) if name in ("year", "engines", "seats", "speed") else text


if path != "-":
    rows = csv.DictReader(open(path))
    wanted = {row["tailnum"]: {n: cell(n, text) for n, text in row.items()} for row in rows}
    wanted = {key: {"_id": key, **row} for key, row in wanted.items()}
else:
    wanted = collections[names[0]]
for name, found in collections.items():
    missing, more = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    differing = [key for key in wanted.keys() & found.keys() if wanted[key] != found[key]]
    if missing or more or differing:
        first = (sorted(missing) + sorted(more) + sorted(differing))[0]
        sys.exit(f"{name}: {len(missing)} missing, {len(more)} more, {len(differing)} other; {first}: "
                 f"{found.get(first)} is not {wanted.get(first)}")
print(len(wanted))
