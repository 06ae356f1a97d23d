// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <openssl/crypto.h>

namespace fanhorn {

void wipe(std::string& text) {
    text.resize(text.capacity()); // it may have been longer
    OPENSSL_cleanse(text.data(), text.size());
    text.clear();
}

} // namespace fanhorn
