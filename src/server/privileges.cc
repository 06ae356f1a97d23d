// SPDX-License-Identifier: Apache-2.0
#include "server/privileges.h"

#include <cerrno>
#include <cstring>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace fanhorn {

namespace {

Error failure(const std::string& what) {
    return Error{what + ": " + std::strerror(errno)};
}

// The three ids of each kind: with the saved one root could be taken back.
bool is_only(const Account& account) {
    uid_t real = 0, effective = 0, saved = 0;
    gid_t real_group = 0, effective_group = 0, saved_group = 0;
    return getresuid(&real, &effective, &saved) == 0 &&
           getresgid(&real_group, &effective_group, &saved_group) == 0 && real == account.user &&
           effective == account.user && saved == account.user && real_group == account.group &&
           effective_group == account.group && saved_group == account.group;
}

} // namespace

bool is_user(const std::string& name) {
    return getpwnam(name.c_str()) != nullptr;
}

bool is_group(const std::string& name) {
    return getgrnam(name.c_str()) != nullptr;
}

Result<Account> find_account(const std::string& user, const std::string& group) {
    const passwd* entry = getpwnam(user.c_str());
    if (!entry)
        return Error{"'" + user + "' is no user of this system"};
    Account account{.name = user, .user = entry->pw_uid, .group = entry->pw_gid};
    if (group.empty())
        return account;
    const ::group* found = getgrnam(group.c_str());
    if (!found)
        return Error{"'" + group + "' is no group of this system"};
    account.group = found->gr_gid;
    return account;
}

bool is_root() {
    return geteuid() == 0;
}

// The groups first: afterwards it were too late.
Result<void> become(const Account& account) {
    const std::string who = "cannot become '" + account.name + "'";
    if (initgroups(account.name.c_str(), account.group) != 0)
        return failure(who + ", its groups");
    if (setresgid(account.group, account.group, account.group) != 0)
        return failure(who + ", its group");
    if (setresuid(account.user, account.user, account.user) != 0)
        return failure(who);
    if (!is_only(account) || (account.user != 0 && setuid(0) == 0))
        return Error{who + ": root could be had again"};
    return {};
}

void confine_process(bool has_core_dumps) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, has_core_dumps ? 1 : 0, 0, 0, 0);
}

} // namespace fanhorn
