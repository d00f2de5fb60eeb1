"""The C reference: nginx with its `mirror` module, which copies each request to all targets, in memory, without retry.

The request itself is answered 202 by nginx; copies go over connections that are kept alive, from one worker. Everything
it writes lies in the folder of the run. Nothing here is made slow on purpose: no access log, bodies stay in memory,
and a missing file (nginx answers a POST through its file handler) is looked up once an hour.
"""

import os
import pathlib
import shutil
import urllib.parse

NGINX = shutil.which(
    "nginx", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
)

_CONF = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    log_not_found off;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    client_max_body_size 2m;
    client_body_buffer_size 2m;
    keepalive_requests 1000000000;
    open_file_cache max=10; open_file_cache_errors on; open_file_cache_valid 1h;
{upstreams}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{ {mirrors} error_page 404 405 =202 @accepted; }}
        location @accepted {{ return 202; }}
{locations}
    }}
}}
"""
_UPSTREAM = "    upstream u{n} {{ server {netloc}; keepalive 64; keepalive_requests 1000000000; }}"
_LOCATION = (
    "        location = /m{n} {{ internal; proxy_pass http://u{n}{path}; proxy_http_version 1.1;"
    ' proxy_set_header Connection ""; }}'
)


def configuration(port: int, targets: list[str]) -> str:
    """Listen at *port* and mirror every POST to *targets*."""
    parts = list(enumerate(map(urllib.parse.urlsplit, targets)))
    return _CONF.format(
        port=port,
        upstreams="\n".join(_UPSTREAM.format(n=n, netloc=part.netloc) for n, part in parts),
        mirrors=" ".join(f"mirror /m{n};" for n, _ in parts),
        locations="\n".join(_LOCATION.format(n=n, path=part.path) for n, part in parts),
    )


def command(folder: pathlib.Path, port: int, targets: list[str]) -> list[str]:
    """The command that runs it in *folder*."""
    assert NGINX is not None
    prefix = folder / "nginx"
    (prefix / "html").mkdir(parents=True)
    conf = prefix / "nginx.conf"
    conf.write_text(configuration(port, targets), encoding="utf-8")
    return [NGINX, "-p", str(prefix), "-c", str(conf), "-e", "stderr"]
