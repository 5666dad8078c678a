"""The peer of `tidemill load generate:finance.transactions`: the same columns by faker, written by pyarrow.

usage: make_faker.py COUNT OUT.parquet
"""
import sys

import pyarrow
import pyarrow.parquet
from faker import Faker

count, target = int(sys.argv[1]), sys.argv[2]
fake = Faker("en_US")
Faker.seed(7)


def transaction(number):
    return {
        "id": 7_475_327 + number,
        "date": fake.date_time_between("-10y").strftime("%Y-%m-%d %H:%M:%S"),
        "client_id": fake.random_int(0, 1_999),
        "card_id": fake.random_int(0, 5_999),
        "amount": f"${fake.pydecimal(left_digits=3, right_digits=2, positive=True)}",
        "use_chip": fake.random_element(("Swipe Transaction", "Chip Transaction", "Online Transaction")),
        "merchant_id": fake.random_int(0, 29_999),
        "merchant_city": fake.city(),
        "merchant_state": fake.state_abbr(),
        "zip": int(fake.postcode()),
        "mcc": fake.random_int(3_000, 8_999),
        "errors": fake.random_element((None,) * 50 + ("Insufficient Balance", "Bad PIN")),
    }


writer = None
for first in range(0, count, 50_000):
    rows = [transaction(number) for number in range(first, min(first + 50_000, count))]
    table = pyarrow.Table.from_pylist(rows)
    writer = writer or pyarrow.parquet.ParquetWriter(target, table.schema, compression="snappy")
    writer.write_table(table)
writer.close()
