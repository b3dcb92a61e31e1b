"""All harnesses, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.fuzz.harness import Harness
from tests.fuzz.parsers import (
    configuration,
    container,
    csvrows,
    envelope,
    frames,
    judging,
    manifest,
    otlpjson,
    otlpprotobuf,
    receipt,
    seal,
    statement,
    token,
)

HARNESSES: Mapping[str, Harness] = MappingProxyType(
    {
        module.HARNESS.name: module.HARNESS
        for module in (
            frames, seal, statement, envelope, manifest, receipt, container, token, otlpjson,
            otlpprotobuf, judging, csvrows, configuration,
        )
    }
)  # fmt: skip
