"""What kind of content bytes are, told by how they begin, beside what was declared (7.10)."""

HEAD_BYTES = 512
TEXT = "text/plain"
_MEDIA = "video/mp4"  # audio in the same container begins like video
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})
_DECLARED_AS = {
    TEXT: frozenset({"text/plain", "application/json", "text/csv", "text/html", "image/svg+xml"}),
    _MEDIA: frozenset({"video/mp4", "audio/mp4", "video/quicktime"}),
}


def sniffed_type(head: bytes) -> str | None:
    """Return the type that the first bytes show, `text/plain` for any text, or None."""
    if head[4:8] == b"ftyp":
        return "image/heic" if head[8:12] in _HEIC_BRANDS else _MEDIA
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return kind
    if head.startswith(b"MZ") and b"\0" in head:
        return "application/x-executable"
    return TEXT if _is_text(head) else None


def contradicts(declared: str, sniffed: str | None, *, by_signature: bool) -> bool:
    """Return whether content that begins like `sniffed` is not what was declared.

    `by_signature` demands that the content shows its type; otherwise only content that is
    recognised as something else contradicts, and text, which anything may begin with, never does.
    """
    if declared in _DECLARED_AS.get(sniffed or "", {sniffed}):
        return False
    return by_signature or sniffed not in {None, TEXT}


def _is_text(head: bytes) -> bool:
    if not head or b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:  # a character may be cut in two at the end
        return len(head) >= HEAD_BYTES and error.start >= HEAD_BYTES - 3
    return True
