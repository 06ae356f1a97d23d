// SPDX-License-Identifier: Apache-2.0
#include "server/reference.h"

#include "base/text.h"
#include "server/options.h"
#include "server/values.h"
#include "server/words.h"

namespace fanhorn {

namespace {

constexpr size_t kMaxLine = 78;

// Breaks lines at blanks; what is one sentence a line stays so. A line that begins as a macro does
// is none.
std::string wrapped(std::string_view text) {
    std::string result;
    size_t column = 0;
    for (std::string_view sentence : split(text, '\n')) {
        for (std::string_view word : split(sentence, ' ')) {
            bool fits = column == 0 || column + 1 + word.size() <= kMaxLine;
            if (column > 0)
                result += fits ? ' ' : '\n';
            column = (fits && column > 0 ? column + 1 : 0) + word.size();
            if (column == word.size() && word.find_first_of("'.") == 0)
                result += "\\&";
            result += word;
        }
        result += '\n';
        column = 0;
    }
    return result;
}

// What stands for the value: "Ar size", or the words it can be.
std::string value_macro(const Row& row) {
    switch (row.type) {
    case Type::Switch:
        return "Cm on | off";
    case Type::Size:
        return "Ar size";
    case Type::Duration:
        return "Ar duration";
    case Type::Count:
        return row.word[0] ? std::string("Cm ") + row.word + " | Ar count" : "Ar count";
    case Type::Share:
        return "Ar size | Ar count Ns Cm %";
    case Type::Rate:
        return "Ar count Ns Cm /s | /m | /h";
    case Type::Choice: {
        std::string words;
        for (std::string_view word : words_of(row.choices))
            words += (words.empty() ? "" : " | ") + std::string(word);
        return "Cm " + words;
    }
    case Type::Choices:
    case Type::Flags:
        return "Ar word , ...";
    case Type::Addresses:
        return "Ar address , ...";
    case Type::Text:
    case Type::Texts:
        break;
    }
    return row.meta + std::string(row.type == Type::Texts ? " , ..." : "");
}

std::string facts(const Row& row) {
    std::string text;
    if (row.type == Type::Choices || row.type == Type::Flags)
        text += "Words: " + joined(words_of(row.choices)) + ".\n";
    std::string bounds = bounds_text(row);
    if (!bounds.empty())
        text += "Bounds: " + bounds + ".\n";
    if (!row.preset)
        text += "Must be given.\n";
    else
        text += "Default: " + (row.preset[0] ? std::string(row.preset) : "empty") + ".\n";
    return text + (row.reloadable ? "" : "A change takes effect at the next start.\n");
}

std::string section_heading(const SectionType& type) {
    return ".Ss The [" + std::string(type.title) + "] section\n" + wrapped(type.documentation);
}

} // namespace

std::string option_reference() {
    std::string text;
    const Row* previous = nullptr;
    for (const SectionType& type : section_types()) {
        text += section_heading(type);
        // [channel] has the keys of [defaults channel], which stand just before it.
        if (type.rows.data() == previous) {
            text += "Its keys are those of\n.Bq defaults channel .\n";
            continue;
        }
        previous = type.rows.data();
        text += ".Bl -tag -width Ds\n";
        for (const Row& row : type.rows)
            text += ".It Ic " + std::string(row.name) + " No = " + value_macro(row) + "\n" +
                    wrapped(row.documentation) + facts(row);
        text += ".El\n";
    }
    return text;
}

} // namespace fanhorn
