// SPDX-License-Identifier: Apache-2.0
// Which engine keeps a durable broker's messages: RocksDB, LMDB, SQLite, and beside them a plain
// log (append, fdatasync) and the durable broker as it is, all in one run on one disk. See
// README.md.
//
//   bench-store DIR [ENGINE…]
#include "modules/broker_durable.h"

#include <fcntl.h>
#include <lmdb.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr size_t kChannels = 1'000'000;
constexpr size_t kKept = 1'000'000; // messages; beyond, each append lets the oldest go
constexpr size_t kPayload = 200;
constexpr double kSeconds = 5; // for each size of group
constexpr int kReplays = 5;    // of what was filled; the first may wait for memory
constexpr const char* kOnlyReplay = "replay";

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}
double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto of = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
}

[[noreturn]] void die(std::string_view what) {
    std::fprintf(stderr, "bench-store: %.*s\n", static_cast<int>(what.size()), what.data());
    std::exit(1);
}
void must(bool is_true, std::string_view what) {
    if (!is_true)
        die(what);
}

// Channel and seq, in the order of range reads.
struct Key {
    std::array<char, 16> bytes;
    Key(uint64_t channel, uint64_t seq) {
        for (size_t i = 0; i < 8; ++i) {
            bytes[i] = static_cast<char>(channel >> (56 - 8 * i));
            bytes[8 + i] = static_cast<char>(seq >> (56 - 8 * i));
        }
    }
    std::string_view view() const { return {bytes.data(), bytes.size()}; }
};

class Engine {
  public:
    virtual ~Engine() = default;
    // One group: what is appended and what goes, then on the disk.
    virtual void append(uint64_t channel, uint64_t seq, std::string_view payload) = 0;
    virtual void erase(uint64_t channel, uint64_t seq) = 0;
    virtual void commit() = 0;
    virtual size_t read_channel(uint64_t channel) = 0; // returns messages
    virtual size_t replay() = 0;
};

class RocksDb final : public Engine {
  public:
    explicit RocksDb(const std::string& folder) {
        rocksdb::Options options;
        options.create_if_missing = true;
        options.compression = rocksdb::kNoCompression; // payloads differ, and Debian's has all
        options.write_buffer_size = 64 << 20;
        options.max_background_jobs = 2;
        rocksdb::DB* db = nullptr;
        const auto status = rocksdb::DB::Open(options, folder, &db);
        must(status.ok(), status.ToString());
        db_.reset(db);
    }
    ~RocksDb() override { db_->Close(); }
    void append(uint64_t channel, uint64_t seq, std::string_view payload) override {
        batch_.Put(slice(Key(channel, seq).view()), slice(payload));
    }
    void erase(uint64_t channel, uint64_t seq) override {
        batch_.SingleDelete(slice(Key(channel, seq).view()));
    }
    void commit() override {
        rocksdb::WriteOptions options;
        options.sync = true;
        const auto status = db_->Write(options, &batch_);
        must(status.ok(), status.ToString());
        batch_.Clear();
    }
    size_t read_channel(uint64_t channel) override {
        const Key end(channel + 1, 0);
        const rocksdb::Slice bound = slice(end.view());
        rocksdb::ReadOptions options;
        options.iterate_upper_bound = &bound;
        const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
        size_t count = 0;
        for (it->Seek(slice(Key(channel, 0).view())); it->Valid(); it->Next())
            ++count;
        return count;
    }
    size_t replay() override {
        rocksdb::ReadOptions options;
        options.readahead_size = 2 << 20;
        const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
        size_t bytes = 0, count = 0;
        for (it->SeekToFirst(); it->Valid(); it->Next(), ++count)
            bytes += it->value().size();
        must(bytes == count * kPayload, "replay");
        return count;
    }

  private:
    static rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
    std::unique_ptr<rocksdb::DB> db_;
    rocksdb::WriteBatch batch_;
};

class Lmdb final : public Engine {
  public:
    explicit Lmdb(const std::string& folder) {
        must(mdb_env_create(&env_) == 0, "mdb_env_create");
        mdb_env_set_mapsize(env_, 8ull << 30);
        must(mdb_env_open(env_, folder.c_str(), MDB_NORDAHEAD, 0600) == 0, "mdb_env_open");
        begin();
        must(mdb_dbi_open(txn_, nullptr, 0, &dbi_) == 0, "mdb_dbi_open");
    }
    ~Lmdb() override {
        mdb_txn_abort(txn_);
        mdb_env_close(env_);
    }
    void append(uint64_t channel, uint64_t seq, std::string_view payload) override {
        const Key key(channel, seq);
        MDB_val name = value(key.view()), data = value(payload);
        must(mdb_put(txn_, dbi_, &name, &data, 0) == 0, "mdb_put");
    }
    void erase(uint64_t channel, uint64_t seq) override {
        const Key key(channel, seq);
        MDB_val name = value(key.view());
        must(mdb_del(txn_, dbi_, &name, nullptr) == 0, "mdb_del");
    }
    void commit() override {
        must(mdb_txn_commit(txn_) == 0, "mdb_txn_commit");
        begin();
    }
    size_t read_channel(uint64_t channel) override {
        size_t count = 0;
        each(Key(channel, 0).view(), [&](MDB_val key, MDB_val) {
            const bool is_same = !std::char_traits<char>::compare(static_cast<char*>(key.mv_data),
                                                                  Key(channel, 0).bytes.data(), 8);
            count += is_same;
            return is_same;
        });
        return count;
    }
    size_t replay() override {
        size_t count = 0;
        each({}, [&](MDB_val, MDB_val data) {
            must(data.mv_size == kPayload, "replay");
            ++count;
            return true;
        });
        return count;
    }

  private:
    static MDB_val value(std::string_view text) {
        return {text.size(), const_cast<char*>(text.data())};
    }
    void begin() { must(mdb_txn_begin(env_, nullptr, 0, &txn_) == 0, "mdb_txn_begin"); }
    template <typename See> void each(std::string_view from, See see) {
        MDB_cursor* cursor = nullptr;
        must(mdb_cursor_open(txn_, dbi_, &cursor) == 0, "mdb_cursor_open");
        MDB_val key = value(from), data;
        int rc = mdb_cursor_get(cursor, &key, &data, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
        while (rc == 0 && see(key, data))
            rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
        mdb_cursor_close(cursor);
    }
    MDB_env* env_ = nullptr;
    MDB_txn* txn_ = nullptr;
    MDB_dbi dbi_ = 0;
};

class Sqlite final : public Engine {
  public:
    explicit Sqlite(const std::string& folder) {
        must(sqlite3_open((folder + "/log.db").c_str(), &db_) == SQLITE_OK, "sqlite3_open");
        run("PRAGMA journal_mode = WAL");
        run("PRAGMA synchronous = FULL");
        run("PRAGMA cache_size = -262144"); // 256 MB
        run("CREATE TABLE IF NOT EXISTS log (channel INTEGER, seq INTEGER, payload BLOB, "
            "PRIMARY KEY (channel, seq)) WITHOUT ROWID");
        insert_ = prepare("INSERT INTO log VALUES (?, ?, ?)");
        delete_ = prepare("DELETE FROM log WHERE channel = ? AND seq = ?");
        read_ = prepare("SELECT seq, payload FROM log WHERE channel = ? ORDER BY seq");
        replay_ = prepare("SELECT channel, seq, payload FROM log ORDER BY channel, seq");
        run("BEGIN");
    }
    ~Sqlite() override {
        run("COMMIT");
        for (sqlite3_stmt* statement : {insert_, delete_, read_, replay_})
            sqlite3_finalize(statement);
        sqlite3_close(db_);
    }
    void append(uint64_t channel, uint64_t seq, std::string_view payload) override {
        bind(insert_, channel, seq);
        sqlite3_bind_blob(insert_, 3, payload.data(), static_cast<int>(payload.size()), nullptr);
        step(insert_);
    }
    void erase(uint64_t channel, uint64_t seq) override {
        bind(delete_, channel, seq);
        step(delete_);
    }
    void commit() override {
        run("COMMIT");
        run("BEGIN");
    }
    size_t read_channel(uint64_t channel) override {
        sqlite3_bind_int64(read_, 1, static_cast<sqlite3_int64>(channel));
        return rows(read_);
    }
    size_t replay() override { return rows(replay_); }

  private:
    void run(const char* sql) {
        must(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK, sqlite3_errmsg(db_));
    }
    sqlite3_stmt* prepare(const char* sql) {
        sqlite3_stmt* statement = nullptr;
        must(sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr) == SQLITE_OK,
             sqlite3_errmsg(db_));
        return statement;
    }
    static void bind(sqlite3_stmt* statement, uint64_t channel, uint64_t seq) {
        sqlite3_bind_int64(statement, 1, static_cast<sqlite3_int64>(channel));
        sqlite3_bind_int64(statement, 2, static_cast<sqlite3_int64>(seq));
    }
    void step(sqlite3_stmt* statement) {
        must(sqlite3_step(statement) == SQLITE_DONE, sqlite3_errmsg(db_));
        sqlite3_reset(statement);
    }
    static size_t rows(sqlite3_stmt* statement) {
        size_t count = 0;
        while (sqlite3_step(statement) == SQLITE_ROW)
            ++count;
        sqlite3_reset(statement);
        return count;
    }
    sqlite3* db_ = nullptr;
    sqlite3_stmt *insert_, *delete_, *read_, *replay_;
};

// What the disk alone gives: one write and one fdatasync a group, into files of 64 MB of which the
// oldest goes when all in it has. It cannot read by channel.
class PlainLog final : public Engine {
  public:
    explicit PlainLog(std::string folder) : folder_(std::move(folder)) {
        for (const auto& entry : std::filesystem::directory_iterator(folder_))
            files_.push_back({entry.path(), 0});
        std::sort(files_.begin(), files_.end());
    }
    ~PlainLog() override { close(fd_); }
    void append(uint64_t channel, uint64_t seq, std::string_view payload) override {
        group_.append(Key(channel, seq).view()).append(payload);
        last_ = seq;
    }
    void erase(uint64_t, uint64_t seq) override {
        while (files_.size() > 1 && files_.front().second && files_.front().second <= seq) {
            std::filesystem::remove(files_.front().first);
            files_.pop_front();
        }
    }
    void commit() override {
        if (fd_ < 0 || size_ > kFileSize)
            next_file();
        must(write(fd_, group_.data(), group_.size()) == static_cast<ssize_t>(group_.size()) &&
                 fdatasync(fd_) == 0,
             "write");
        size_ += group_.size();
        files_.back().second = last_;
        group_.clear();
    }
    size_t read_channel(uint64_t) override { return 0; }
    size_t replay() override {
        std::vector<char> buffer((16 + kPayload) * 4096);
        size_t bytes = 0;
        for (const auto& [path, last] : files_) {
            const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
            ssize_t got = 0;
            while ((got = read(fd, buffer.data(), buffer.size())) > 0)
                bytes += static_cast<size_t>(got);
            close(fd);
        }
        return bytes / (16 + kPayload);
    }

  private:
    static constexpr size_t kFileSize = 64 << 20;
    void next_file() {
        close(fd_);
        std::array<char, 32> name{};
        std::snprintf(name.data(), name.size(), "/%020llu", static_cast<unsigned long long>(last_));
        files_.push_back({folder_ + name.data(), last_});
        fd_ = open(files_.back().first.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        must(fd_ >= 0, "open");
        size_ = 0;
    }
    const std::string folder_;
    std::deque<std::pair<std::string, uint64_t>> files_; // and the last seq in each
    std::string group_;
    uint64_t last_ = 0;
    size_t size_ = 0;
    int fd_ = -1;
};

// What came of it: the whole broker, with histories of one message, from which a group lets those
// go that it replaces.
class Fanhorn final : public Engine {
  public:
    explicit Fanhorn(const std::string& folder) {
        fanhorn::BrokerSettings settings;
        auto seams = fanhorn::DurableBroker::system_seams(folder + "/log");
        seams.turn = fanhorn::DurableBroker::Turn::Caller;
        broker_ =
            std::make_unique<fanhorn::DurableBroker>(settings, std::move(seams), clock_, counters_);
        broker_->configure(std::make_shared<OneEach>(), {});
        must(broker_->start().ok(), "start");
    }
    ~Fanhorn() override { broker_->stop(); }
    void append(uint64_t channel, uint64_t, std::string_view payload) override {
        fanhorn::Draft& draft = drafts_.emplace_back();
        draft.channel = name_of(channel);
        draft.payload = payload;
    }
    void erase(uint64_t, uint64_t) override {}
    void commit() override {
        broker_->publish(std::move(drafts_), [](const std::vector<fanhorn::Published>& all) {
            for (const auto& each : all)
                must(each.status == fanhorn::Published::Status::Published, "publish");
        });
        drafts_.clear();
    }
    size_t read_channel(uint64_t channel) override {
        fanhorn::Stretch stretch;
        stretch.parts = {{name_of(channel), 0}};
        size_t count = 0;
        broker_->read(std::move(stretch),
                      [&](const fanhorn::Page& page) { count = page.messages.size(); });
        return count;
    }
    size_t replay() override { return broker_->channel_count(); } // done by the start

  private:
    struct OneEach final : fanhorn::Rules {
        OneEach() {
            settings.history = 1;
            settings.history_ttl = 1'000'000'000;
        }
        const fanhorn::ChannelSettings* settings_for(std::string_view) const override {
            return &settings;
        }
        const fanhorn::ChannelSettings*
        settings_for_wildcard(const fanhorn::Pattern&) const override {
            return nullptr;
        }
        fanhorn::ChannelSettings settings;
    };
    static std::string name_of(uint64_t channel) { return "c" + std::to_string(channel); }
    const fanhorn::SystemClock clock_;
    fanhorn::Counters counters_;
    std::unique_ptr<fanhorn::DurableBroker> broker_;
    std::vector<fanhorn::Draft> drafts_;
};

struct Choice {
    std::string_view name;
    std::function<std::unique_ptr<Engine>(const std::string&)> open;
};
template <typename Kind> Choice choice(std::string_view name) {
    return {name, [](const std::string& folder) { return std::make_unique<Kind>(folder); }};
}

// The load: messages to channels at random, the oldest of all leaving once there are kKept.
class Load {
  public:
    explicit Load(Engine& engine) : engine_(&engine) {
        for (size_t i = 0; i < payload_.size(); ++i)
            payload_[i] = static_cast<char>(random_());
    }
    void group(size_t count) {
        for (size_t i = 0; i < count; ++i) {
            const uint64_t channel = kept_.size() < kChannels && is_filling_ ? seq_ : any_channel();
            kept_.push_back({channel, ++seq_});
            engine_->append(channel, seq_, {payload_.data() + seq_ % kPayload, kPayload});
            if (kept_.size() <= kKept)
                continue;
            engine_->erase(kept_.front().first, kept_.front().second);
            kept_.pop_front();
        }
        engine_->commit();
    }
    void fill() {
        while (kept_.size() < kKept)
            group(1000);
        is_filling_ = false;
    }
    void go_on_with(Engine& engine) { engine_ = &engine; }
    uint64_t any_channel() { return random_() % kChannels; }

  private:
    Engine* engine_; // which outlives its use here
    std::mt19937_64 random_{42};
    std::string payload_ = std::string(2 * kPayload, 0);
    std::deque<std::pair<uint64_t, uint64_t>> kept_;
    uint64_t seq_ = 0;
    bool is_filling_ = true;
};

double megabytes(const std::string& folder) {
    double bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        bytes += entry.is_regular_file() ? static_cast<double>(entry.file_size()) : 0;
    return bytes / 1e6;
}

void measure_groups(Load& load, std::string_view name, size_t size) {
    std::vector<double> times;
    const auto begin = Clock::now();
    const double cpu = cpu_seconds();
    while (seconds_since(begin) < kSeconds) {
        const auto group = Clock::now();
        load.group(size);
        times.push_back(seconds_since(group) * 1e3);
    }
    const double took = seconds_since(begin);
    const auto messages = static_cast<double>(times.size() * size);
    const double cpu_micros = (cpu_seconds() - cpu) * 1e6 / messages;
    std::sort(times.begin(), times.end());
    const auto at = [&](double part) {
        return times[static_cast<size_t>(part * static_cast<double>(times.size() - 1))];
    };
    std::printf(
        "%-8.*s group %5zu  %9.0f/s  commit ms p50 %6.2f p99 %6.2f max %7.1f  cpu us/message "
        "%5.2f\n",
        static_cast<int>(name.size()), name.data(), size, messages / took, at(0.5), at(0.99),
        times.back(), cpu_micros);
    std::fflush(stdout);
}

std::string folder_of(const Choice& what, const std::string& base) {
    return base + "/" + std::string(what.name);
}

void replay(const Choice& what, const std::string& base) {
    const std::string folder = folder_of(what, base);
    const double size = megabytes(folder);
    const auto begin = Clock::now();
    const double cpu = cpu_seconds();
    const auto engine = what.open(folder);
    const size_t count = engine->replay();
    std::printf("%-8.*s %zu messages: %.0f MB, opened and replayed in %.2f s, %.2f s of CPU\n",
                static_cast<int>(what.name.size()), what.name.data(), count, size,
                seconds_since(begin), cpu_seconds() - cpu);
    std::fflush(stdout);
}

// In a process of its own, as a daemon starts: this one's heap is there already.
void measure_replay(const Choice& what, const std::string& base) {
    const pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        const std::string name(what.name);
        execl("/proc/self/exe", "bench-store", base.c_str(), name.c_str(), kOnlyReplay, nullptr);
        die("exec");
    }
    int status = 0;
    must(waitpid(child, &status, 0) == child && status == 0, "the replay");
}

void measure(const Choice& what, const std::string& base) {
    const std::string folder = folder_of(what, base);
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    auto engine = what.open(folder);
    Load load(*engine);
    const auto begin = Clock::now();
    load.fill();
    std::printf("%-8.*s filled, a message in each channel: %.1f s\n",
                static_cast<int>(what.name.size()), what.name.data(), seconds_since(begin));
    engine = nullptr;
    for (int i = 0; i < kReplays; ++i)
        measure_replay(what, base);
    engine = what.open(folder);
    load.go_on_with(*engine);
    for (const size_t size : {1, 100, 500, 2000})
        measure_groups(load, what.name, size);
    const auto reading = Clock::now();
    for (int i = 0; i < 10'000; ++i)
        engine->read_channel(load.any_channel());
    std::printf("%-8.*s a channel read in %.1f us\n", static_cast<int>(what.name.size()),
                what.name.data(), seconds_since(reading) / 10'000 * 1e6);
    engine = nullptr;
    measure_replay(what, base);
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 2)
        die("usage: bench-store DIR [ENGINE...]");
    const std::vector<Choice> choices = {choice<PlainLog>("limit"), choice<RocksDb>("rocksdb"),
                                         choice<Lmdb>("lmdb"), choice<Sqlite>("sqlite"),
                                         choice<Fanhorn>("fanhorn")};
    std::vector<std::string_view> wanted(argv + 2, argv + argc);
    const bool is_replay = !wanted.empty() && wanted.back() == kOnlyReplay;
    if (is_replay)
        wanted.pop_back();
    for (const Choice& each : choices)
        if (wanted.empty() || std::find(wanted.begin(), wanted.end(), each.name) != wanted.end())
            (is_replay ? replay : measure)(each, argv[1]);
    return 0;
}
