# SPDX-License-Identifier: Apache-2.0
"""Fanhorn, its peers and the kernel's limit, each configured as its own manual advises. README.md
says why that is fair; every one has one worker on one CPU."""

import json
import os
import shutil
from pathlib import Path

from program import BENCH, CLIENT_CPU, ROOT, Program, Unavailable, debian_version, first_line


def node(script, *arguments):
    return ["node", BENCH / "peers" / script, *arguments]


def npm_version(package):
    folder = BENCH / "node_modules" / package
    if not folder.exists():
        raise Unavailable(f"npm's {package} is not in {BENCH.name}/node_modules")
    version = json.loads((folder / "package.json").read_text())["version"]
    return f"{version} (node {first_line('node', '--version')[1:]})"


class Fanhorn(Program):
    """The defaults, but for the worker: history 100 messages or 10 minutes, heartbeats 25 s. With
    `sync`, its messages are in a log on the disk on which the bench's own folder is."""

    name = "fanhorn"
    transports = {"websocket": "websocket", "sse": "sse", "longpoll": "longpoll"}
    publish_formats = {"raw", "ndjson"}
    ports = 2
    settings = {}  # of [server], from the command line
    binary = Path(os.environ.get("FANHORN", ROOT / "build" / "fanhorn")).absolute()

    def version(self):
        if not self.binary.exists():
            raise Unavailable(f"{self.binary} is not built")
        return first_line(self.binary, "-v").removeprefix("fanhorn ")

    def start(self):
        server = {"workers": 1, **self.options, **self.settings}
        heartbeat = server.pop("heartbeat", "25s")
        sync = server.pop("sync", None)
        log = f"[broker disk]\npath = {self.dir}/log-of-messages\nsync = {sync}\n" if sync else ""
        pair = server.pop("tls", None)
        tls = "tls = bench\n[tls bench]\ncertificate = {}\nkey = {}\n".format(*pair) if pair else ""
        (self.dir / "fanhorn.conf").write_text(
            "[server]\n" + "".join(f"{key} = {value}\n" for key, value in server.items()) +
            "[listener public]\naddress = 127.0.0.1:{0}\nserve = subscribe, client\n{3}"
            "[listener private]\naddress = 127.0.0.1:{1}\nserve = publish, control, metrics\n"
            "{4}[channel **]\nheartbeat = {2}\n{5}".format(
                *self.port, heartbeat, tls, log, "broker = disk\n" if log else ""))
        self.launch(self.binary, "-c", self.dir / "fanhorn.conf")

    def publish_url(self, publish_format):
        url = super().publish_url(publish_format)
        return url if publish_format == "raw" else url.removesuffix("/{channel}")


class Limit(Program):
    """A bare send() of one ready frame to each socket: limit.cc."""

    name = "limit"
    transports = {"websocket": "websocket", "sse": "sse"}
    binary = Fanhorn.binary.parent / "bench-limit"

    def version(self):
        if not self.binary.exists():
            raise Unavailable(f"{self.binary} is not built")
        return "send()"

    def start(self):
        self.launch(self.binary, self.port[0], self.options.get("coalesce", 1))


class Nchan(Program):
    name = "nchan"
    transports = {"websocket": "websocket", "sse": "sse", "longpoll": "longpoll"}
    module = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

    def version(self):
        if not self.module.exists() or not shutil.which("nginx"):
            raise Unavailable("libnginx-mod-nchan is not installed")
        nginx = first_line("nginx", "-v").rpartition("/")[2]
        return f"{debian_version('libnginx-mod-nchan')} (nginx {nginx})"

    def start(self):
        workers = self.options.get("workers", 1)
        self.own_processes = 1 + workers  # it listens before they are there
        # As root, nginx would run its worker as somebody who may not enter our folder.
        user = "user root;" if os.geteuid() == 0 else ""
        pair = self.options.get("tls")
        tls = ("ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {}; ssl_certificate_key {};".format(*pair)
               if pair else "")
        (self.dir / "nginx.conf").write_text(f"""
            load_module {self.module};
            daemon off; {user} worker_processes {workers};
            pid {self.dir}/pid; error_log stderr crit;
            events {{ worker_connections 19900; multi_accept on; }}
            http {{
                access_log off; tcp_nodelay on;
                keepalive_timeout 1h; keepalive_requests 1000000000;
                client_body_temp_path {self.dir}/body; proxy_temp_path {self.dir}/proxy;
                fastcgi_temp_path {self.dir}/fastcgi; uwsgi_temp_path {self.dir}/uwsgi;
                scgi_temp_path {self.dir}/scgi;
                nchan_shared_memory_size 2G;
                server {{
                    listen 127.0.0.1:{self.port[0]} backlog=4096 reuseport{" ssl" if pair else ""}; {tls}
                    location = /sub {{
                        nchan_subscriber websocket eventsource longpoll;
                        nchan_channel_id $arg_id;
                        nchan_subscriber_first_message newest;
                        nchan_websocket_ping_interval 25; nchan_eventsource_ping_interval 25;
                    }}
                    location = /pub {{
                        nchan_publisher http; nchan_channel_id $arg_id;
                        nchan_message_buffer_length 100; nchan_message_timeout 10m;
                    }}
                }}
            }}""")
        self.launch("nginx", "-p", self.dir, "-e", "stderr", "-c", self.dir / "nginx.conf")

    def subscribe_url(self, transport):
        return f"http://127.0.0.1:{self.port[0]}/sub?id={{channel}}"

    def publish_url(self, publish_format):
        return f"http://127.0.0.1:{self.port[0]}/pub?id={{channel}}"


class Pushpin(Program):
    """Its four processes on the one CPU; the backend that it asks is not accounted."""

    name = "pushpin"
    transports = {"websocket": "websocket", "sse": "sse"}
    publish_formats = {"json-items"}
    ports = 6
    max_connects = 400  # faster ramps lose connections
    own_processes = 5
    settle = 0.5  # its processes find each other

    def version(self):
        if not shutil.which("pushpin"):
            raise Unavailable("pushpin is not installed")
        return debian_version("pushpin")

    def start(self):
        front, pull, sub, command, backend, http = self.port
        (self.dir / "routes").write_text(f"* 127.0.0.1:{backend},over_http\n")
        zurl = {"out": "in", "out_stream": "in-stream", "in": "out"}
        zurl_specs = "\n".join(f"zurl_{ours}_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-{its}"
                               for ours, its in zurl.items())
        (self.dir / "pushpin.conf").write_text(f"""
[global]
include={{libdir}}/internal.conf
rundir={self.dir}/run
ipc_prefix=
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:{front}
logdir={self.dir}/logs
log_level=0
client_buffer_size=8192
client_maxconn=19000
[proxy]
routesfile={self.dir}/routes
sig_key=bench
updates_check=off
{zurl_specs}
[handler]
push_in_spec=tcp://127.0.0.1:{pull}
push_in_sub_specs=tcp://127.0.0.1:{sub}
push_in_http_addr=127.0.0.1
push_in_http_port={http}
command_spec=tcp://127.0.0.1:{command}
stats_spec=ipc://{{rundir}}/{{ipc_prefix}}stats
message_rate=0
message_hwm=0
message_wait=5000
""")
        self.launch("pushpin", "--config", self.dir / "pushpin.conf")
        self.launch(*node("grip.mjs", backend), cpu=CLIENT_CPU)

    def publish_url(self, publish_format):
        return f"http://127.0.0.1:{self.port[-1]}/publish/"


class Ws(Program):
    name = "ws"
    transports = {"websocket": "websocket", "sse": "sse"}

    def version(self):
        return npm_version("ws")

    def start(self):
        self.launch(*node("ws.mjs", self.port[0]))


class SocketIo(Program):
    name = "socket.io"
    transports = {"websocket": "socket.io"}

    def version(self):
        return npm_version("socket.io")

    def start(self):
        self.launch(*node("socketio.mjs", self.port[0]))

    def subscribe_url(self, transport):
        return f"http://127.0.0.1:{self.port[0]}/socket.io/?EIO=4&transport=websocket&channel={{channel}}"


ALL = {kind.name: kind for kind in (Fanhorn, Limit, Nchan, Ws, SocketIo, Pushpin)}
