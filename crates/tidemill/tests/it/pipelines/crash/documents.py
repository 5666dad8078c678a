# Compares the planes of databases with the first of them. Arguments: uri, databases. Prints how many the first has.
import sys

import pymongo

uri, *names = sys.argv[1:]
client = pymongo.MongoClient(uri)


def planes(name):
    return list(client[name].planes.find({}, {"_id": 0}).sort("n"))


wanted = planes(names[0])
for name in names[1:]:
    found = planes(name)
    if found != wanted:
        other = next((pair for pair in zip(found, wanted) if pair[0] != pair[1]), "one begins the other")
        sys.exit(f"{name}: {len(found)} of {len(wanted)} planes; {other}")
print(len(wanted))
