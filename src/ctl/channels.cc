// SPDX-License-Identifier: Apache-2.0
// What the daemon says of its channels.
#include "ctl/commands.h"
#include "ctl/json.h"

#include <fmt/core.h>

#include <algorithm>

namespace fanhorn::ctl {

namespace {

constexpr size_t kMaxNameWidth = 40; // longer names push their row to the right

Result<Json> get(const Arguments& arguments, std::string target) {
    Request request;
    request.target = std::move(target);
    const auto response = ask(arguments.daemon, request);
    if (!response)
        return Error{response.error()};
    if (!response->ok())
        return Error{problem_text(*response)};
    auto json = parse_json(response->body);
    return json && json->is_object() ? Result(std::move(*json)) : Error{"the answer is not JSON"};
}

// Characters, which is what the columns are made of.
size_t width(std::string_view name) {
    return static_cast<size_t>(
        std::count_if(name.begin(), name.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string row(const Json& facts, size_t name_width) {
    const Json none;
    const Json& subscribers = facts.contains("subscribers") ? facts["subscribers"] : none;
    const std::string last = text_member(facts, "last");
    return fmt::format(
        "{:<{}} {:>9} {:>6} {:>8} {:>8} {:>11}  {:<22} {}", text_member(facts, "channel"),
        name_width, number_member(subscribers, "websocket"), number_member(subscribers, "sse"),
        number_member(subscribers, "longpoll"), number_member(facts, "messages"),
        number_member(facts, "bytes"), last.empty() ? "-" : last, text_member(facts, "section"));
}

// Writes page by page: there may be a million channels. Each is false when the output cannot be
// written any more.
class List {
  public:
    explicit List(bool is_json) : is_json_(is_json) {}

    bool add(const Json& page) {
        if (!has_begun_ && !begin(page))
            return false;
        return std::all_of(page.begin(), page.end(),
                           [&](const Json& facts) { return add_one(facts); });
    }
    bool end() { return !is_json_ || (print_line(held_back_) && print_line("]}")); }

  private:
    bool begin(const Json& page) {
        has_begun_ = true;
        for (const Json& facts : page)
            name_width_ = std::max(name_width_, width(text_member(facts, "channel")));
        name_width_ = std::min(name_width_, kMaxNameWidth);
        if (is_json_)
            return print_line("{\"channels\":[");
        return print_line(fmt::format("{:<{}} {:>9} {:>6} {:>8} {:>8} {:>11}  {:<22} {}", "channel",
                                      name_width_, "websocket", "sse", "longpoll", "messages",
                                      "bytes", "last", "section"));
    }
    bool add_one(const Json& facts) {
        if (!is_json_)
            return facts.is_object() ? print_line(row(facts, name_width_)) : true;
        // A comma follows only where another one does.
        const bool is_first = held_back_.empty();
        const std::string before = std::exchange(held_back_, facts.dump());
        return is_first || print_line(before + ",");
    }

    bool is_json_, has_begun_ = false;
    size_t name_width_ = 7; // of "channel"
    std::string held_back_;
};

} // namespace

int channels(const Arguments& arguments) {
    List list(arguments.has("json"));
    std::string cursor;
    while (true) {
        std::string target =
            "/channels?limit=1000&prefix=" + http::percent_encode(arguments.option("prefix"));
        if (!cursor.empty())
            target += "&cursor=" + http::percent_encode(cursor);
        const auto page = get(arguments, target);
        if (!page)
            return fail(page.error());
        if (!page->contains("channels"))
            return fail("the answer is no list of channels");
        if (!list.add((*page)["channels"]))
            return output_code();
        const std::string next = text_member(*page, "cursor");
        if (next.empty())
            return list.end() ? kOk : output_code();
        if (next == cursor)
            return fail("the list of channels does not end");
        cursor = next;
    }
}

int channel(const Arguments& arguments) {
    const auto facts = get(arguments, "/pub/" + http::percent_encode(arguments.operands[0]));
    if (!facts)
        return fail(facts.error());
    if (arguments.has("json"))
        return print_line(facts->dump()) ? kOk : output_code();
    for (const auto& [name, value] : facts->items())
        if (!print_line(fmt::format("{:<12} {}", name,
                                    value.is_string() ? value.get<std::string>() : value.dump())))
            return output_code();
    return kOk;
}

} // namespace fanhorn::ctl
