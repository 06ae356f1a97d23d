// SPDX-License-Identifier: Apache-2.0
// As whom the process runs, and who may look into it. To be called while there is one thread.
#pragma once

#include "base/result.h"

#include <string>
#include <sys/types.h>

namespace fanhorn {

struct Account {
    std::string name; // of the user
    uid_t user = 0;
    gid_t group = 0;
};

// Whether the system knows that name.
bool is_user(const std::string& name);
bool is_group(const std::string& name);
// An empty `group`: the user's own.
Result<Account> find_account(const std::string& user, const std::string& group);

bool is_root();

// Becomes that user, for good: with his supplementary groups and without any capability. Only root
// can.
Result<void> become(const Account& account);

// Nothing that is started from here gets more rights than we have. Without core dumps the process
// cannot be dumped, nor its memory read by others of the same user (ptrace, /proc/PID/mem). To be
// called after become(), which the kernel takes for a reason to forget it.
void confine_process(bool has_core_dumps);

} // namespace fanhorn
