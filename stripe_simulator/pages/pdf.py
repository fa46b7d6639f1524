"""A PDF document of one page with lines of text, for documents that Stripe offers as PDF only."""

from stripe_simulator.response import Response

FONT_SIZE, LINE_HEIGHT, LEFT, TOP = 11, 18, 56, 780
MAX_LINES = 40
"""The lines that fit on the page. The rest is left out."""


def document(name: str, lines: list[str]) -> Response:
    """Return a PDF to download as `name`, with the first line as its title.

    Characters that the font's encoding lacks become `?`.
    """
    texts = [
        f"BT /F1 {FONT_SIZE} Tf {LEFT} {TOP - LINE_HEIGHT * at} Td ({_escape(line)}) Tj ET"
        for at, line in enumerate(lines[:MAX_LINES])
    ]
    content = "\n".join(texts).encode("cp1252", errors="replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, len(body))
    body += b"xref\n0 %d\n0000000000 65535 f \n%s%s" % (count, table, trailer)
    headers = {"Content-Type": "application/pdf", "Content-Disposition": f'attachment; filename="{name}.pdf"'}
    return Response(200, {**headers, "Cache-Control": "no-store"}, body)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
