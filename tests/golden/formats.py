"""Writes the small files in tests/data/formats with the libraries that most people's files come from.

    pip install pandas pyarrow openpyxl odfpy xlwt
    python tests/golden/formats.py

Every table holds the same twelve rows, so one test compares them all.
"""

import datetime
import json
import pathlib
import sqlite3
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xlwt
from pyarrow import feather

OUT = pathlib.Path(__file__).parent.parent / "data" / "formats"
OUT.mkdir(parents=True, exist_ok=True)

day = datetime.date(2024, 1, 30)
rows = [
    {
        "size": i * 0.5 + 0.1,
        "count": i * 37 % 11,
        "kind": ["red", "green, dark", "blue \"sea\""][i % 3] if i != 4 else None,
        "when": day + datetime.timedelta(days=i),
        "paid": i % 2 == 0,
    }
    for i in range(12)
]
names = list(rows[0])
frame = pd.DataFrame(rows)
frame["when"] = pd.to_datetime(frame["when"])

frame.to_csv(OUT / "table.csv", index=False, date_format="%Y-%m-%d")
frame.to_json(OUT / "table.jsonl", orient="records", lines=True, date_format="iso")
plain = [{**r, "when": r["when"].isoformat()} for r in rows]
(OUT / "table.json").write_text(json.dumps({"exported": "today", "rows": plain}, indent=1))

for name in ["table.xlsx", "table.ods"]:
    with pd.ExcelWriter(OUT / name) as book:
        pd.DataFrame({"note": ["another sheet"]}).to_excel(book, sheet_name="About", index=False)
        frame.to_excel(book, sheet_name="Data", index=False)
# A title above the table, an error value and an empty row, as people's sheets have them.
book = openpyxl.Workbook()
sheet = book.active
sheet.append(["Sales of the year"])
sheet.append([])
sheet.append(["item", "price"])
for i in range(20):
    sheet.append([f"item {i % 4}", i + 0.25] if i != 7 else ["item 1", "#N/A"])
sheet["B11"].data_type = "e"
book.save(OUT / "untidy.xlsx")
old = xlwt.Workbook()
sheet = old.add_sheet("Data")
style = xlwt.easyxf(num_format_str="YYYY-MM-DD")
for c, name in enumerate(names):
    sheet.write(0, c, name)
    for r, row in enumerate(rows):
        if row[name] is not None:
            date = isinstance(row[name], datetime.date)
            sheet.write(r + 1, c, row[name], style) if date else sheet.write(r + 1, c, row[name])
old.save(str(OUT / "table.xls"))

table = pa.Table.from_pandas(frame, preserve_index=False)
table = table.set_column(3, "when", table["when"].cast(pa.date32()))
table = table.set_column(2, "kind", table["kind"].dictionary_encode())
for codec in ["snappy", "gzip", "zstd", "none"]:
    pq.write_table(table, OUT / f"table_{codec}.parquet", compression=codec)
listed = table.append_column("tags", pa.array([[i] for i in range(12)]))
pq.write_table(listed, OUT / "lists.parquet")
feather.write_feather(table, str(OUT / "table.feather"), compression="lz4")
with pa.ipc.new_stream(OUT / "stream.arrow", table.schema) as stream:
    stream.write_table(table)
kinds = {
    "i8": pa.array([1, None, -3], pa.int8()),
    "u64": pa.array([1, 2, 2**64 - 1], pa.uint64()),
    "f16": pa.array([np.float16(0.5), np.float16(1.0), None], pa.float16()),
    "f32": pa.array([0.1, 1e20, None], pa.float32()),
    "dec": pa.array([None, "1.50", "-2.25"], pa.string()).cast(pa.decimal128(9, 2)),
    "big": pa.array(["a", None, "é"], pa.large_string()),
    "view": pa.array(["a", "a longer text than twelve", None], pa.string_view()),
    "moment": pa.array([0, 1_700_000_000_123, None], pa.timestamp("ms")),
    "zoned": pa.array([0, 1_700_000_000, None], pa.timestamp("s", tz="Europe/Berlin")),
    "none": pa.nulls(3),
}
pq.write_table(pa.table({k: v for k, v in kinds.items() if k not in ("f16", "view")}), OUT / "kinds.parquet")
with pa.ipc.new_file(OUT / "kinds.arrow", pa.table(kinds).schema) as file:
    file.write_table(pa.table(kinds))

database = OUT / "table.sqlite"
database.unlink(missing_ok=True)
with sqlite3.connect(database) as db:
    db.execute("CREATE TABLE sales (size REAL, count INTEGER, kind TEXT, \"when\" TEXT, paid INTEGER)")
    for r in rows:
        db.execute("INSERT INTO sales VALUES (?,?,?,?,?)", (r["size"], r["count"], r["kind"], r["when"].isoformat(), r["paid"]))
    db.execute("CREATE TABLE about (note TEXT)")
    db.execute("INSERT INTO about VALUES ('small')")
db.close()

with zipfile.ZipFile(OUT / "table.zip", "w", zipfile.ZIP_DEFLATED) as z:
    z.write(OUT / "table.csv", "export/table.csv")
    z.writestr("__MACOSX/x", b"")
