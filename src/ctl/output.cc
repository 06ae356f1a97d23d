// SPDX-License-Identifier: Apache-2.0
#include "ctl/output.h"

#include "base/text.h"
#include "ctl/commands.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace fanhorn::ctl {

namespace {

int g_output_code = kOk;

// The bytes of the well-formed UTF-8 character at the front, as far as lead and continuation bytes
// tell; 1 for a byte that begins none.
size_t character_size(std::string_view text) {
    const auto lead = static_cast<uint8_t>(text[0]);
    const size_t size = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1;
    for (size_t i = 1; i < size; ++i)
        if (i >= text.size() || (static_cast<uint8_t>(text[i]) & 0xc0) != 0x80)
            return 1;
    return size;
}

bool is_command(std::string_view character) {
    const auto first = static_cast<uint8_t>(character[0]);
    if (character.size() == 1)
        return first < 0x20 || first >= 0x7f;
    return first == 0xc2 && static_cast<uint8_t>(character[1]) < 0xa0; // U+0080 to U+009F
}

void append_escaped(std::string& out, std::string_view bytes) {
    for (const char byte : bytes)
        out.append("\\x").append(hex_encode(std::string_view(&byte, 1)));
}

} // namespace

std::string one_line(std::string_view text, bool for_terminal) {
    std::string out;
    while (!text.empty()) {
        const std::string_view character = text.substr(0, character_size(text));
        text.remove_prefix(character.size());
        if (character == "\n")
            out += "\\n";
        else if (character == "\r")
            out += "\\r";
        else if (for_terminal && is_command(character))
            append_escaped(out, character);
        else
            out += character;
    }
    return out;
}

bool print_line(std::string_view text) {
    static const bool kIsTerminal = isatty(STDOUT_FILENO);
    const std::string line = one_line(text, kIsTerminal) + '\n';
    if (fwrite(line.data(), 1, line.size(), stdout) == line.size() && fflush(stdout) == 0)
        return true;
    if (errno != EPIPE)
        g_output_code = fail(std::string("cannot write: ") + std::strerror(errno));
    return false;
}

int output_code() {
    return g_output_code;
}

void warn(std::string_view text) {
    const std::string plain = one_line(text, true);
    fprintf(stderr, "fanhornctl: %s\n", plain.c_str());
}

int fail(std::string_view text) {
    warn(text);
    return kFailed;
}

} // namespace fanhorn::ctl
