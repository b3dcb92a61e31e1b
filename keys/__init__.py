"""Whom we trust and how we sign.

No network in this room; files only in ``keyfile`` and ``truststore``.
"""
