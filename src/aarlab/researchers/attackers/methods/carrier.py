"""Stands where a built method carries its bytes: smuggling.py writes another of this name into the method's folder."""


def carried() -> bytes:
    return b""
