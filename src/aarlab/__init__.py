"""aarlab: an open laboratory of automated alignment researchers."""

__version__ = "0.1.0"
