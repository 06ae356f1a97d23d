// SPDX-License-Identifier: Apache-2.0
#include "server/ini.h"

#include "base/secret.h"
#include "base/text.h"
#include "base/utf8.h"
#include "server/expand.h"

#include <algorithm>
#include <cstring>
#include <ini.h>

namespace fanhorn {

namespace {

constexpr size_t kMaxDepth = 8;
constexpr size_t kMaxFiles = 1000;
constexpr size_t kMaxKeyBytes = 49; // inih cuts longer ones

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

bool is_key(std::string_view key) {
    auto is_word = [](char c) {
        return (lower(c) >= 'a' && lower(c) <= 'z') || is_digit(c) || c == '_' || c == '-';
    };
    return !key.empty() && key.size() <= kMaxKeyBytes &&
           std::all_of(key.begin(), key.end(), is_word);
}

std::string quote_glob(std::string_view text) {
    std::string quoted;
    for (char c : text) {
        if (std::strchr("*?[]\\", c))
            quoted += '\\';
        quoted += c;
    }
    return quoted;
}

// In a text that quote_glob() was applied to.
bool is_glob(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\')
            ++i;
        else if (std::strchr("*?[", text[i]))
            return true;
    }
    return false;
}

// "" for a file in the current folder.
std::string folder_of(const std::string& file) {
    return file.substr(0, file.rfind('/') + 1);
}

// Reads one file and those below it.
class IniReader {
  public:
    IniReader(const Surroundings& world, Faults& faults) : world_(world), faults_(faults) {}

    // `from`: where the file was asked for.
    void read(const std::string& file, const Place& from);

    std::vector<IniSection> take() { return std::move(sections_); }

  private:
    // What a line may be followed by.
    enum class State : unsigned char {
        NoKey,  // an indented line continues nothing
        Key,    // an indented line continues that key
        Faulty, // an indented line belongs to a fault that was told already
    };
    // The file being read. inih pulls lines out of it and hands back what they are.
    struct Stream {
        IniReader* reader;
        std::string_view rest;
        Place place; // of the line inih has
        State state = State::NoKey;
        bool continued = false;
        bool in_section = false;
    };

    static char* next_line(char* buffer, int size, void* stream);
    static int on_entry(void* stream, const char* section, const char* key, const char* value);

    std::string prepare(Stream& stream, std::string_view line, size_t limit);
    std::string open_section(Stream& stream, std::string_view line);
    std::string_view check_entry(Stream& stream, std::string_view line, size_t limit);
    std::string entry_fault(const Stream& stream, std::string_view line, size_t limit) const;
    void include(const std::string& value, const Place& place);
    void include_file(const std::string& file, const Place& place);

    const Surroundings& world_;
    Faults& faults_;
    std::vector<IniSection> sections_;
    std::vector<std::string> open_; // the files being read, outermost first
    size_t files_ = 0;
};

void IniReader::read(const std::string& file, const Place& from) {
    auto text = world_.read(file);
    if (!text) {
        std::string what = from.file == file ? "" : "include '" + file + "': ";
        return faults_.add(from, what + text.error());
    }
    open_.push_back(file);
    Stream stream{this, *text, Place{file, 0}};
    if (stream.rest.starts_with("\xef\xbb\xbf"))
        stream.rest.remove_prefix(3);
    // Every line was checked before inih saw it, so a complaint of its own means that this inih
    // was built with other limits.
    if (int line = ini_parse_stream(next_line, &stream, on_entry, &stream); line != 0)
        faults_.add(Place{file, line > 0 ? static_cast<unsigned>(line) : 0},
                    "the INI library refuses this line");
    open_.pop_back();
    wipe(*text); // there may be secrets in it
}

char* IniReader::next_line(char* buffer, int size, void* user) {
    auto& stream = *static_cast<Stream*>(user);
    if (stream.rest.empty())
        return nullptr;
    ++stream.place.line;
    std::string_view line = take_until(stream.rest, '\n');
    if (line.ends_with('\r'))
        line.remove_suffix(1);
    // inih's buffer: the line, '\n' and NUL.
    std::string ready = stream.reader->prepare(stream, line, static_cast<size_t>(size) - 2);
    std::memcpy(buffer, ready.data(), ready.size());
    buffer[ready.size()] = '\n';
    buffer[ready.size() + 1] = '\0';
    wipe(ready);
    return buffer;
}

// The line as inih shall see it: checked, without comment, "" where it has nothing to see.
std::string IniReader::prepare(Stream& stream, std::string_view line, size_t limit) {
    if (std::string fault = text_fault(line); !fault.empty()) {
        faults_.add(stream.place, fault);
        stream.state = State::Faulty;
        return "";
    }
    line = without_comment(line);
    if (trim_blanks(line).empty())
        return "";
    stream.continued = is_blank(line[0]);
    if (line[0] == '[')
        return open_section(stream, trim_blanks(line));
    return std::string(check_entry(stream, line, limit));
}

// inih cuts section names at 49 bytes: it is given a number in place of the name.
std::string IniReader::open_section(Stream& stream, std::string_view line) {
    stream.in_section = true;
    stream.state = State::NoKey;
    IniSection section;
    section.place = stream.place;
    if (line.ends_with(']'))
        split_section(line.substr(1, line.size() - 2), section.type, section.name);
    if (!line.ends_with(']'))
        faults_.add(stream.place, "a section header ends in ']'");
    else if (section.type.empty())
        faults_.add(stream.place, "a section header is empty");
    sections_.push_back(std::move(section));
    return "[#" + std::to_string(sections_.size()) + "]";
}

std::string_view IniReader::check_entry(Stream& stream, std::string_view line, size_t limit) {
    if (stream.continued && stream.state == State::Faulty)
        return "";
    while (is_blank(line.back()))
        line.remove_suffix(1);
    std::string fault = entry_fault(stream, line, limit);
    if (fault.empty()) {
        stream.state = State::Key;
        return line;
    }
    faults_.add(stream.place, fault);
    stream.state = State::Faulty;
    return "";
}

std::string IniReader::entry_fault(const Stream& stream, std::string_view line,
                                   size_t limit) const {
    if (line.size() > limit)
        return "the line has " + std::to_string(line.size()) + " bytes, at most " +
               std::to_string(limit) +
               " can be read; a list goes on in indented lines, a long value comes from "
               "${file:/path}";
    size_t equals = line.find('=');
    std::string_view key = trim_blanks(line.substr(0, equals));
    if (stream.continued) {
        if (equals != std::string_view::npos && is_key(key))
            return "an indented line continues the key before it; '" + std::string(key) +
                   "' must begin in the first column";
        return stream.state == State::Key ? "" : "an indented line that continues no key";
    }
    if (equals == std::string_view::npos)
        return "not understood; a line is 'key = value', '[section]' or a comment";
    if (!is_key(key))
        return "'" + std::string(key) + "' is not a key: letters, digits and '_', at most " +
               std::to_string(kMaxKeyBytes);
    if (!stream.in_section && key != "include")
        return "'" + std::string(key) +
               "' stands before the first section, where only 'include' may";
    return "";
}

int IniReader::on_entry(void* user, const char* section, const char* key, const char* value) {
    auto& stream = *static_cast<Stream*>(user);
    IniReader& reader = *stream.reader;
    if (section[0] == '\0')
        reader.include(value, stream.place);
    else
        reader.sections_.back().entries.push_back({key, value, stream.place, stream.continued});
    return 1;
}

void IniReader::include(const std::string& value, const Place& place) {
    auto pattern = expand(value, world_, quote_glob);
    auto name = expand(value, world_);
    if (!pattern || !name)
        return faults_.add(place, pattern.error());
    if (name->text.empty())
        return faults_.add(place, "'include' needs a value");
    std::string folder = name->text[0] == '/' ? "" : folder_of(place.file);
    if (!is_glob(pattern->text))
        return include_file(folder + name->text, place);
    auto files = world_.matching(quote_glob(folder) + pattern->text);
    if (!files)
        return faults_.add(place, "include '" + value + "': " + files.error());
    for (const std::string& file : *files)
        include_file(file, place);
}

void IniReader::include_file(const std::string& file, const Place& place) {
    if (std::find(open_.begin(), open_.end(), file) != open_.end())
        return faults_.add(place, "include '" + file + "': includes itself");
    if (open_.size() > kMaxDepth)
        return faults_.add(place, "include '" + file + "': more than " + std::to_string(kMaxDepth) +
                                      " files deep");
    if (++files_ > kMaxFiles)
        return faults_.add(place, "include '" + file + "': more than " + std::to_string(kMaxFiles) +
                                      " files");
    read(file, place);
}

} // namespace

std::vector<IniSection> read_ini(const std::string& file, const Surroundings& world,
                                 Faults& faults) {
    IniReader reader(world, faults);
    reader.read(file, Place{file, 0});
    return reader.take();
}

void split_section(std::string_view header, std::string& type, std::string& name) {
    header = trim_blanks(header);
    size_t blank = std::min(header.find_first_of(" \t"), header.size());
    type = header.substr(0, blank);
    name = trim_blanks(header.substr(blank));
}

std::string_view without_comment(std::string_view line) {
    for (size_t i = 0; i < line.size(); ++i)
        if ((line[i] == '#' || line[i] == ';') && (i == 0 || is_blank(line[i - 1])))
            return line.substr(0, i);
    return line;
}

std::string text_fault(std::string_view line) {
    for (char c : line) {
        auto byte = static_cast<unsigned char>(c);
        if (byte == 0)
            return "the line has a NUL byte";
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return "the line has a control byte, " + std::to_string(byte);
    }
    return is_utf8(line) ? "" : "the line is not UTF-8";
}

} // namespace fanhorn
