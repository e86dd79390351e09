#pragma once

#include "library.h"

#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace shim::rknnrt {

/// Attributes of all inputs or all outputs.
using Tensors = std::vector<abi::TensorAttr>;

template <size_t N>
std::string bounded(const char (&text)[N]) { // NOLINT(cppcoreguidelines-avoid-c-arrays, modernize-avoid-c-arrays)
    return {text, strnlen(text, N)};
}

inline std::span<const uint32_t> dims(const abi::TensorAttr& attr) {
    return std::span(attr.dims).first(attr.dim_count);
}

/// One context of the runtime. Its calls go in the order that abi.h gives.
class Context {
public:
    Context(const Library& library, std::string path, uint32_t flags);
    /// Shares the weights of `origin` and keeps it.
    explicit Context(std::shared_ptr<Context> origin);
    ~Context() { library_.destroy(context_); }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    template <typename T>
    T query(abi::Query what, const char* noun, T info = {}) const {
        check(library_.query(context_, what, &info, sizeof info), "'" + name_ + "': its " + noun);
        return info;
    }

    /// Sizes are checked: each tensor has at least one element, and its bytes can be counted in 32 bits.
    [[nodiscard]] Tensors tensors(abi::Query what, uint32_t count, const char* noun) const;

    /// The shapes of a file that was built for several, each as it is set; none otherwise, or if the runtime knows of no such files.
    /// Throws if the runtime cannot set them.
    [[nodiscard]] std::vector<Tensors> shapes(const Tensors& inputs) const;

    [[nodiscard]] const Library& library() const { return library_; }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] abi::Context get() const { return context_; }

private:
    [[nodiscard]] Error damaged(const abi::TensorAttr& attr, const char* noun) const;

    const Library& library_;
    std::string name_;
    std::shared_ptr<Context> origin_;
    abi::Context context_ = 0;
};

/// Sizes that a file's contexts take, asked as abi.h says.
[[nodiscard]] abi::MemSize memory_size(const Library& library, const std::string& path);

} // namespace shim::rknnrt
