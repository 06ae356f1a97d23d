// SPDX-License-Identifier: Apache-2.0
#include "net/tls_context.h"

#include "base/check.h"
#include "base/digest.h"
#include "base/text.h"
#include "net/pem.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <set>

namespace fanhorn {

namespace {

// Only what is authenticated and has forward secrecy; the client chooses, which knows whether its
// processor does AES.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
// The session of a stream that has been open for a day is still good when it is cut.
constexpr long kTicketSeconds = 24L * 3600;
// The protocols of ALPN in the order of preference, each behind its length.
constexpr std::string_view kProtocols = "\x02h2\x08http/1.1";
constexpr size_t kHttp2Bytes = 3; // of them
constexpr size_t kShortTicketKey = 48, kLongTicketKey = 80;
// A write buffer, which OpenSSL takes for each record, then is no mapping of its own (see
// tune_allocator).
constexpr long kRecordBytes = 8192;

// Its host names, in lower case.
std::set<std::string> hosts_of(const X509* certificate) {
    std::set<std::string> hosts;
    auto* names = static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS)
            continue;
        std::string host(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
        std::transform(host.begin(), host.end(), host.begin(), lower);
        hosts.insert(std::move(host));
    }
    GENERAL_NAMES_free(names);
    return hosts;
}

TlsCertificate facts_of(const X509* certificate) {
    TlsCertificate facts;
    const pem::BioPtr bio(BIO_new(BIO_s_mem()));
    CHECK(bio);
    X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &text);
    facts.subject.assign(text, static_cast<size_t>(std::max(size, 0l)));
    tm time{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) == 1)
        facts.not_after = timegm(&time);
    return facts;
}

// TLS 1.3 has suites of its own: TLS_AES_128_GCM_SHA256.
bool is_suite(std::string_view cipher) {
    return cipher.starts_with("TLS_") && cipher.find("_WITH_") == cipher.npos;
}

void add_to_list(std::string& list, std::string_view item) {
    list.append(list.empty() ? "" : ":").append(item);
}

// For those who have no file: of the process, so that all workers and all reloads share it.
const std::string& own_ticket_key() {
    static const std::string kKey = [] {
        std::string key(kLongTicketKey, '\0');
        CHECK(RAND_priv_bytes(reinterpret_cast<unsigned char*>(key.data()),
                              static_cast<int>(key.size())) == 1);
        return key;
    }();
    return kKey;
}

} // namespace

struct TlsContext::TicketKey {
    static constexpr size_t kNameBytes = 16;
    std::string name, hmac, aes;
    std::unique_ptr<EVP_CIPHER, pem::Freed<EVP_CIPHER_free>> cipher;

    explicit TicketKey(std::string_view file) : name(file.substr(0, kNameBytes)) {
        const bool is_long = file.size() == kLongTicketKey;
        const size_t key_bytes = is_long ? 32 : 16;
        const std::string_view first = file.substr(kNameBytes, key_bytes);
        const std::string_view second = file.substr(kNameBytes + key_bytes, key_bytes);
        hmac = is_long ? first : second;
        aes = is_long ? second : first;
        cipher.reset(EVP_CIPHER_fetch(nullptr, is_long ? "AES-256-CBC" : "AES-128-CBC", nullptr));
        CHECK(cipher);
    }
    TicketKey(TicketKey&&) = default;
    ~TicketKey() {
        OPENSSL_cleanse(hmac.data(), hmac.size());
        OPENSSL_cleanse(aes.data(), aes.size());
    }

    bool begin(const unsigned char* iv, EVP_CIPHER_CTX* sealed, EVP_MAC_CTX* mac,
               bool encrypts) const {
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<char*>(hmac.data()),
                                              hmac.size()),
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>("SHA256"), 0),
            OSSL_PARAM_construct_end()};
        const auto* key = reinterpret_cast<const unsigned char*>(aes.data());
        return EVP_MAC_CTX_set_params(mac, params) == 1 &&
               EVP_CipherInit_ex2(sealed, cipher.get(), key, iv, encrypts ? 1 : 0, nullptr) == 1;
    }
};

// What OpenSSL asks during a handshake. None of them may block.
struct TlsContext::Callbacks {
    static const TlsContext& of(SSL* ssl) {
        return *static_cast<const TlsContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    }

    static int on_host(SSL* ssl, int*, void*) {
        const char* host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        if (SSL_CTX* context = host ? of(ssl).find(host) : nullptr)
            SSL_set_SSL_CTX(ssl, context);
        return SSL_TLSEXT_ERR_OK;
    }

    static int on_protocols(SSL* ssl, const unsigned char** chosen, unsigned char* size,
                            const unsigned char* offered, unsigned offered_size, void*) {
        const std::string_view ours = kProtocols.substr(SSL_get_app_data(ssl) ? 0 : kHttp2Bytes);
        unsigned char* selected = nullptr;
        const int result = SSL_select_next_proto(
            &selected, size, reinterpret_cast<const unsigned char*>(ours.data()),
            static_cast<unsigned>(ours.size()), offered, offered_size);
        *chosen = selected;
        return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
    }

    // 0: a key that we have not; 2: it is good, and the client is to get a new ticket, as is due
    // with a key that goes out, and always with TLS 1.3 (RFC 8446 appendix C.4).
    static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                         EVP_MAC_CTX* mac, int encrypts) {
        const auto& keys = of(ssl).ticket_keys_;
        if (encrypts) {
            const TicketKey& key = keys.front();
            std::copy(key.name.begin(), key.name.end(), name);
            if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(key.cipher.get())) != 1)
                return -1;
            return key.begin(iv, cipher, mac, true) ? 1 : -1;
        }
        for (const TicketKey& key : keys) {
            if (std::memcmp(key.name.data(), name, key.name.size()) != 0)
                continue;
            if (!key.begin(iv, cipher, mac, false))
                return -1;
            return &key == &keys.front() && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
        }
        return 0;
    }
};

// Makes one, step by step; the first step that fails says why.
class TlsContext::Maker {
  public:
    Maker(const TlsSettings& settings, TlsContext& made) : settings_(settings), made_(made) {}

    bool make() { return read_lists() && read_ticket_keys() && read_client_ca() && read_pairs(); }
    TlsFault fault;

  private:
    struct Kept {
        std::set<std::string> hosts;
        SSL_CTX* context;
    };

    bool fail(const char* key, size_t item, std::string text) {
        fault = {key, item, std::move(text)};
        ERR_clear_error();
        return false;
    }

    // Each name is tried alone: OpenSSL passes over those of a list that it does not know.
    bool read_lists() {
        const pem::ContextPtr probe(SSL_CTX_new(TLS_server_method()));
        CHECK(probe);
        for (size_t i = 0; i < settings_.ciphers.size(); ++i) {
            const std::string& cipher = settings_.ciphers[i];
            const bool is_rule = cipher.find_first_of("!-+@") == 0; // says nothing alone
            const int known = is_suite(cipher)
                                  ? SSL_CTX_set_ciphersuites(probe.get(), cipher.c_str())
                              : is_rule ? 1
                                        : SSL_CTX_set_cipher_list(probe.get(), cipher.c_str());
            if (known != 1)
                return fail("ciphers", i, "is no cipher of this OpenSSL; see openssl ciphers -s");
            add_to_list(is_suite(cipher) ? suites_ : ciphers_, cipher);
        }
        for (size_t i = 0; i < settings_.groups.size(); ++i) {
            if (SSL_CTX_set1_groups_list(probe.get(), settings_.groups[i].c_str()) != 1)
                return fail("groups", i, "is no group of this OpenSSL, as X25519 or P-256 are");
            add_to_list(groups_, settings_.groups[i]);
        }
        ERR_clear_error();
        return true;
    }

    bool read_ticket_keys() {
        for (size_t i = 0; i < settings_.ticket_keys.size(); ++i) {
            const std::string& file = settings_.ticket_keys[i];
            if (file.size() != kShortTicketKey && file.size() != kLongTicketKey)
                return fail("ticket_key", i,
                            "has " + std::to_string(file.size()) +
                                " bytes instead of 48 or 80; make it by openssl rand 80");
            made_.ticket_keys_.emplace_back(file);
        }
        if (made_.ticket_keys_.empty())
            made_.ticket_keys_.emplace_back(own_ticket_key());
        return true;
    }

    bool read_client_ca() {
        if (settings_.client_ca.empty())
            return true;
        std::string why;
        authorities_ = pem::read_certificates(settings_.client_ca, why);
        return authorities_ || fail("client_ca", 0, why);
    }

    bool read_pairs() {
        for (size_t i = 0; i < settings_.pairs.size(); ++i)
            if (!read_pair(i, settings_.pairs[i]))
                return false;
        return true;
    }

    bool read_pair(size_t i, const TlsSettings::Pair& pair) {
        std::string why;
        const pem::ChainPtr chain = pem::read_certificates(pair.certificate, why);
        if (!chain)
            return fail("certificate", i, why);
        const pem::KeyPtr key = pem::read_key(pair.key, why);
        if (!key)
            return fail("key", i, why);
        const pem::CertificatePtr leaf(sk_X509_shift(chain.get()));
        if (X509_check_private_key(leaf.get(), key.get()) != 1)
            return fail("key", i,
                        "is not the key of the certificate in the same place of 'certificate'; "
                        "the server's own certificate must be the first of its file");
        std::set<std::string> hosts = hosts_of(leaf.get());
        SSL_CTX* context = context_for(hosts);
        if (SSL_CTX_use_cert_and_key(context, leaf.get(), key.get(), chain.get(), 0) != 1) {
            const unsigned long code = ERR_peek_last_error();
            const bool is_double = ERR_GET_REASON(code) == SSL_R_NOT_REPLACING_CERTIFICATE;
            const std::string reason = pem::last_reason();
            return fail("certificate", i,
                        is_double ? "has the names and the kind of key of one before it"
                                  : "is refused by OpenSSL: " + reason);
        }
        made_.certificates_.push_back(facts_of(leaf.get()));
        for (const std::string& host : hosts)
            made_.hosts_.emplace(host, context);
        kept_.push_back({std::move(hosts), context});
        return true;
    }

    // That of an earlier certificate with the same names: one may have an RSA key, one EC.
    SSL_CTX* context_for(const std::set<std::string>& hosts) {
        for (const Kept& kept : kept_)
            if (!hosts.empty() && kept.hosts == hosts)
                return kept.context;
        made_.contexts_.push_back(new_context());
        return made_.contexts_.back();
    }

    SSL_CTX* new_context() {
        SSL_CTX* context = SSL_CTX_new(TLS_server_method());
        CHECK(context);
        SSL_CTX_set_app_data(context, &made_);
        CHECK(SSL_CTX_set_min_proto_version(context,
                                            settings_.has_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION));
        CHECK(SSL_CTX_set_max_proto_version(context,
                                            settings_.has_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION));
        SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_read_ahead(context, 1); // a record's head and body by one read
        SSL_CTX_set_max_send_fragment(context, kRecordBytes);
        set_lists(context);
        set_sessions(context);
        if (authorities_)
            set_client_ca(context);
        SSL_CTX_set_tlsext_servername_callback(context, &Callbacks::on_host);
        SSL_CTX_set_alpn_select_cb(context, &Callbacks::on_protocols, nullptr);
        return context;
    }

    void set_lists(SSL_CTX* context) {
        CHECK(SSL_CTX_set_cipher_list(context, ciphers_.empty() ? kCiphers : ciphers_.c_str()) ==
              1);
        if (!suites_.empty())
            CHECK(SSL_CTX_set_ciphersuites(context, suites_.c_str()) == 1);
        if (!settings_.ciphers.empty()) // then their order is meant
            SSL_CTX_set_options(context,
                                SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
        if (!groups_.empty())
            CHECK(SSL_CTX_set1_groups_list(context, groups_.c_str()) == 1);
    }

    // Tickets alone: nothing is kept here for a client that has gone. One that was given where
    // other authorities, or none, are asked for is not taken: it would be a way past them.
    void set_sessions(SSL_CTX* context) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_timeout(context, kTicketSeconds);
        SSL_CTX_set_num_tickets(context, 1);
        const auto id = sha256(settings_.name + '\n' + settings_.client_ca);
        static_assert(sizeof id <= SSL_MAX_SID_CTX_LENGTH);
        CHECK(SSL_CTX_set_session_id_context(context, id.data(), id.size()) == 1);
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &Callbacks::on_ticket);
    }

    void set_client_ca(SSL_CTX* context) {
        X509_STORE* store = SSL_CTX_get_cert_store(context);
        for (int i = 0; i < sk_X509_num(authorities_.get()); ++i) {
            X509* authority = sk_X509_value(authorities_.get(), i);
            CHECK(X509_STORE_add_cert(store, authority) == 1);
            CHECK(SSL_CTX_add_client_CA(context, authority) == 1);
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }

    const TlsSettings& settings_;
    TlsContext& made_;
    std::string ciphers_, suites_, groups_;
    pem::ChainPtr authorities_;
    std::vector<Kept> kept_;
};

TlsContext::TlsContext() = default;

TlsContext::~TlsContext() {
    for (SSL_CTX* context : contexts_)
        SSL_CTX_free(context);
}

std::variant<std::shared_ptr<const TlsContext>, TlsFault>
TlsContext::make(const TlsSettings& settings) {
    CHECK(!settings.pairs.empty() && (settings.has_tls12 || settings.has_tls13));
    std::shared_ptr<TlsContext> made(new TlsContext);
    Maker maker(settings, *made);
    if (!maker.make())
        return std::move(maker.fault);
    return std::shared_ptr<const TlsContext>(std::move(made));
}

ssl_st* TlsContext::open(int fd, bool has_http2) const {
    static char yes;
    SSL* ssl = SSL_new(contexts_.front());
    CHECK(ssl);
    CHECK(SSL_set_app_data(ssl, has_http2 ? &yes : nullptr) == 1);
    CHECK(SSL_set_fd(ssl, fd) == 1);
    SSL_set_accept_state(ssl);
    return ssl;
}

ssl_ctx_st* TlsContext::find(std::string_view host) const {
    std::string name(host);
    std::transform(name.begin(), name.end(), name.begin(), lower);
    if (name.ends_with('.'))
        name.pop_back();
    if (const auto found = hosts_.find(name); found != hosts_.end())
        return found->second;
    const size_t dot = name.find('.');
    if (dot == name.npos || dot == 0)
        return nullptr;
    const auto found = hosts_.find("*" + name.substr(dot)); // RFC 6125: for one label
    return found == hosts_.end() ? nullptr : found->second;
}

} // namespace fanhorn
