#include "message.h"

#include <bit>
#include <cstring>

static_assert(std::endian::native == std::endian::little, "the wire is little endian, and so is every machine with this NPU");

namespace agent {

namespace {

using shim::Error;

/// Takes numbers off the front of a payload.
class Reader {
public:
    explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    template <typename T>
    T take(const char* what) {
        if (bytes_.size() < sizeof(T))
            throw Error(RKNNSHIM_INVALID_ARGUMENT, std::string("run: the message ends before its ") + what);
        T value{};
        std::memcpy(&value, bytes_.data(), sizeof value);
        bytes_ = bytes_.subspan(sizeof value);
        return value;
    }

    uint32_t count(const char* what, uint32_t max) {
        const auto value = take<uint32_t>(what);
        if (value == 0 || value > max)
            throw Error(RKNNSHIM_INVALID_ARGUMENT, std::string("run: its ") + what + " is " + std::to_string(value) + "; 1 to " +
                                                       std::to_string(max) + " is possible");
        return value;
    }

    [[nodiscard]] std::span<const std::byte> rest() const { return bytes_; }

private:
    std::span<const std::byte> bytes_;
};

} // namespace

void MessageReader::feed(std::span<const std::byte> bytes) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

std::optional<Message> MessageReader::next() {
    uint32_t length = 0;
    const size_t available = buffer_.size() - begin_;
    if (available < sizeof length)
        return std::nullopt;
    std::memcpy(&length, buffer_.data() + begin_, sizeof length);
    if (length == 0 || length > kMaxMessage)
        throw Error(RKNNSHIM_INVALID_ARGUMENT,
                    "a message of " + std::to_string(length) + " bytes: 1 to " + std::to_string(kMaxMessage) + " are possible");
    if (available - sizeof length < length)
        return std::nullopt;
    const auto first = buffer_.begin() + static_cast<std::ptrdiff_t>(begin_ + sizeof length);
    Message message{static_cast<Kind>(*first), {first + 1, first + length}};
    begin_ += sizeof length + length;
    return message;
}

RunRequest parse_run(std::span<const std::byte> payload) {
    Reader reader(payload);
    RunRequest request;
    request.core_masks.resize(reader.count("number of contexts", kMaxContexts));
    for (auto& mask : request.core_masks)
        mask = reader.take<int32_t>("core masks");
    request.passages = reader.count("number of passages", kMaxPassages);
    request.inputs = reader.count("number of inputs", 64);
    request.elements = reader.count("number of elements", kMaxMessage / sizeof(int32_t));
    const auto values = reader.rest();
    const uint64_t count = uint64_t{request.passages} * request.inputs; // below 2^22
    if (values.size() % sizeof(int32_t) != 0 || count > kMaxMessage || values.size() / sizeof(int32_t) != count * request.elements)
        throw Error(RKNNSHIM_INVALID_ARGUMENT, "run: " + std::to_string(values.size()) + " bytes of token ids, " +
                                                   std::to_string(request.passages) + " x " + std::to_string(request.inputs) + " x " +
                                                   std::to_string(request.elements) + " ids of 4 bytes were announced");
    request.values.resize(values.size() / sizeof(int32_t));
    for (size_t i = 0; i < request.values.size(); ++i) {
        int32_t value = 0;
        std::memcpy(&value, values.data() + i * sizeof value, sizeof value);
        request.values[i] = value;
    }
    return request;
}

} // namespace agent
