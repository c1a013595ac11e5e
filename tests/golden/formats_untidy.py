"""Writes workbooks as people have them, and a Parquet file of times, to tests/data/people.

    pip install pyarrow openpyxl
    python tests/golden/formats_untidy.py
"""

import datetime
import pathlib

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

OUT = pathlib.Path(__file__).parent.parent / "data" / "people"
OUT.mkdir(parents=True, exist_ok=True)

NAMES = ["city", "age", "price", "day", "bought"]
ROWS = [
    [["Bonn", "Oslo", "Rome"][i // 8], 20 + i * 7 % 50, 100.5 + i, datetime.date(2024, 1, 1 + i), ["yes", "no"][i % 2]]
    for i in range(24)
]


def book(name, fill):
    made = openpyxl.Workbook()
    fill(made, made.active)
    made.save(OUT / f"{name}.xlsx")


def rows(sheet, names=NAMES, of=ROWS):
    sheet.append(names)
    for row in of:
        sheet.append(row)


def titled(_, sheet):
    sheet.append(["Sales report 2024"])
    sheet.append(["Made by", "Ann"])
    sheet.append([])
    rows(sheet)


def grouped(_, sheet):
    sheet.append(["first half", None, "second half", None, None])
    sheet.merge_cells("A1:B1")
    sheet.merge_cells("C1:E1")
    rows(sheet, ["sold", "price", "sold", "price", "y"], [[i, i * 2, i % 5, i * 3 % 7, "pq"[i % 2]] for i in range(24)])


def merged(_, sheet):
    rows(sheet)
    for first in [2, 10, 18]:
        sheet.merge_cells(start_row=first, end_row=first + 7, start_column=1, end_column=1)


def hidden(made, sheet):
    rows(sheet)
    old = made.create_sheet("Old")
    rows(old, of=ROWS * 3)
    old.sheet_state = "hidden"


def ended(_, sheet):
    rows(sheet)
    sheet.append([])
    sheet.append(["Total", None, sum(r[2] for r in ROWS), None, None])
    sheet.append(["Source: our shop"])


def second(_, sheet):
    rows(sheet)
    sheet.append([])
    rows(sheet, ["month", "turnover"], [[m, m * 1000] for m in range(1, 13)])


def far(_, sheet):
    rows(sheet)
    sheet["XFD1048576"] = "x"


def unsaved(_, sheet):
    rows(sheet, ["a", "b", "sum", "y"], [[i, i * i % 7, f"=A{i + 2}+B{i + 2}", "pq"[i % 2]] for i in range(24)])


for fill in [titled, grouped, merged, hidden, ended, second, far, unsaved]:
    book(fill.__name__, fill)

pq.write_table(
    pa.table(
        {
            "clock": pa.array([datetime.time(i, 3, 9) for i in range(12)], pa.time64("us")),
            "span": pa.array([datetime.timedelta(seconds=1.5 * i) for i in range(12)], pa.duration("ms")),
            "y": ["p", "q"] * 6,
        }
    ),
    OUT / "times.parquet",
)
