"""The configuration of the C reference."""

from bench.nginx import configuration


def test_each_target_is_mirrored_to_over_connections_that_are_kept() -> None:
    made = configuration(8080, ["http://127.0.0.1:9001/t0", "http://127.0.0.1:9002/t1"])

    assert "location / { mirror /m0; mirror /m1; error_page 404 405 =202 @accepted; }" in made
    assert made.count("keepalive 64;") == 2
    assert "server 127.0.0.1:9002;" in made
    assert "proxy_pass http://u1/t1;" in made
