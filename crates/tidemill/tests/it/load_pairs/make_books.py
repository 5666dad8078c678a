"""The books of this folder: one table, as .xls (by xlwt), .ods (by odfpy) and .xlsb (by hand, after MS-XLSB: no package writes it).

    pip install xlwt odfpy && python make_books.py
"""

import datetime
import struct
import zipfile

import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P

HEADER = ["id", "name", "amount", "day", "active"]
ROWS = [
    [1, 'café, "one"', 12.5, datetime.date(2013, 1, 31), True],
    [2, "two", -0.25, datetime.date(2013, 2, 1), False],
    [3, None, None, None, None],
]
EPOCH = datetime.date(1899, 12, 30)
TEXTS = [value for cells in [HEADER] + ROWS for value in cells if isinstance(value, str)]


def xls():
    book = xlwt.Workbook()
    sheet = book.add_sheet("people")
    day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
    for row, cells in enumerate([HEADER] + ROWS):
        for column, value in enumerate(cells):
            if isinstance(value, datetime.date):
                sheet.write(row, column, value, day)
            elif value is not None:
                sheet.write(row, column, value)
    book.add_sheet("other").write(0, 0, "x")
    book.save("people.xls")


def ods():
    book = OpenDocumentSpreadsheet()
    table = Table(name="people")
    for cells in [HEADER] + ROWS:
        row = TableRow()
        for value in cells:
            if value is None:
                cell = TableCell()
            elif isinstance(value, bool):
                cell = TableCell(valuetype="boolean", booleanvalue=str(value).lower())
            elif isinstance(value, datetime.date):
                cell = TableCell(valuetype="date", datevalue=value.isoformat())
            elif isinstance(value, (int, float)):
                cell = TableCell(valuetype="float", value=value)
            else:
                cell = TableCell(valuetype="string")
                cell.addElement(P(text=value))
            row.addElement(cell)
        table.addElement(row)
    book.spreadsheet.addElement(table)
    book.save("people.ods")


def record(kind, body=b""):
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    length, size = len(body), b""
    while True:
        size += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if length == 0:
            return head + size + body


def text(value):
    return struct.pack("<I", len(value)) + value.encode("utf-16-le")


def cell(column, value):
    is_day = isinstance(value, datetime.date)
    place = struct.pack("<II", column, 1 if is_day else 0)
    if is_day:
        return record(0x05, place + struct.pack("<d", (value - EPOCH).days))
    if isinstance(value, bool):
        return record(0x04, place + bytes([value]))
    if isinstance(value, (int, float)):
        return record(0x05, place + struct.pack("<d", value))
    return record(0x07, place + struct.pack("<I", TEXTS.index(value)))


def xlsb():
    rows = [HEADER] + ROWS
    sheet = record(0x81) + record(0x94, struct.pack("<IIII", 0, len(rows) - 1, 0, len(HEADER) - 1)) + record(0x91)
    for number, cells in enumerate(rows):
        head = struct.pack("<IIHBBBI", number, 0, 300, 0, 0, 0, 1) + struct.pack("<II", 0, len(HEADER) - 1)
        sheet += record(0x00, head)
        sheet += b"".join(cell(column, value) for column, value in enumerate(cells) if value is not None)
    sheet += record(0x92) + record(0x82)
    texts = record(0x9F, struct.pack("<II", len(TEXTS), len(TEXTS)))
    texts += b"".join(record(0x13, b"\0" + text(value)) for value in TEXTS) + record(0xA0)
    xf = lambda format: record(0x2F, struct.pack("<HHHHHBBHH", 0xFFFF, format, 0, 0, 0, 0, 0, 0, 0))
    styles = record(0x0116) + record(0x0269, struct.pack("<I", 2)) + xf(0) + xf(14) + record(0x026A) + record(0x0117)
    bundle = struct.pack("<II", 0, 1) + text("rId1") + text("people")
    workbook = record(0x83) + record(0x99, struct.pack("<II", 0, 0) + text("")) + record(0x8F)
    workbook += record(0x9C, bundle) + record(0x90) + record(0x9D, bytes(26)) + record(0x84)
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    relation = lambda name, kind, target: f'<Relationship Id="{name}" Type="{office}/{kind}" Target="{target}"/>'
    relations = lambda *all: f'<?xml version="1.0"?><Relationships xmlns="{package}/relationships">{"".join(all)}</Relationships>'
    excel = "application/vnd.ms-excel"
    types = f'<?xml version="1.0"?><Types xmlns="{package}/content-types">' + \
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>' + \
        f'<Default Extension="bin" ContentType="{excel}.sheet.binary.macroEnabled.main"/>' + \
        f'<Override PartName="/xl/worksheets/sheet1.bin" ContentType="{excel}.worksheet"/>' + \
        f'<Override PartName="/xl/sharedStrings.bin" ContentType="{excel}.sharedStrings"/>' + \
        f'<Override PartName="/xl/styles.bin" ContentType="{excel}.styles"/></Types>'
    with zipfile.ZipFile("people.xlsb", "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", types)
        book.writestr("_rels/.rels", relations(relation("rId1", "officeDocument", "xl/workbook.bin")))
        book.writestr("xl/workbook.bin", workbook)
        both = relation("rId1", "worksheet", "worksheets/sheet1.bin") + relation("rId2", "styles", "styles.bin")
        both += relation("rId3", "sharedStrings", "sharedStrings.bin")
        book.writestr("xl/_rels/workbook.bin.rels", relations(both))
        book.writestr("xl/sharedStrings.bin", texts)
        book.writestr("xl/worksheets/sheet1.bin", sheet)
        book.writestr("xl/styles.bin", styles)


xls()
ods()
xlsb()
