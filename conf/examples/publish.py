# SPDX-License-Identifier: Apache-2.0
import json
import urllib.parse
import urllib.request

URL = "http://127.0.0.1:8081"


def publish(channel, data):
    request = urllib.request.Request(f"{URL}/pub/{urllib.parse.quote(channel, safe='')}",
                                     json.dumps(data).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


print(publish("chat:room1", {"text": "from Python"})["id"])
