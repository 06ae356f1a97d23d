// SPDX-License-Identifier: Apache-2.0
#include "server/answer_batch.h"

#include "server/connection.h"

namespace fanhorn {

void AnswerBatch::add(Connection& connection, std::string bytes) {
    items_.push_back({&connection, std::move(bytes)});
    if (items_.size() == Ring::kBatch)
        run();
}

void AnswerBatch::run() {
    std::erase_if(items_, [](const Item& item) {
        return item.connection->state() == Connection::State::Closed;
    });
    if (items_.empty())
        return;
    for (Item& item : items_)
        ring_->add(item.connection->plain_socket(), {item.bytes.data(), item.bytes.size()});
    const auto results = ring_->run();
    for (size_t i = 0; i < items_.size(); ++i)
        items_[i].connection->on_answer_sent(items_[i].bytes, results[i]);
    items_.clear();
}

void AnswerBatch::close() {
    run();
    is_open_ = false;
}

} // namespace fanhorn
