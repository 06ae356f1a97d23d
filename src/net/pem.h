// SPDX-License-Identifier: Apache-2.0
// Certificates and keys out of PEM texts (RFC 7468), and OpenSSL's objects with an owner. Within
// this room.
#pragma once

#include <memory>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string>
#include <string_view>

namespace fanhorn::pem {

template <auto Free> struct Freed {
    template <typename T> void operator()(T* object) const { Free(object); }
};
void free_chain(STACK_OF(X509) * chain);
using BioPtr = std::unique_ptr<BIO, Freed<BIO_free>>;
using CertificatePtr = std::unique_ptr<X509, Freed<X509_free>>;
using ChainPtr = std::unique_ptr<STACK_OF(X509), Freed<free_chain>>;
using ContextPtr = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

// The newest error of the thread's queue, which is emptied.
std::string last_reason();
// All certificates of a text; none where one is damaged, `fault` says why.
ChainPtr read_certificates(std::string_view text, std::string& fault);
// A key without a password; none, and `fault` says why.
KeyPtr read_key(std::string_view text, std::string& fault);

} // namespace fanhorn::pem
