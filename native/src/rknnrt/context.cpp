#include "context.h"

#include <algorithm>
#include <limits>

namespace shim::rknnrt {

namespace {

constexpr uint32_t kMaxTensors = 64;

/// 0 if there can be no such tensor.
uint32_t elements(const abi::TensorAttr& attr) {
    constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max() / sizeof(int64_t);
    if (attr.dim_count > abi::kMaxDims)
        return 0;
    uint64_t product = 1;
    for (const uint64_t dim : dims(attr))
        product = std::min(product * dim, kMost + 1);
    return product > kMost ? 0 : static_cast<uint32_t>(product);
}

} // namespace

Context::Context(const Library& library, std::string path, uint32_t flags) : library_(library), name_(std::move(path)) {
    std::string copy = name_; // the runtime takes a pointer that is not const
    check(library_.init(&context_, copy.data(), 0, flags, nullptr), "'" + name_ + "' cannot be loaded");
}

Context::Context(std::shared_ptr<Context> origin) : library_(origin->library_), name_(origin->name_), origin_(std::move(origin)) {
    check(library_.dup_context(&origin_->context_, &context_), "'" + name_ + "': a second context");
}

Tensors Context::tensors(abi::Query what, uint32_t count, const char* noun) const {
    if (count == 0 || count > kMaxTensors)
        throw Error(RKNNSHIM_INVALID_MODEL, "'" + name_ + "': the runtime tells of " + std::to_string(count) + " " + noun + "; 1 to " +
                                                std::to_string(kMaxTensors) + " are possible");
    Tensors result(count);
    for (uint32_t i = 0; i < count; ++i) {
        abi::TensorAttr attr{};
        attr.index = i;
        result[i] = query(what, noun, attr);
        if (result[i].elements == 0 || result[i].elements != elements(result[i]))
            throw damaged(result[i], noun);
    }
    return result;
}

std::vector<Tensors> Context::shapes(const Tensors& inputs) const {
    std::vector<Tensors> result;
    for (const auto& input : inputs) {
        abi::InputRange range{};
        range.index = input.index;
        // Of a file for one shape the runtime says that it is invalid for this query.
        if (library_.query(context_, abi::Query::InputDynamicRange, &range, sizeof range) != static_cast<int32_t>(abi::Status::Success) ||
            range.shapes == 0)
            return {};
        if (range.shapes > abi::kMaxDynamicShapes || (!result.empty() && range.shapes != result.size()))
            throw damaged(input, "shapes");
        if (library_.set_input_shapes == nullptr)
            throw Error(RKNNSHIM_RUNTIME_ERROR, "'" + name_ + "' is for several shapes, and '" + library_.path +
                                                    "' has no function rknn_set_input_shapes; install version 1.5.2 or later");
        result.resize(range.shapes);
        for (uint32_t s = 0; s < range.shapes; ++s) {
            auto& attr = result[s].emplace_back(input);
            attr.dim_count = range.dim_count;
            attr.format = range.format;
            std::ranges::copy(range.dims[s], attr.dims);
            attr.elements = elements(attr);
            if (attr.elements == 0)
                throw damaged(attr, "shapes");
        }
    }
    return result;
}

Error Context::damaged(const abi::TensorAttr& attr, const char* noun) const {
    return {RKNNSHIM_INVALID_MODEL, "'" + name_ + "': " + noun + ": tensor " + std::to_string(attr.index) + " '" + bounded(attr.name) +
                                        "' has dimensions that cannot be; the file or the runtime is damaged"};
}

abi::MemSize memory_size(const Library& library, const std::string& path) {
    return Context(library, path, abi::kFlagModelInfoOnly).query<abi::MemSize>(abi::Query::MemSize, "memory size");
}

} // namespace shim::rknnrt
