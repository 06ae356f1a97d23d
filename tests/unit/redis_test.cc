// SPDX-License-Identifier: Apache-2.0
// What comes from a Redis server, and where one is: replies, records, URLs.
#include "modules/broker_redis.h"
#include "modules/message_record.h"
#include "modules/redis_connection.h"
#include "modules/redis_info.h"
#include "modules/redis_reply.h"
#include "modules/redis_url.h"

#include <cstring>
#include <future>
#include <poll.h>
#include <sys/socket.h>

#include "tests/unit/redis_server.h"
#include "tests/unit/relay_fakes.h"
#include "tests/unit/test.h"

using namespace fanhorn;

static void test_urls(void**) {
    const struct {
        const char* url;
        bool is_good;
    } kRows[] = {
        {"redis://localhost", true},
        {"redis://localhost:6380/3", true},
        {"redis://:secret@10.0.0.1", true},
        {"redis://user:p%40ss@[::1]:6379/0", true},
        {"redis://h/", true},
        {"rediss://:p%2Fq@h:1/2", true},
        {"redis://a:1,b,[::1]:3/0", true},
        {"redis://user:p/q@h", true},
        {"redis://a,,b", false},
        {"redis://,a", false},
        {"redis://a:1,b:x", false},
        {"redisss://h", false},
        {"unix:/run/redis.sock", true},
        {"unix:run/redis.sock", false},
        {"unix:", false},
        {"redis://", false},
        {"redis://:6379", false},
        {"redis://host:", false},
        {"redis://host:port", false},
        {"redis://host:123456", false},
        {"redis://user@host", false}, // a user without a password
        {"redis://:p%4@host", false},
        {"redis://host:0/x/", false},
        {"redis://host/db", false},
        {"redis://[::1", false},
        {"redis://[::1]x", false},
        {"http://host", false},
        {"", false},
    };
    for (const auto& row : kRows)
        assert_row(row.url, check_redis_url(row.url).ok() == row.is_good);
}

static std::string told(const RedisUrl& url) {
    std::string text = url.path + (url.is_secure ? " tls" : "");
    for (const RedisHost& host : url.hosts)
        text += " " + host.text();
    return text + " " + url.user + "," + url.password + "," + url.database;
}

static void test_what_a_url_says(void**) {
    const struct {
        const char *url, *told;
    } kRows[] = {
        {"redis://us%65r:p%40ss:word@127.0.0.1:7000/12", " 127.0.0.1:7000 user,p@ss:word,12"},
        {"redis://127.0.0.1/0", " 127.0.0.1:6379 ,,"},
        {"rediss://:a/b@h,[::1]:9/3", " tls h:6379 ::1:9 ,a/b,3"},
        {"unix:/a/b", "/a/b ,,"},
    };
    for (const auto& row : kRows)
        assert_text(told(*parse_redis_url(row.url)), row.told);
}

static void test_sentinels(void**) {
    const struct {
        const char *text, *told; // "": refused
    } kRows[] = {
        {"10.0.0.5", " 10.0.0.5:26379 ,,"},
        {"host:1", " host:1 ,,"},
        {"me:pw@[::1]:5", " ::1:5 me,pw,"},
        {":pw@h", " h:26379 ,pw,"},
        {"a,b", ""},
        {"h/0", ""},
        {"redis://h", ""},
        {"me@h", ""},
        {":1", ""},
        {"", ""},
    };
    for (const auto& row : kRows) {
        const auto url = parse_sentinel(row.text);
        assert_text(url ? told(*url) : "", row.told);
        assert_row(row.text, check_sentinel(row.text).ok() == url.ok());
    }
}

static void test_where_keys_have_moved(void**) {
    const struct {
        const char *error, *host; // "": none
    } kRows[] = {
        {"MOVED 3999 127.0.0.1:6381", "127.0.0.1:6381"},
        {"ASK 3999 host.example:6381", "host.example:6381"},
        {"MOVED 1 ::1:7000", "::1:7000"},
        {"MOVED 3999 :6380", ""},
        {"MOVED 3999 ?:6380", ""},
        {"MOVED 3999 h:", ""},
        {"MOVED 3999 h:x", ""},
        {"MOVED 3999", ""},
        {"MOVED", ""},
        {"READONLY 1 h:1", ""},
        {"", ""},
    };
    for (const auto& row : kRows) {
        const auto host = moved_to(row.error);
        assert_text(host ? host->text() : "", row.host);
    }
}

static void test_what_a_server_says_of_itself(void**) {
    const std::string good = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nrole:master\r\n"
                             "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n";
    const RedisInfo info = parse_info(good);
    assert_text(info.run_id, "abc");
    assert_int_equal(info.major, 7);
    assert_int_equal(info.minor, 0);
    assert_text(unfit_because(info), "");
    const struct {
        const char *what, *instead, *why; // the beginning of it; "": none
    } kRows[] = {
        {"7.0.15", "6.2.0", ""},
        {"7.0.15", "6.0.16", "Redis 6.2 or later"},
        {"7.0.15", "x", "Redis 6.2 or later"},
        {"run_id:abc", "run_id:", "INFO does not tell"},
        {"\nrun_id", "\nxrun_id", "INFO does not tell"},
        {"role:master", "role:slave", "it is a replica"},
        {"maxmemory:0", "maxmemory:1", ""},
        {"noeviction", "allkeys-lru", ""},
        {"maxmemory:0\r\nmaxmemory_policy:noeviction",
         "maxmemory:1\r\nmaxmemory_policy:allkeys-lru", "its maxmemory-policy allkeys-lru forgets"},
        {"maxmemory:0\r\nmaxmemory_policy:noeviction",
         "maxmemory:1\r\nmaxmemory_policy:volatile-ttl",
         "its maxmemory-policy volatile-ttl forgets"},
    };
    for (const auto& row : kRows) {
        std::string text = good;
        text.replace(text.find(row.what), strlen(row.what), row.instead);
        const std::string why = unfit_because(parse_info(text));
        assert_row(row.instead, *row.why ? why.starts_with(row.why) : why.empty());
    }
    assert_text(unfit_because(parse_info("")), "INFO does not tell us its run_id");
}

static void test_commands(void**) {
    const std::vector<std::string> words = {"SET", "", std::string("a\r\n\0b", 5)};
    std::string out;
    append_command(out, words);
    assert_true(out == std::string("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$5\r\na\r\n\0b\r\n", 30));
}

// Byte by byte: what is there is there, and what is of another type is nothing.
static void test_replies(void**) {
    const std::string_view stream = "+OK\r\n-ERR no\r\n:42\r\n:-1\r\n$2\r\n17\r\n$-1\r\n*-1\r\n"
                                    "*2\r\n$1\r\na\r\n*1\r\n:7\r\n";
    RedisReader reader;
    std::vector<RedisReader::Owned> replies;
    for (const char c : stream) {
        assert_true(reader.feed({&c, 1}));
        while (auto reply = reader.next())
            replies.push_back(std::move(reply));
    }
    assert_int_equal(replies.size(), 8);
    const auto reply = [&](size_t index) { return RedisReply(replies[index].get()); };
    assert_true(reply(0).text() == "OK" && !reply(0).is_error() && reply(0).number() == 0);
    assert_true(reply(1).is_error() && reply(1).text() == "ERR no");
    assert_true(reply(2).number() == 42 && reply(2).text().empty() && reply(2).size() == 0);
    assert_true(reply(3).number() == 0); // we ask for nothing that is below it
    assert_true(reply(4).number() == 17 && reply(4).text() == "17");
    assert_true(reply(5).text().empty() && !reply(5).is_error());
    assert_true(reply(6).size() == 0 && reply(6)[0].text().empty());
    assert_true(reply(7).size() == 2 && reply(7)[0].text() == "a" && reply(7)[1][0].number() == 7);
    assert_true(reply(7)[2].is_error() && reply(7)[1][0][0][0].is_error()); // there is none
    assert_true(RedisReply(nullptr).is_error());
}

static void test_streams_that_are_none(void**) {
    std::string deep;
    for (int i = 0; i < 100; ++i)
        deep += "*1\r\n";
    for (const std::string& stream :
         {std::string("HTTP/1.1 200 OK\r\n"), std::string("*x\r\n"), std::string("$-2\r\n"),
          std::string("*4294967297\r\n"), std::string("*1048577\r\n"),
          std::string("*1111111111\r\n"), deep}) {
        RedisReader reader;
        while (reader.feed(stream) && !reader.is_broken())
            static_cast<void>(reader.next());
        assert_true(reader.is_broken());
        assert_false(reader.feed("+OK\r\n")); // and stays it
        assert_null(reader.next().get());
    }
}

static void test_a_reply_without_end(void**) {
    RedisReader reader;
    const std::string bytes(16 << 20, 'x');
    assert_true(reader.feed("$500000000\r\n"));
    size_t fed = 0;
    while (reader.feed(bytes)) {
        assert_null(reader.next().get());
        fed += bytes.size();
    }
    assert_true(fed <= RedisReader::kMaxReply);
}

static Draft full_draft() {
    Draft draft = fanhorn::draft("c", std::string("pay\0load\n", 9));
    draft.content_type = "text/plain";
    draft.event = "tick";
    draft.tags = "a=1,b=2";
    draft.exclude = connection_id(7);
    draft.ttl = 5000;
    draft.retain = draft.binary = true;
    return draft;
}

static void test_records(void**) {
    const Draft draft = full_draft();
    const std::string record = encode_record(draft, 1'000'000);
    const MessageRef message = decode_record(record, "c", {3, 4}, 5, 400'000);
    assert_non_null(message.get());
    assert_text(message->channel, "c");
    assert_true(message->payload == draft.payload);
    assert_text(message->content_type, draft.content_type);
    assert_text(message->event, draft.event);
    assert_text(message->tags, draft.tags);
    assert_true(message->position == (Position{3, 4}) && message->n == 5);
    assert_int_equal(message->stored_at, 600'000); // by the clock that is behind
    assert_int_equal(message->expires, 605'000);
    assert_true(message->exclude == draft.exclude && message->stored && message->retained &&
                message->binary);
    assert_true(message->tells == MessageKind::Data);

    Draft join = fanhorn::draft("c", "{}");
    join.kind = MessageKind::Join;
    join.store = false;
    const MessageRef told = decode_record(encode_record(join, 1), "c", {1, 1}, 0, 0);
    assert_true(told->tells == MessageKind::Join && !told->stored && !told->retained);
    assert_true(told->exclude == kNoConnection && told->expires == 0);
}

// Whoever writes to the same server may write anything.
static void test_what_is_no_record(void**) {
    const Draft whole = full_draft();
    const std::string record = encode_record(whole, 1'000'000);
    const size_t head = record.size() - whole.payload.size();
    for (size_t size = 0; size < head; ++size)
        assert_null(
            decode_record(std::string_view(record).substr(0, size), "c", {1, 1}, 1, 0).get());
    const struct {
        const char* name;
        size_t at;
        char byte;
    } kRows[] = {
        {"another layout", 0, 2},
        {"an unknown kind", 1, 9},
        {"stored before all time", 10, '\x80'},
        {"a ttl below zero", 18, '\x80'},
        {"a line break in the type", 40, '\n'},
        {"a text beyond the end", 36, '\xff'},
    };
    for (const auto& row : kRows) {
        std::string broken = record;
        broken[row.at] = row.byte;
        assert_row(row.name, !decode_record(broken, "c", {1, 1}, 1, 0));
    }
}

// It says something each second, and never all.
static void test_an_answer_without_end(void**) {
    FakeClock clock;
    Loop loop;
    const auto listening = listen_inet("127.0.0.1", 0, 4);
    assert_true(listening.ok());
    std::string reason;
    RedisConnection connection(loop, clock,
                               {[] {}, [&](std::string_view why) { reason = why; }, nullptr});
    RedisPeer peer;
    peer.destination.peers =
        *resolve_host("127.0.0.1", std::to_string(local_port(listening->get())));
    connection.open(peer);
    pollfd wait = {listening->get(), POLLIN, 0};
    poll(&wait, 1, -1);
    const Descriptor server(accept(listening->get(), nullptr, nullptr));
    while (!connection.is_open())
        loop.turn(Loop::Wait::ForEvents);
    const std::vector<std::string> words = {"PING"};
    bool is_lost = false;
    assert_true(
        connection.ask(words, [&](const RedisReply& reply) { is_lost = reply.is_error(); }));
    connection.flush();
    for (Millis passed = 0; passed < RedisConnection::kMaxAge; passed += 1000) {
        assert_false(is_lost);
        assert_int_equal(send(server.get(), passed ? "1" : "$", 1, MSG_NOSIGNAL), 1);
        loop.turn(Loop::Wait::ForEvents);
        clock.advance(1000);
        connection.tick();
    }
    assert_true(is_lost);
    assert_text(reason, "the server does not answer");
}

// A node whose own clock is wrong goes by the server's, as all do.
static void test_one_clock_for_all(void**) {
    const RedisServer server;
    BrokerSettings settings;
    settings.url = server.url();
    const SystemClock clock;
    Counters counters;
    const auto rules = std::make_shared<TestRules>();
    RedisBroker wrong(settings, clock, counters, wall_millis() + 3'600'000),
        right(settings, clock, counters);
    for (RedisBroker* each : {&wrong, &right}) {
        each->configure(rules, {});
        assert_true(each->start().ok());
        while (!each->is_up())
            usleep(1000);
    }
    std::promise<std::vector<Published>> published;
    std::vector<Draft> drafts;
    drafts.push_back(draft("c", "x"));
    wrong.publish(std::move(drafts), [&](auto results) { published.set_value(results); });
    assert_true(published.get_future().get()[0].status == Published::Status::Published);
    std::promise<Page> read;
    Stretch stretch;
    stretch.parts = {{"c", 0}};
    right.read(stretch, [&](Page page) { read.set_value(std::move(page)); });
    const Page page = read.get_future().get();
    assert_int_equal(page.messages.size(), 1);
    assert_true(std::abs(clock.now() - page.messages[0]->stored_at) < 600'000);
    wrong.stop();
    right.stop();
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_one_clock_for_all),
        cmocka_unit_test(test_an_answer_without_end),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_what_a_url_says),
        cmocka_unit_test(test_sentinels),
        cmocka_unit_test(test_where_keys_have_moved),
        cmocka_unit_test(test_what_a_server_says_of_itself),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_streams_that_are_none),
        cmocka_unit_test(test_a_reply_without_end),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_what_is_no_record),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
