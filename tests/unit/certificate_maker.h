// SPDX-License-Identifier: Apache-2.0
// Makes certificates, as an authority does. Include before test.h.
#pragma once

#include "token_maker.h"

#include <ctime>
#include <initializer_list>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace fanhorn {

// A key and its certificate, of itself or of `issuer`.
struct Certified {
    std::string certificate, key; // PEM

    // `names`: "DNS:a.example,DNS:*.a.example"; "" for none. It ends in `seconds`.
    static Certified make(const std::string& subject, const std::string& names,
                          const Certified* issuer = nullptr, const char* kind = "EC",
                          long seconds = 3600) {
        EVP_PKEY* own = kind == std::string("EC")
                            ? EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")
                            : EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048});
        X509* made = X509_new();
        X509_set_version(made, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(made), static_cast<long>(++serial()));
        X509_gmtime_adj(X509_getm_notBefore(made), -60);
        X509_gmtime_adj(X509_getm_notAfter(made), seconds);
        X509_NAME* name = X509_get_subject_name(made);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1,
                                   0);
        X509_set_pubkey(made, own);
        if (!names.empty())
            add_extension(made, NID_subject_alt_name, names);
        add_extension(made, NID_basic_constraints, issuer ? "CA:FALSE" : "CA:TRUE");
        X509* authority = issuer ? read_certificate(issuer->certificate) : made;
        EVP_PKEY* signer = issuer ? read_key(issuer->key) : own;
        X509_set_issuer_name(made, X509_get_subject_name(authority));
        CHECK(X509_sign(made, signer, EVP_sha256()) > 0);
        Certified result{pem([&](BIO* bio) { PEM_write_bio_X509(bio, made); }), pem([&](BIO* bio) {
                             PEM_write_bio_PrivateKey(bio, own, nullptr, nullptr, 0, nullptr,
                                                      nullptr);
                         })};
        if (issuer) {
            X509_free(authority);
            EVP_PKEY_free(signer);
        }
        X509_free(made);
        EVP_PKEY_free(own);
        return result;
    }

    static X509* read_certificate(const std::string& text) {
        BIO* bio = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
        X509* read = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
        BIO_free(bio);
        CHECK(read);
        return read;
    }
    static EVP_PKEY* read_key(const std::string& text) {
        BIO* bio = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
        EVP_PKEY* read = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
        BIO_free(bio);
        CHECK(read);
        return read;
    }

  private:
    static unsigned& serial() {
        static unsigned number = 0;
        return number;
    }
    static void add_extension(X509* to, int kind, const std::string& value) {
        X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
        CHECK(extension && X509_add_ext(to, extension, -1) == 1);
        X509_EXTENSION_free(extension);
    }
    template <typename Write> static std::string pem(Write write) {
        BIO* bio = BIO_new(BIO_s_mem());
        write(bio);
        char* text = nullptr;
        const long size = BIO_get_mem_data(bio, &text);
        std::string result(text, static_cast<size_t>(size));
        BIO_free(bio);
        return result;
    }
};

} // namespace fanhorn
