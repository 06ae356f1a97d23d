// SPDX-License-Identifier: Apache-2.0
// Asks as ss(8) does: sock_diag(7).
#include "ctl/bench_sockets.h"

#include "ctl/socket.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <vector>

namespace fanhorn::ctl::load {

namespace {

constexpr size_t kAnswerBytes = 256 << 10;

bool ask(int fd, uint8_t family, uint16_t port) {
    struct {
        nlmsghdr header;
        inet_diag_req_v2 request;
    } question{};
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    question.request.sdiag_family = family;
    question.request.sdiag_protocol = IPPROTO_TCP;
    question.request.idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1);
    question.request.idiag_states = ~(1U << TCP_LISTEN);
    question.request.id.idiag_sport = htons(port);
    return send(fd, &question, sizeof question, 0) == static_cast<ssize_t>(sizeof question);
}

uint64_t bytes_of(const nlmsghdr* header) {
    const auto* socket = static_cast<const inet_diag_msg*>(NLMSG_DATA(header));
    const auto* attribute = reinterpret_cast<const rtattr*>(socket + 1);
    for (auto left = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof *socket));
         RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        if (attribute->rta_type != INET_DIAG_SKMEMINFO)
            continue;
        const auto* memory = static_cast<const uint32_t*>(RTA_DATA(attribute));
        return uint64_t{memory[SK_MEMINFO_RMEM_ALLOC]} + memory[SK_MEMINFO_WMEM_QUEUED] +
               memory[SK_MEMINFO_FWD_ALLOC] + memory[SK_MEMINFO_OPTMEM] +
               memory[SK_MEMINFO_BACKLOG];
    }
    return 0;
}

std::optional<uint64_t> buffered_bytes_of(int fd, uint8_t family, uint16_t port) {
    if (!ask(fd, family, port))
        return std::nullopt;
    std::vector<nlmsghdr> answer(kAnswerBytes / sizeof(nlmsghdr)); // aligned as its parts are
    for (uint64_t sum = 0;;) {
        const ssize_t size = recv(fd, answer.data(), kAnswerBytes, 0);
        if (size <= 0)
            return std::nullopt;
        auto left = static_cast<size_t>(size);
        for (const nlmsghdr* header = answer.data(); NLMSG_OK(header, left);
             header = NLMSG_NEXT(header, left)) {
            if (header->nlmsg_type == NLMSG_DONE)
                return sum;
            if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
                return std::nullopt;
            sum += bytes_of(header);
        }
    }
}

} // namespace

std::optional<uint64_t> buffered_bytes(uint16_t port) {
    const Socket diag(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    const auto v4 = buffered_bytes_of(diag.fd(), AF_INET, port);
    const auto v6 = buffered_bytes_of(diag.fd(), AF_INET6, port);
    if (!v4)
        return std::nullopt;
    return *v4 + v6.value_or(0);
}

} // namespace fanhorn::ctl::load
