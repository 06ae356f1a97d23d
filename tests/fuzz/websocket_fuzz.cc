// SPDX-License-Identifier: Apache-2.0
// A client's bytes, whole and split, must be heard the same. The first byte chooses the limits and
// the splits; inflating what was compressed must keep to its limit.
#include "modules/deflate.h"
#include "modules/websocket_frame.h"
#include "tests/unit/websocket_client.h"

#include <algorithm>
#include <cstdlib>

using namespace fanhorn;

static void require(bool is_true) {
    if (!is_true)
        std::abort();
}

// Takes apart what a reader would hand on.
class Inflating final : public FrameHandler {
  public:
    bool on_message(Opcode, std::string payload, bool compressed) override {
        std::string out;
        if (compressed)
            inflater_.inflate(payload, kLimit, out);
        require(out.size() <= kLimit);
        return true;
    }
    bool on_ping(std::string_view payload) override { return require_control(payload); }
    bool on_pong(std::string_view payload) override { return require_control(payload); }
    void on_close(uint16_t code, std::string_view reason) override {
        require(code == 0 || is_close_code(code));
        std::string echo;
        append_close(echo, code, reason);
        require(reason.size() <= kMaxCloseReasonBytes);
    }
    void on_error(uint16_t code, std::string_view) override {
        require(code == 1002 || code == 1007 || code == 1009);
    }

  private:
    static constexpr size_t kLimit = 4096;

    bool require_control(std::string_view payload) {
        require(payload.size() <= kMaxControlPayloadBytes);
        return true;
    }

    Inflater inflater_;
};

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0)
        return 0;
    const unsigned choice = data[0];
    const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const ReaderLimits limits{choice & 1 ? 64u : 65536u, choice & 2 ? 4u : 10000u,
                              (choice & 4) != 0};
    const std::string whole = read_in_pieces(bytes, limits, [&] { return bytes.size(); });
    require(read_in_pieces(bytes, limits, [] { return 1; }) == whole);
    unsigned step = choice;
    require(read_in_pieces(bytes, limits, [&] { return 1 + (step = step * 5 + 1) % 7; }) == whole);

    std::string copy = bytes;
    Inflating handler;
    MessageReader().feed(copy, limits, handler);
    (void)choose_deflate(bytes);
    (void)is_websocket_key(bytes);
    return 0;
}
