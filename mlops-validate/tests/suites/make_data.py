"""Writes the two small tables that every suite here is judged on: data/orders.csv, data/customers.csv.

    python make_data.py

The orders have one flaw of each kind: a number twice (1012), a negative amount (1008), a status
nobody knows (1017), a bad and two missing addresses (1005; 1010, 1021), a parcel sent before it was
ordered (1014), a customer who does not exist (1023), a missing country (1019), broken JSON (1025).
"""

import csv
import datetime as dt
import pathlib

HERE = pathlib.Path(__file__).parent / "data"
STATUS = ["placed", "shipped", "delivered", "returned"]
COUNTRY = ["CH", "DE", "FR", "IT", "AT"]

orders = []
for i in range(30):
    number = 1001 + i
    created = dt.datetime(2024, 3, 1, 8, 0, 0) + dt.timedelta(hours=7 * i)
    status = STATUS[(i * 7) % 4]
    shipped = created + dt.timedelta(days=1, hours=i % 5) if status != "placed" else None
    orders.append({
        "order_id": number,
        "customer_id": 1 + (i * 3) % 10,
        "status": status,
        "amount": f"{19.5 + (i * 37) % 211 + 0.25 * (i % 4):.2f}",
        "discount": "" if i % 3 else f"{(i % 5) / 20:.2f}",
        "quantity": 1 + (i * 5) % 7,
        "email": f"user{i}@example.org",
        "country": COUNTRY[(i * i) % 5],
        "created_at": created.isoformat(sep=" "),
        "shipped_at": shipped.isoformat(sep=" ") if shipped else "",
        "payload": '{"gift": %s}' % ("true" if i % 4 == 0 else "false"),
    })
by = {o["order_id"]: o for o in orders}
by[1013]["order_id"] = 1012
by[1008]["amount"] = "-5.00"
by[1017]["status"] = "lost"
by[1005]["email"] = "user4 at example.org"
by[1010]["email"] = by[1021]["email"] = ""
by[1014]["shipped_at"] = "2024-03-01 00:00:00"
by[1023]["customer_id"] = 99
by[1019]["country"] = ""
by[1025]["payload"] = '{"gift": tru'

customers = [{"id": i, "name": f"Customer {i}", "country": COUNTRY[i % 5]} for i in range(1, 11)]

for name, rows in [("orders", orders), ("customers", customers)]:
    with (HERE / f"{name}.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
