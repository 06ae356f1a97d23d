// SPDX-License-Identifier: Apache-2.0
#include "modules/nats_link.h"

#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "modules/json_object.h"

#include <nats/nats.h>

namespace fanhorn {

namespace {

// What is told of a server's answer.
constexpr size_t kMostReason = 200;

template <typename T, void (*destroy)(T*)> struct Destroy {
    void operator()(T* handle) const { destroy(handle); }
};
template <typename T, void (*destroy)(T*)> using Handle = std::unique_ptr<T, Destroy<T, destroy>>;
using Connection = Handle<natsConnection, natsConnection_Destroy>;
using Subscription = Handle<natsSubscription, natsSubscription_Destroy>;
using Options = Handle<natsOptions, natsOptions_Destroy>;
using Context = Handle<jsCtx, jsCtx_Destroy>;
using Received = Handle<natsMsg, natsMsg_Destroy>;
using StreamInfo = Handle<jsStreamInfo, jsStreamInfo_Destroy>;

// `code` of JetStream, 0: none.
Error error_of(natsStatus status, int code = 0) {
    natsStatus last = NATS_OK;
    const char* text = status == NATS_OK ? nullptr : nats_GetLastError(&last);
    std::string reason = natsStatus_GetText(status);
    if (text && last == status && *text)
        reason += std::string(": ") + text;
    if (code)
        reason += " (" + std::to_string(code) + ")";
    return {std::move(reason)};
}

std::string_view data_of(const natsMsg* message) {
    return {natsMsg_GetData(message), static_cast<size_t>(natsMsg_GetDataLength(message))};
}

// $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQ.CONSUMER_SEQ.TIME.PENDING, or with two names more behind
// ACK and a word at the end.
bool read_place(const natsMsg* message, NatsRecord& record) {
    const char* reply = natsMsg_GetReply(message);
    const std::vector<std::string_view> words = split(reply ? reply : "", '.');
    if (words.size() < 9)
        return false;
    const size_t from = words.size() >= 11 ? 7 : 5;
    const auto seq = parse_u64(words[from]), time = parse_u64(words[from + 2]);
    record.seq = seq.value_or(0);
    record.stored_at = static_cast<Millis>(time.value_or(0) / 1'000'000);
    return seq && time && words[0] == "$JS" && words[1] == "ACK";
}

// What a question for one was answered with.
Result<std::optional<NatsRecord>> record_of(natsMsg* found, natsStatus status, int code) {
    const Received message(found);
    if (status == NATS_NOT_FOUND)
        return std::optional<NatsRecord>();
    if (status != NATS_OK)
        return error_of(status, code);
    return std::optional(NatsRecord{natsMsg_GetSequence(found), natsMsg_GetTime(found) / 1'000'000,
                                    std::string(data_of(found))});
}

natsStatus configure(natsOptions* options, const NatsPeer& peer) {
    const NatsUrl& url = peer.url;
    std::vector<std::string> texts;
    for (const std::string& host : url.hosts)
        texts.push_back((url.is_secure ? "tls://" : "nats://") + host);
    std::vector<const char*> servers;
    servers.reserve(texts.size());
    for (const std::string& text : texts)
        servers.push_back(text.c_str());
    const auto has = [](const std::string& text) { return !text.empty(); };
    natsStatus status =
        natsOptions_SetServers(options, servers.data(), static_cast<int>(servers.size()));
    const auto then = [&](bool is_wanted, auto set) {
        if (status == NATS_OK && is_wanted)
            status = set();
    };
    then(true, [&] { // or it would write to standard error
        return natsOptions_SetErrorHandler(
            options, [](natsConnection*, natsSubscription*, natsStatus, void*) {}, nullptr);
    });
    then(true, [&] { return natsOptions_SetName(options, peer.client.c_str()); });
    then(true, [&] { return natsOptions_SetTimeout(options, NatsLink::kAnswersWithin); });
    then(true, [&] { return natsOptions_SetAllowReconnect(options, false); });
    then(true, [&] { return natsOptions_SetPingInterval(options, NatsLink::kAsksEvery); });
    then(true, [&] { return natsOptions_SetMaxPingsOut(options, NatsLink::kOpenQuestions); });
    then(true, [&] { return natsOptions_SetWriteDeadline(options, NatsLink::kAnswersWithin); });
    then(has(url.user),
         [&] { return natsOptions_SetUserInfo(options, url.user.c_str(), url.password.c_str()); });
    then(has(url.token), [&] { return natsOptions_SetToken(options, url.token.c_str()); });
    then(url.is_secure, [&] { return natsOptions_SetSecure(options, true); });
    then(has(peer.authorities),
         [&] { return natsOptions_SetCATrustedCertificates(options, peer.authorities.c_str()); });
    then(has(peer.certificate), [&] {
        return natsOptions_SetCertificatesChain(options, peer.certificate.c_str(),
                                                peer.key.c_str());
    });
    return status;
}

Result<void> check_stream(const jsStreamInfo& info) {
    const jsStreamConfig& config = *info.Config;
    const std::string name = config.Name;
    const auto must = [&](const std::string& what) {
        return Error{"stream " + name + " must have " + what};
    };
    if (config.Retention != js_LimitsPolicy || config.MaxAge > 0 || config.MaxMsgs > 0 ||
        config.MaxMsgsPerSubject > 0)
        return must("no limits but max_bytes: what is kept is Fanhorn's to say");
    if (config.MaxBytes > 0 && config.Discard != js_DiscardNew)
        return must("'discard: new' where it has max_bytes, or it loses what is kept");
    if (config.NoAck || config.Sealed)
        return must("neither 'no_ack' nor 'sealed'");
    if (info.Cluster && config.Replicas < 2)
        return must("three replicas in a cluster: of one nobody knows what it lost in a restart");
    return {};
}

} // namespace

struct NatsLink::Handles {
    Connection connection;
    Context stream;
    Subscription answers, followed;
};

NatsLink::NatsLink(Refused refused) : refused_(std::move(refused)) {}

NatsLink::~NatsLink() {
    close();
}

Result<void> NatsLink::open(const NatsPeer& peer) {
    stream_ = peer.stream;
    auto handles = std::make_unique<Handles>();
    natsOptions* made = nullptr;
    if (const natsStatus status = natsOptions_Create(&made); status != NATS_OK)
        return error_of(status);
    const Options options(made);
    natsStatus status = configure(made, peer);
    natsConnection* connection = nullptr;
    if (status == NATS_OK)
        status = natsConnection_Connect(&connection, made);
    handles->connection.reset(connection);
    jsOptions defaults;
    jsOptions_Init(&defaults);
    defaults.Wait = kAnswersWithin;
    jsCtx* context = nullptr;
    if (status == NATS_OK)
        status = natsConnection_JetStream(&context, connection, &defaults);
    handles->stream.reset(context);
    inbox_ = "_INBOX." + std::to_string(random_u64()) + ".";
    natsSubscription* answers = nullptr;
    if (status == NATS_OK)
        status = natsConnection_SubscribeSync(&answers, connection, (inbox_ + "*").c_str());
    handles->answers.reset(answers);
    if (status != NATS_OK)
        return error_of(status);
    natsSubscription_SetPendingLimits(answers, -1, -1);
    handles_ = std::move(handles);
    return {};
}

void NatsLink::close() {
    if (handles_)
        natsConnection_Close(handles_->connection.get());
}

std::string NatsLink::server_id() const {
    char id[128] = "";
    natsConnection_GetConnectedServerId(handles_->connection.get(), id, sizeof id);
    return id;
}

size_t NatsLink::max_payload() const {
    return static_cast<size_t>(natsConnection_GetMaxPayload(handles_->connection.get()));
}

// ---- the stream

Result<NatsStream> NatsLink::find_stream() {
    jsStreamInfo* found = nullptr;
    jsErrCode code{};
    jsCtx* js = handles_->stream.get();
    natsStatus status = js_GetStreamInfo(&found, js, stream_.c_str(), nullptr, &code);
    if (status == NATS_NOT_FOUND) {
        const std::string subjects = stream_ + ".>";
        const char* subject = subjects.c_str();
        jsStreamConfig config;
        jsStreamConfig_Init(&config);
        config.Name = stream_.c_str();
        config.Description = "Fanhorn's log";
        config.Subjects = &subject;
        config.SubjectsLen = 1;
        config.Discard = js_DiscardNew;
        config.Replicas = 3;
        status = js_AddStream(&found, js, &config, nullptr, &code);
        if (code == JSStreamReplicasNotSupportedErr) { // it is no cluster
            config.Replicas = 1;
            status = js_AddStream(&found, js, &config, nullptr, &code);
        }
        if (code == JSStreamNameExistErr) // another node was quicker
            status = js_GetStreamInfo(&found, js, stream_.c_str(), nullptr, &code);
    }
    const StreamInfo info(found);
    if (status == NATS_NO_RESPONDERS)
        return Error{"the server has no JetStream: start it with -js"};
    if (status != NATS_OK)
        return error_of(status, code);
    if (auto checked = check_stream(*found); !checked)
        return Error{checked.error()};
    return NatsStream{found->State.FirstSeq, found->State.LastSeq, found->State.Bytes,
                      found->Config->Replicas > 1};
}

Result<void> NatsLink::follow(uint64_t from, std::string_view topic) {
    handles_->followed.reset();
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Stream = stream_.c_str();
    options.Ordered = true;
    options.Config.DeliverPolicy = js_DeliverByStartSequence;
    options.Config.OptStartSeq = from;
    const std::string subject = stream_ + '.' + (topic.empty() ? ">" : std::string(topic));
    natsSubscription* made = nullptr;
    jsErrCode code{};
    const natsStatus status =
        js_SubscribeSync(&made, handles_->stream.get(), subject.c_str(), nullptr, &options, &code);
    handles_->followed.reset(made);
    if (status != NATS_OK)
        return error_of(status, code);
    natsSubscription_SetPendingLimits(made, -1, -1); // the server has a window for it
    return {};
}

Result<std::vector<NatsRecord>> NatsLink::next(size_t most, Millis wait) {
    std::vector<NatsRecord> records;
    natsStatus status = NATS_OK;
    while (records.size() < most && status == NATS_OK) {
        natsMsg* taken = nullptr;
        status =
            natsSubscription_NextMsg(&taken, handles_->followed.get(), records.empty() ? wait : 0);
        const Received message(taken);
        NatsRecord record;
        if (!taken)
            break;
        if (!read_place(taken, record))
            continue;
        record.bytes = data_of(taken);
        records.push_back(std::move(record));
    }
    take_answers();
    if (status != NATS_OK && status != NATS_TIMEOUT)
        return error_of(status);
    return records;
}

// {"stream","seq"}, or {"error":{"code","err_code","description"}}; or nothing, with a header that
// says that nobody is there.
void NatsLink::take_answers() {
    natsMsg* taken = nullptr;
    while (natsSubscription_NextMsg(&taken, handles_->answers.get(), 0) == NATS_OK) {
        const Received message(taken);
        const std::string_view data = data_of(taken);
        if (!data.empty() && data.find("\"error\"") == data.npos)
            continue;
        const std::string_view subject = natsMsg_GetSubject(taken);
        const auto request = parse_u64(subject.substr(subject.rfind('.') + 1));
        const auto answer = JsonObject::read(data);
        const std::string_view error = answer ? answer->find("error") : "";
        if (request)
            refused_(*request, error.empty() ? "nobody stores it" : error.substr(0, kMostReason));
        if (data.empty()) // the stream is gone
            close();
    }
}

// ---- entries

Result<void> NatsLink::publish(std::string_view topic, std::string_view bytes, uint64_t request) {
    const std::string subject = stream_ + '.' + std::string(topic);
    const natsStatus status = natsConnection_PublishRequest(
        handles_->connection.get(), subject.c_str(), (inbox_ + std::to_string(request)).c_str(),
        bytes.data(), static_cast<int>(bytes.size()));
    if (status != NATS_OK)
        return error_of(status);
    return {};
}

Result<bool> NatsLink::publish_behind(uint64_t last, std::string_view topic,
                                      std::string_view bytes) {
    const std::string subject = stream_ + '.' + std::string(topic);
    natsMsg* made = nullptr;
    natsStatus status = natsMsg_Create(&made, subject.c_str(), nullptr, bytes.data(),
                                       static_cast<int>(bytes.size()));
    const Received message(made);
    if (status == NATS_OK) // as an option it would not be sent where it is 0
        status =
            natsMsgHeader_Set(made, "Nats-Expected-Last-Sequence", std::to_string(last).c_str());
    jsErrCode code{};
    if (status == NATS_OK)
        status = js_PublishMsg(nullptr, handles_->stream.get(), made, nullptr, &code);
    if (code == JSStreamWrongLastSequenceErr)
        return false;
    if (status != NATS_OK)
        return error_of(status, code);
    return true;
}

Result<std::optional<NatsRecord>> NatsLink::record(uint64_t seq) {
    natsMsg* found = nullptr;
    jsErrCode code{};
    const natsStatus status =
        js_GetMsg(&found, handles_->stream.get(), stream_.c_str(), seq, nullptr, &code);
    return record_of(found, status, code);
}

Result<std::optional<NatsRecord>> NatsLink::last_of(std::string_view topic) {
    const std::string subject = stream_ + '.' + std::string(topic);
    natsMsg* found = nullptr;
    jsErrCode code{};
    const natsStatus status = js_GetLastMsg(&found, handles_->stream.get(), stream_.c_str(),
                                            subject.c_str(), nullptr, &code);
    return record_of(found, status, code);
}

Result<void> NatsLink::purge(uint64_t seq) {
    jsOptions options;
    jsOptions_Init(&options);
    options.Wait = kAnswersWithin;
    options.Stream.Purge.Sequence = seq;
    jsErrCode code{};
    const natsStatus status =
        js_PurgeStream(handles_->stream.get(), stream_.c_str(), &options, &code);
    if (status != NATS_OK)
        return error_of(status, code);
    return {};
}

} // namespace fanhorn
