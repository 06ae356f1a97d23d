// SPDX-License-Identifier: Apache-2.0
#include "net/pem.h"

#include "base/check.h"

#include <openssl/err.h>

namespace fanhorn::pem {

namespace {

bool is_at_end() {
    const unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

BioPtr reader(std::string_view text) {
    BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    CHECK(bio);
    return bio;
}

// Instead of asking for it on the terminal.
int no_password(char*, int, int, void*) {
    return -1;
}

} // namespace

void free_chain(STACK_OF(X509) * chain) {
    sk_X509_pop_free(chain, X509_free);
}

std::string last_reason() {
    const unsigned long code = ERR_peek_last_error();
    const char* reason = code ? ERR_reason_error_string(code) : nullptr;
    ERR_clear_error();
    return reason ? reason : "no reason given";
}

ChainPtr read_certificates(std::string_view text, std::string& fault) {
    ERR_clear_error();
    const BioPtr bio = reader(text);
    ChainPtr chain(sk_X509_new_null());
    while (X509* each = PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr))
        sk_X509_push(chain.get(), each);
    if (!is_at_end())
        fault = "has a damaged certificate: " + last_reason();
    else if (sk_X509_num(chain.get()) == 0)
        fault = "has no BEGIN CERTIFICATE; it must be in PEM";
    ERR_clear_error();
    return fault.empty() ? std::move(chain) : nullptr;
}

KeyPtr read_key(std::string_view text, std::string& fault) {
    ERR_clear_error();
    KeyPtr key(PEM_read_bio_PrivateKey(reader(text).get(), nullptr, no_password, nullptr));
    if (key)
        return key;
    if (text.find("ENCRYPTED") != text.npos)
        fault = "is encrypted; write it without a password: openssl pkey -in OLD -out NEW";
    else if (text.find("PRIVATE KEY-----") == text.npos)
        fault = "has no BEGIN PRIVATE KEY; it must be in PEM";
    else
        fault = "has no key that can be read: " + last_reason();
    ERR_clear_error();
    return nullptr;
}

} // namespace fanhorn::pem
