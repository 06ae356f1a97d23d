// SPDX-License-Identifier: Apache-2.0
#include "net/client_tls.h"

#include "base/check.h"
#include "net/pem.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

namespace fanhorn {

namespace {

pem::ContextPtr make_context() {
    pem::ContextPtr context(SSL_CTX_new(TLS_client_method()));
    CHECK(context);
    CHECK(SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION));
    SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    return context;
}

// Of a file of one's own each certificate is an anchor, a server's own as well.
bool trust(SSL_CTX* context, const std::string& authorities, TlsFault& fault) {
    if (authorities.empty()) {
        SSL_CTX_set_default_verify_paths(context); // where there is none, nobody is trusted
        ERR_clear_error();
        return true;
    }
    fault.key = "tls_ca";
    const pem::ChainPtr chain = pem::read_certificates(authorities, fault.text);
    if (!chain)
        return false;
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    for (int i = 0; i < sk_X509_num(chain.get()); ++i)
        CHECK(X509_STORE_add_cert(store, sk_X509_value(chain.get(), i)) == 1);
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    return true;
}

bool show(SSL_CTX* context, const ClientTlsSettings& settings, TlsFault& fault) {
    if (settings.certificate.empty())
        return true;
    fault.key = "tls_certificate";
    const pem::ChainPtr chain = pem::read_certificates(settings.certificate, fault.text);
    if (!chain)
        return false;
    fault.key = "tls_key";
    const pem::KeyPtr key = pem::read_key(settings.key, fault.text);
    if (!key)
        return false;
    const pem::CertificatePtr own(sk_X509_shift(chain.get()));
    if (SSL_CTX_use_cert_and_key(context, own.get(), key.get(), chain.get(), 1) == 1)
        return true;
    fault.text = "does not go with 'tls_certificate': " + pem::last_reason();
    return false;
}

// Whether it is one. The server is never told (RFC 6066 section 3).
bool expect_address(SSL* ssl, const std::string& host) {
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
}

void expect_name(SSL* ssl, const std::string& host) {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    CHECK(SSL_set1_host(ssl, host.c_str()) == 1);
    CHECK(SSL_set_tlsext_host_name(ssl, host.c_str()) == 1);
}

} // namespace

ClientTls::~ClientTls() {
    SSL_CTX_free(context_);
}

std::variant<std::shared_ptr<const ClientTls>, TlsFault>
ClientTls::make(const ClientTlsSettings& settings) {
    pem::ContextPtr context = make_context();
    TlsFault fault;
    if (!trust(context.get(), settings.authorities, fault) || !show(context.get(), settings, fault))
        return fault;
    return std::shared_ptr<const ClientTls>(new ClientTls(context.release()));
}

ssl_st* ClientTls::open(int fd, const std::string& host) const {
    CHECK(!host.empty());
    SSL* ssl = SSL_new(context_);
    CHECK(ssl);
    if (!expect_address(ssl, host))
        expect_name(ssl, host);
    ERR_clear_error();
    CHECK(SSL_set_fd(ssl, fd) == 1);
    SSL_set_connect_state(ssl);
    return ssl;
}

} // namespace fanhorn
