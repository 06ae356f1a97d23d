// SPDX-License-Identifier: Apache-2.0
// From the rows of sections that connect to others to where they lead.
#pragma once

#include "net/client_tls.h"
#include "server/endpoint.h"
#include "server/sections.h"

#include <memory>
#include <optional>

namespace fanhorn {

// The rows `tls_ca`, `tls_certificate` and `tls_key`; reads the files. Null where something is
// wrong, which is told.
std::shared_ptr<const ClientTls> make_client_tls(const Section& section, const Surroundings& world,
                                                 Faults& faults);
// Tells of each of them that is given; `why` stands behind its value.
void refuse_client_tls(const Section& section, std::string_view why, Faults& faults);

// The row `url`, which has been checked (see check_endpoint()), and those above; resolves the
// host's name. None where something is wrong.
std::optional<Endpoint> make_endpoint(const Section& section, const Surroundings& world,
                                      Faults& faults);

} // namespace fanhorn
