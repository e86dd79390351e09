// Everything that a client can send to the agent, but for changing the machine's governor.
#include "agent/session.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace {

using namespace agent;

/// The session keeps its models here.
const std::string& folder() {
    static const std::string path = (std::filesystem::temp_directory_path() / ("fuzz-messages-" + std::to_string(getpid()))).string();
    return path;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    auto bytes = std::as_bytes(std::span(data, size));
    Session session(folder(), folder() + "/lock", folder(), [](Kind, std::span<const std::byte> payload) {
        if (payload.size() > kMaxMessage)
            __builtin_trap();
    });
    MessageReader reader;
    try {
        // In pieces, as a pipe gives them.
        for (size_t piece = 1; !bytes.empty(); piece = piece * 3 + 1) {
            const auto now = bytes.first(std::min(piece, bytes.size()));
            bytes = bytes.subspan(now.size());
            reader.feed(now);
            while (const auto message = reader.next())
                if (message->kind != Kind::Governor && !session.handle(*message))
                    return 0;
        }
    } catch (const shim::Error&) {
        return 0; // the stream cannot be followed further
    }
    return 0;
}
