# SPDX-License-Identifier: Apache-2.0
"""Whatever a live connection is made of is written down with how it is handed over in a live upgrade: who adds a member
to one of these classes meets this test, and says in tests/handover_fields.txt what becomes of it."""

import re
import unittest
from pathlib import Path

from members import classes

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "tests/handover_fields.txt"

# By file: the classes of which a live connection has one, or may have.
OWNED = {
    "src/net/loop.h": ("EdgeWatch",),
    "src/http/parser.h": ("Head", "RequestParser"),
    "src/http/parser.cc": ("RequestParser::Partial",),
    "src/http/request.h": ("Request",),
    "src/http/body.h": ("BodyReader",),
    "src/relay/identity.h": ("Identity", "Identity::Claim", "Identities"),
    "src/relay/outbox.h": ("Outbox", "Outbox::Rest", "Outbox::Waiting"),
    "src/relay/feed.h": ("Subscription",),
    "src/relay/conflation.h": ("Conflation",),
    "src/relay/broker.h": ("Stretch", "StretchPart"),
    "src/relay/presence.h": ("Attendance",),
    "src/relay/subscriber.h": ("Wish", "Subscriber"),
    "src/relay/fixed_subscriber.h": ("FixedSubscriber", "FixedSubscriber::Several", "FixedSubscriber::Line"),
    "src/relay/stream_subscriber.h": ("StreamSubscriber", "StreamSubscriber::Replay"),
    "src/relay/poll_subscriber.h": ("PollWish", "PollSubscriber"),
    "src/relay/session.h": ("Session", "Session::Member", "Session::Placement", "Session::Line"),
    "src/server/connection.h": ("Connection",),
    "src/server/socket_connection.h": ("SocketConnection",),
    "src/server/deadlines.h": ("Deadline",),
    "src/server/exchange.h": ("Exchange",),
    "src/server/line_publisher.h": ("LinePublisher",),
    "src/server/standing.h": ("Standing", "Standing::Parked"),
    "src/server/commands.h": ("Commands",),
    "src/server/commands.cc": ("Commands::Lookup",),
    "src/server/client_address.h": ("Clients::Entry",),
    "modules/transport_websocket.cc": ("InboundTerms", "WebsocketInbound"),
    "modules/websocket_frame.h": ("MessageReader",),
    "modules/websocket_frame.cc": ("MessageReader::Partial",),
    "src/base/utf8.h": ("Utf8Validator",),
}
LINE = re.compile(r"([\w:]+)::(\w+)  +(\S.*)")


def declared():
    found = set()
    for file, wanted in OWNED.items():
        there = classes((ROOT / file).read_text())
        for name in wanted:
            assert name in there, f"no class {name} in {file} any more: see OWNED"
            found |= {f"{name}::{member}" for member in there[name]}
    return found


def written_down():
    """Each line's member; blank lines and those that begin with # are for people."""
    found = []
    for number, line in enumerate(LIST.read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match, f"{LIST.name}:{number}: not `Class::member  what becomes of it`: {line!r}"
            found.append(f"{match[1]}::{match[2]}")
    return found


class HandoverFields(unittest.TestCase):
    def test_each_member_is_written_down(self):
        missing = declared() - set(written_down())
        self.assertFalse(missing, f"say in {LIST.name} how these are handed over, and see server/handed.h")

    def test_nothing_else_is(self):
        written = written_down()
        self.assertEqual(sorted(written), sorted(set(written)), "written down twice")
        self.assertFalse(set(written) - declared(), f"in {LIST.name}, and in no class any more")


class Parser(unittest.TestCase):
    TEXT = """
    class A : public B, private C<D> {
      public:
        explicit A(int one) : one_(one), two_{1} { if (one) { x(); } }
        enum class State : uint8_t { No, Yes };
        static constexpr int kSize = 64 << 10; // const int no = 1;
        std::function<void(int a)> say; // none
        struct Inner : B { int in = 0; const std::string name; std::string_view key() const { return name; } };
        bool operator==(const A&) const = default;
        template <typename T> void run(T t) { int local = 0; }
        uint32_t begin = 0, end = 0, array[3];
      private:
        friend class E;
        class Part;
        [[no_unique_address]] Reader reader_; std::map<int, std::pair<int, int>> map_;
        std::array<unsigned char, 4> bytes_{};
        mutable std::atomic<uint8_t> kind_{0};
        std::shared_ptr<size_t> open_ = std::make_shared<size_t>(0);
        int* get() const { return nullptr; }
        static Verb kVerbs[];
        Member* member_ = nullptr;
    };
    void A::f() { struct Local { int l; }; }
    """

    def test_what_it_finds(self):
        found = classes(self.TEXT)
        self.assertEqual(found["A"], ["say", "begin", "end", "array", "reader_", "map_", "bytes_", "kind_", "open_", "member_"])
        self.assertEqual(found["A::Inner"], ["in", "name"])


if __name__ == "__main__":
    unittest.main()
