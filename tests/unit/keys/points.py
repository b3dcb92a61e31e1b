"""Points of Ed25519, reckoned from the curve's equation: nothing here is taken from the code.

A constant that test and code share would be wrong in both.
"""

FIELD_PRIME = 2**255 - 19
CURVE_D = -121665 * pow(121666, -1, FIELD_PRIME) % FIELD_PRIME


def root(square: int) -> int | None:
    """A square root modulo p, if there is one (RFC 8032, section 5.1.3)."""
    p = FIELD_PRIME
    x = pow(square, (p + 3) // 8, p)
    if x * x % p != square % p:
        x = x * pow(2, (p - 1) // 4, p) % p
    return x if x * x % p == square % p else None


def order_8_ys() -> set[int]:
    """The y of the points of order 8: twice such a point has y = 0, so d y^4 + 2 y^2 - 1 = 0."""
    discriminant = root(1 + CURVE_D)
    assert discriminant is not None
    squares = [(-1 + sign * discriminant) * pow(CURVE_D, -1, FIELD_PRIME) for sign in (1, -1)]
    return {y for found in map(root, squares) if found for y in (found, FIELD_PRIME - found)}


def small_order_encodings() -> list[bytes]:
    """The eight points of small order, and the encodings of them that are not canonical."""
    ys = {0, 1, FIELD_PRIME - 1} | order_8_ys()
    written = [y + more for y in sorted(ys) for more in (0, FIELD_PRIME) if y + more < 2**255]
    return [(y | sign << 255).to_bytes(32, "little") for y in written for sign in (0, 1)]


def point(raw: bytes) -> tuple[int, int]:
    """The point that these bytes encode, y taken modulo p."""
    number = int.from_bytes(raw, "little")
    y = (number & (2**255 - 1)) % FIELD_PRIME
    x = root((y * y - 1) * pow(CURVE_D * y * y + 1, -1, FIELD_PRIME))
    assert x is not None
    return (x if x % 2 == number >> 255 else -x % FIELD_PRIME), y


def doubled(at: tuple[int, int]) -> tuple[int, int]:
    """The point added to itself."""
    (x, y), p = at, FIELD_PRIME
    product = CURVE_D * x * x * y * y
    return (
        2 * x * y * pow(1 + product, -1, p) % p,
        (y * y + x * x) * pow(1 - product, -1, p) % p,
    )
