"""URLs: one strict reader, and a sentence for each way to get them wrong."""

import pytest

from fanout_dispatcher.transport.origin import BadUrl, parse


@pytest.mark.parametrize(
    ("url", "secure", "host", "port", "authority", "path"),
    [
        (
            "http://payment.shop.svc:8080/charges",
            False,
            "payment.shop.svc",
            8080,
            b"payment.shop.svc:8080",
            b"/charges",
        ),
        ("https://Example.COM", True, "example.com", 443, b"example.com", b"/"),
        ("https://example.com:443/", True, "example.com", 443, b"example.com", b"/"),
        ("https://example.com:80/a%20b", True, "example.com", 80, b"example.com:80", b"/a%20b"),
        ("HTTP://example.com?q=/x?y", False, "example.com", 80, b"example.com", b"/?q=/x?y"),
        ("http://example.com./", False, "example.com.", 80, b"example.com.", b"/"),
        ("http://xn--bcher-kva.example/", False, "xn--bcher-kva.example", 80, b"xn--bcher-kva.example", b"/"),
        ("http://8.8.8.8:1/", False, "8.8.8.8", 1, b"8.8.8.8:1", b"/"),
        ("http://[2606:4700:0::1111]:81/", False, "2606:4700::1111", 81, b"[2606:4700::1111]:81", b"/"),
    ],
)
def test_a_url_is_taken_apart(url: str, secure: bool, host: str, port: int, authority: bytes, path: bytes) -> None:
    origin = parse(url)

    assert (origin.secure, origin.host, origin.port) == (secure, host, port)
    assert (origin.authority, origin.path) == (authority, path)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "a URL holds only"),
        ("/charges", "expected an absolute"),
        ("ftp://example.com/", "expected an absolute"),
        ("file:///etc/passwd", "expected an absolute"),
        ("http:example.com", "expected an absolute"),
        ("http://bücher.example/", "xn-- form"),
        ("http://example.com/a b", "percent-encode"),
        ("http://example.com/\r\nx: y", "percent-encode"),
        ("http://exa\tmple.com/", "percent-encode"),
        ("http://user:secret@example.com/", "user information"),
        ("http://example.com/#top", "fragment"),
        ("http://", "expected a DNS name"),
        ("http://-a.example/", "expected a DNS name"),
        ("http://a..example/", "expected a DNS name"),
        ("http://" + "a" * 64 + ".example/", "expected a DNS name"),
        ("http://" + "a." * 127 + "example/", "expected a DNS name"),
        ("http://example.com:/", "expected host or host:port"),
        ("http://example.com:http/", "expected host or host:port"),
        ("http://::1/", "expected host or host:port"),
        ("http://example.com:0/", "expected a port"),
        ("http://example.com:65536/", "expected a port"),
        ("http://[::1/", "expected host or host:port"),
        ("http://[fe80::1%25lo]/", "without a zone"),
        ("http://[127.0.0.1]/", "expected an IPv6"),
        ("http://2130706433/", "four decimal numbers"),
        ("http://0x7f.1/", "four decimal numbers"),
        ("http://01.2.3.4/", "four decimal numbers"),
        ("http://1.2.3.4./", "four decimal numbers"),
    ],
)
def test_a_wrong_url_is_refused_in_words(url: str, sentence: str) -> None:
    with pytest.raises(BadUrl, match=sentence):
        parse(url)
