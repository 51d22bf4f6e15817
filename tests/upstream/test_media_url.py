"""A client's address of a file, read: what is taken, and into which origin and target."""

from __future__ import annotations

import pytest

from thalweg.upstream.base import Origin
from thalweg.upstream.media_url import MOST_CHARS, read_url

PORTS = frozenset({80, 443})


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        pytest.param("http://a.example", "http a.example 80", b"/", id="nothing but a host"),
        pytest.param("HTTPS://A.Example/", "https a.example 443", b"/", id="capitals"),
        pytest.param("https://a.example:443/x", "https a.example 443", b"/x", id="a port"),
        pytest.param("https://a.example:/x", "https a.example 443", b"/x", id="an empty port"),
        pytest.param("http://a.example:443/x", "http a.example 443", b"/x", id="another's port"),
        pytest.param("https://a.example./x", "https a.example 443", b"/x", id="the root's dot"),
        pytest.param("https://a.example/x?y=1#z", "https a.example 443", b"/x?y=1", id="a fragment goes"),
        pytest.param("https://a.example?y=/1", "https a.example 443", b"/?y=/1", id="a query without a path"),
        pytest.param("https://a.example#@b.example/", "https a.example 443", b"/", id="a fragment that looks like a user"),
        pytest.param("https://a.example/@b.example/", "https a.example 443", b"/@b.example/", id="an at sign in the path"),
        pytest.param("https://a.example//b.example/..", "https a.example 443", b"//b.example/..", id="slashes and dots stay"),
        pytest.param("https://a.example/猫.png", "https a.example 443", b"/%E7%8C%AB.png", id="letters of others"),
        pytest.param("https://a.example/%20%e7?a=%2F", "https a.example 443", b"/%20%e7?a=%2F", id="escapes stay"),
        pytest.param("https://bücher.example/", "https xn--bcher-kva.example 443", b"/", id="a name of others"),
        pytest.param("https://例え。テスト.example/", "https xn--r8jz45g.xn--zckzah.example 443", b"/", id="and their dot"),
        pytest.param("https://my_host.a-b.example/", "https my_host.a-b.example 443", b"/", id="what names may hold"),
        pytest.param("http://93.184.216.34/x", "http 93.184.216.34 80", b"/x", id="an IPv4 address"),
        pytest.param("http://[2606:4700::6810:1]:80/", "http 2606:4700::6810:1 80", b"/", id="an IPv6 address"),
        pytest.param("http://[2606:4700:0:0::0001]/", "http 2606:4700::1 80", b"/", id="in a long form"),
    ],
)  # fmt: skip
def test_taken(url: str, origin: str, target: bytes) -> None:
    scheme, host, port = origin.split(" ")
    place = read_url(url, ports=PORTS)
    assert (place.origin, place.target) == (Origin(scheme, host, int(port)), target)


def test_only_the_host_is_shown() -> None:
    assert read_url("https://a.example/s3cret?key=s3cret", ports=PORTS).shown == "https://a.example"
    assert read_url("http://[2606:4700::1]/s3cret", ports=PORTS).shown == "http://[2606:4700::1]"
    assert read_url("http://a.example:443/", ports=PORTS).shown == "http://a.example:443"


def test_a_long_address_is_refused() -> None:
    url = "https://a.example/"
    url += "x" * (MOST_CHARS - len(url))
    assert read_url(url, ports=PORTS)
    with pytest.raises(ValueError, match=r"^its address is longer than 8192 characters$"):
        read_url(url + "x", ports=PORTS)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "does not begin with"),
        ("ftp://a.example/", "does not begin with"),
        ("https:///a.example/", "does not begin with"),
        ("https://a.example/\n", "a blank"),
        ("https://a.example/\ud800", "a blank"),
        ("https://a.example\\@b.example/", "a blank, a backslash"),
        ("https://a:b@a.example/", "name or password"),
        ("https://a.example:8080/", "names a port"),
        ("https://a.example:0443/", "no port that can be read"),
        ("https://a.example:４４３/", "no port that can be read"),
        ("https://a..example/", "no host that can be read"),
        ("https://a%2eexample/", "no host that can be read"),
        ("https://℀.example/", "no host that can be read"),
        ("https://[::1/", "no host that can be read"),
        ("https://intranet/", "no public address"),
        ("https://2130706433/", "no public address"),
        ("https://a.example.0x7f/", "no public address"),
    ],
)
def test_refused(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        read_url(url, ports=PORTS)
    assert "example" not in str(raised.value)
