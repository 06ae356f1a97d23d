// SPDX-License-Identifier: Apache-2.0
// A worker's connections in the order in which they have to go.
#pragma once

#include "base/clock.h"
#include "base/list.h"
#include "base/random.h"

#include <limits>
#include <map>

namespace fanhorn {

// Of one connection, where they may become so old: give or take a fifth, so that those which came
// together do not go together.
inline Millis jittered_age(Millis age) {
    const Millis fifth = age / 5;
    return age - fifth + random_below(static_cast<uint32_t>(2 * fifth + 1));
}

// A list for each second in which some are due: none of them needs to know its own. Whoever leaves
// unlinks himself.
template <typename T, Hook T::*member> class Ages {
  public:
    // `due`: monotonic; 0: it need not go.
    void add(T& element, Millis due) {
        lists_[due == 0 ? kNever : (due + kSecond - 1) / kSecond].push_back(element);
    }

    // Whoever is the first to go, of those that need not the one that came first; null: nobody is
    // there.
    T* front() {
        while (!lists_.empty() && lists_.begin()->second.empty())
            lists_.erase(lists_.begin());
        return lists_.empty() ? nullptr : lists_.begin()->second.front();
    }

    // The same, where its time has come: within a second of it.
    T* due(Millis now) {
        if (now - swept_ >= kSweepEvery)
            sweep(now);
        T* first = front();
        return first && lists_.begin()->first * kSecond <= now ? first : nullptr;
    }

    // Calls see(element, due) for each, `due` good to a second and 0 where it need not go.
    template <typename See> void each(See see) {
        for (auto& [second, list] : lists_)
            for (T* element = list.front(); element; element = list.next(*element))
                see(*element, second == kNever ? 0 : second * kSecond);
    }

    size_t list_count() const { return lists_.size(); }

  private:
    static constexpr Millis kSecond = 1000;
    static constexpr Millis kSweepEvery = 10'000;
    static constexpr Millis kNever = std::numeric_limits<Millis>::max() / kSecond;

    // Those that all have left would else stay until their second comes.
    void sweep(Millis now) {
        swept_ = now;
        std::erase_if(lists_, [](const auto& each) { return each.second.empty(); });
    }

    std::map<Millis, List<T, member>> lists_;
    Millis swept_ = 0;
};

} // namespace fanhorn
