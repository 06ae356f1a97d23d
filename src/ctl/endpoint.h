// SPDX-License-Identifier: Apache-2.0
// Whom a command speaks to, and as whom.
#pragma once

#include "http/url.h"

#include <string>

namespace fanhorn::ctl {

// Who we are to a server that asks for it in TLS: paths of files in PEM, which are read for each
// connection. Empty: nobody.
struct ClientCertificate {
    std::string certificate; // with its chain
    std::string key;         // of that, without a password
};

struct Endpoint {
    http::Url url;
    ClientCertificate own;
};

} // namespace fanhorn::ctl
