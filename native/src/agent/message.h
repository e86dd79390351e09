#pragma once

#include "error.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What goes over the agent's standard input and output. A message is a 32-bit length, then as many bytes: one of kind and
/// the rest as below. Numbers are little endian. Requests are answered in order. Whoever hangs up
/// ends the run in progress, and so does whoever says nothing for longer than it announced: a dead link hangs up on nobody.
namespace agent {

inline constexpr int kProtocol = 1;
inline constexpr size_t kMaxMessage = size_t{16} << 20U;
inline constexpr size_t kMaxText = size_t{64} << 10U;
inline constexpr uint32_t kMaxPassages = 65536;
inline constexpr uint32_t kMaxContexts = 16;

enum class Kind : uint8_t {
    // requests
    Hello = 1,  ///< JSON {"protocol", "rknnrt", "silence": seconds, 0 for ever}: answered by Hello. Must come first.
    Load = 2,   ///< JSON {"backend", "sha256", "extension", "threads", "batch", "profile", "rknnrt", "onnxruntime"}: Loaded, or
                ///< Missing: Store first
    Store = 3,  ///< JSON {"sha256", "extension", "bytes"}, then Chunks of so many bytes in all: Stored
    Chunk = 4,  ///< bytes of a file
    Run = 5,    ///< see RunRequest: a Result for each passage, in the order in which they end, then Done
    Status = 6, ///< empty: Status
    Quit = 7,   ///< empty: the agent ends
    Governor = 8, ///< JSON {"npu": name}: sets the NPU's frequency governor until the agent ends: Status
    Alive = 10,   ///< empty: not answered, says that the client is there
    Profile = 9,  ///< empty: Profile, of a model that was loaded with "profile": 1 and ran
    // answers
    HelloReply = 0x81,   ///< JSON
    Loaded = 0x82,       ///< JSON as rknnshim_model_describe
    Missing = 0x83,      ///< empty
    Stored = 0x84,       ///< empty
    Result = 0x85,       ///< u32 passage, u32 context, i64 microseconds, u32 outputs, then each output: u32 count, f32...
    Done = 0x86,         ///< i64 microseconds from the first run's start to the last one's end
    StatusReply = 0x87,  ///< JSON
    ProfileReply = 0x88, ///< text: the runtime's table of layers of the last run without a core mask
    Error = 0xFF         ///< JSON {"status": rknnshim_status, "message"}
};

struct Message {
    Kind kind{};
    std::vector<std::byte> payload;

    [[nodiscard]] std::string_view text() const { return {reinterpret_cast<const char*>(payload.data()), payload.size()}; }
};

/// A batch of passages: u32 contexts, i32 core mask each; u32 passages, u32 inputs, u32 elements an input; then the elements
/// as i32, passage by passage and input by input.
struct RunRequest {
    std::vector<int32_t> core_masks; ///< one context each
    uint32_t passages = 0;
    uint32_t inputs = 0;
    uint32_t elements = 0;
    std::vector<int64_t> values;
};

/// Cuts a stream of bytes into messages. A length of 0 or above kMaxMessage throws: the stream cannot be followed further.
class MessageReader {
public:
    /// Adds bytes as they came.
    void feed(std::span<const std::byte> bytes);

    /// The next whole message, if there is one.
    [[nodiscard]] std::optional<Message> next();

private:
    std::vector<std::byte> buffer_;
    size_t begin_ = 0;
};

/// Throws RKNNSHIM_INVALID_ARGUMENT unless the payload is a whole request within the limits.
[[nodiscard]] RunRequest parse_run(std::span<const std::byte> payload);

/// Builds a payload from the front.
class Writer {
public:
    template <typename T>
    Writer& put(T value) {
        const auto* const first = reinterpret_cast<const std::byte*>(&value);
        bytes_.insert(bytes_.end(), first, first + sizeof value);
        return *this;
    }

    Writer& put(std::span<const float> values) {
        const auto raw = std::as_bytes(values);
        bytes_.insert(bytes_.end(), raw.begin(), raw.end());
        return *this;
    }

    [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

private:
    std::vector<std::byte> bytes_;
};

} // namespace agent
