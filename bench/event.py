"""The event that every case sends: plain JSON, 300 bytes unless said otherwise; it begins with the time it was due."""

STAMP = b'{"due":"'
STAMP_DIGITS = 19  # nanoseconds of the monotonic clock
SIZE = 300

_REST = b'","order":"ord-20261123-000417","customer":{"id":"cus_8812","tier":"gold"},"total":182.5,"currency":"EUR",'
_REST += b'"lines":[{"sku":"SKU-00017","count":2,"price":41.25},{"sku":"SKU-00993","count":1,"price":100.0}],"note":"'


def body(due: int = 0, size: int = SIZE) -> bytes:
    """The event's bytes; *due* 0: its latency is not taken."""
    start = STAMP + b"%0*d" % (STAMP_DIGITS, due) + _REST
    return start + b"." * (size - len(start) - 2) + b'"}'


def request(path: str, host: str, size: int = SIZE, *, key: str = "") -> bytes:
    """The head of its POST, with an Idempotency-Key where there is a *key*."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json", f"Content-Length: {size}"]
    lines += [f"Idempotency-Key: {key}"] if key else []
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()
