"""The rules that the configuration gives; the vendor's keys stand in the file that it names."""

from bridge.config.model import License
from bridge.config.namedfile import read_named
from bridge.license.judgement import Rules
from keys.errors import ConfigError, VerificationError, shown
from keys.jwks import SET_MAX, PinnedKey, load_jwks


def rules_of(license: License) -> Rules:  # noqa: A002 - the section's own name
    """What tokens are judged by. Raises :class:`ConfigError` ``license.jwks_file``."""
    return Rules(
        keys=_pinned(license),
        issuer=license.issuer,
        audience=license.audience,
        leeway=license.leeway,
        grace=license.grace,
        max_life=license.max_life,
    )


def _pinned(license: License) -> tuple[PinnedKey, ...]:  # noqa: A002 - the section's own name
    if license.jwks_file is None:
        return ()
    try:
        return load_jwks(read_named(license.jwks_file, SET_MAX + 1))
    except OSError as error:
        why, hint = f"{error.strerror}.", "Correct the path, or its permissions."
        raise _bad(license, why, hint) from error
    except VerificationError as error:
        raise _bad(license, error.message, error.hint) from error


def _bad(license: License, why: str, hint: str) -> ConfigError:  # noqa: A002 - as above
    return ConfigError(
        "license.jwks_file",
        f"license.jwks_file {shown(str(license.jwks_file))} cannot be used: {why}",
        hint,
    )
