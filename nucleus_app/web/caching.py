"""What browsers may keep."""

NO_STORE = {"Cache-Control": "no-store"}
IMMUTABLE = {"Cache-Control": "private, max-age=86400, immutable"}
