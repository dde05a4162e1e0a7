"""What tests ask of header blocks that were made here."""

from columba.common.mail.header import Header, header_end


def is_well_formed(header: Header) -> bool:
    """Tell whether every line belongs to a field with a name, and ends."""
    return header_end(header.raw) == len(header.raw) and header.raw[-2:] in (b"", b"\r\n")
