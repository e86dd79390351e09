// Files for several shapes, over the stand-in runtime.
#include "board.h"
#include "rknnrt/context.h"
#include "simulator/metadata.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <thread>

namespace {

namespace abi = shim::rknnrt::abi;
using namespace test::board;

/// One for several shapes, as the stand-in knows them.
std::string several_shapes(const test::Folder& folder, const std::string& onnx, const std::string& sequences) {
    using shim::simulator::metadata_entry;
    return folder.write("several.sim.onnx", onnx + metadata_entry("modelpipeline.simulated", "true") +
                                                metadata_entry("modelpipeline.target", "rk3588") +
                                                metadata_entry("rknnrt_sim.sequences", sequences));
}

/// Outputs of any size.
std::vector<float> outputs(rknnshim_model model, const std::vector<int64_t>& ids) {
    const rknnshim_input input{ids.data(), ids.size()};
    std::vector<float> room(64);
    rknnshim_output output{room.data(), room.size(), 0};
    if (rknnshim_model_run(model, &input, 1, &output, 1, nullptr) != RKNNSHIM_OK)
        test::fail(__FILE__, __LINE__, rknnshim_last_error());
    room.resize(output.count);
    return room;
}

TEST(a_file_for_several_shapes_runs_at_each_as_the_file_for_that_shape) {
    const test::Folder folder;
    const Board several(several_shapes(folder, onnx::echo(0), "3 5 4"));
    CHECK_EQUAL(test::describe(several.handle)["inputs"][0]["dims"].dump(), "[1,5]");
    CHECK_EQUAL(test::describe(several.handle)["outputs"][0]["dims"].dump(), "[1,5]");
    for (const int64_t length : {3, 5, 5, 4, 3}) {
        std::vector<int64_t> ids(static_cast<size_t>(length));
        std::iota(ids.begin(), ids.end(), length);
        const Board single(artifact(folder, onnx::echo(ids.size())));
        CHECK(outputs(several.handle, ids) == outputs(single.handle, ids));
    }
    const std::vector<int64_t> six(6);
    float value = 0;
    CHECK_EQUAL(run(several.handle, six, &value), RKNNSHIM_INVALID_ARGUMENT);
    CHECK(test::error_says("was built for inputs of [1,3] or [1,5] or [1,4] and got 6 elements; pad to one of these shapes"));
    CHECK_EQUAL(run(several.handle, {1, 2, 3}, &value), RKNNSHIM_BUFFER_TOO_SMALL);
    CHECK(test::error_says("output 'y' has 3 elements"));
    CHECK_EQUAL(outputs(several.handle, {7, 8, 9}).back(), 9.0F); // it goes on
    // Outputs whose size does not depend on the shape.
    const Board sum(several_shapes(folder, onnx::sum(0), "3 5"));
    CHECK_EQUAL(outputs(sum.handle, {1, 2, 3}).at(0), 6.0F);
    CHECK_EQUAL(outputs(sum.handle, {1, 2, 3, 4, 5}).at(0), 15.0F);
}

TEST(contexts_of_a_file_for_several_shapes_each_have_their_own) {
    const test::Folder folder;
    rknnshim_model first = 0;
    CHECK_EQUAL(rknnshim_model_load("rknnrt", several_shapes(folder, onnx::echo(0), "3 5").c_str(), options(1).c_str(), &first),
                RKNNSHIM_OK);
    CHECK_EQUAL(outputs(first, {1, 2, 3}).size(), 3U);
    std::array<rknnshim_model, 2> copies{};
    for (auto& copy : copies)
        CHECK_EQUAL(rknnshim_model_duplicate(first, 2, &copy), RKNNSHIM_OK);
    CHECK_EQUAL(rknnshim_model_close(first), RKNNSHIM_OK);
    std::array<int, 2> wrong{};
    {
        std::vector<std::jthread> threads;
        for (size_t c = 0; c < copies.size(); ++c)
            threads.emplace_back([&, c] {
                for (int64_t i = 0; i < 200; ++i) {
                    const std::vector<int64_t> ids((static_cast<size_t>(i) + c) % 2 == 0 ? 3 : 5, i);
                    wrong.at(c) += outputs(copies.at(c), ids) == std::vector<float>(ids.begin(), ids.end()) ? 0 : 1;
                }
            });
    }
    CHECK_EQUAL(wrong[0] + wrong[1], 0);
    for (const auto copy : copies)
        CHECK_EQUAL(rknnshim_model_close(copy), RKNNSHIM_OK);
}

// By a CTest entry of its own: the process then has a runtime without the function.
TEST(a_runtime_that_cannot_set_shapes_is_refused_with_what_it_lacks) {
    const test::Folder folder;
    const auto path = several_shapes(folder, onnx::echo(0), "3 5");
    if (runtime().find("fixed-shape") == std::string::npos) {
        const Board board(path);
        return;
    }
    refused(path, options(), RKNNSHIM_RUNTIME_ERROR,
            "is for several shapes, and '" + runtime() + "' has no function rknn_set_input_shapes; install version 1.5.2");
    const Board single(artifact(folder, onnx::echo(3)));
    CHECK_EQUAL(outputs(single.handle, {1, 2, 3}).at(2), 3.0F);
}

TEST(shapes_that_cannot_be_are_refused) {
    const test::Folder folder;
    for (const auto* const sequences : {"", "3 x", "0", "3 0", "3 65537", "-1"})
        refused(several_shapes(folder, onnx::echo(0), sequences), options(), RKNNSHIM_INVALID_MODEL, "RKNN_ERR_MODEL_INVALID");
    refused(several_shapes(folder, onnx::echo(4), "3 5"), options(), RKNNSHIM_INVALID_MODEL, "RKNN_ERR_MODEL_INVALID");
}

TEST(shapes_that_a_damaged_runtime_tells_of_are_refused) {
    static abi::InputRange told;
    shim::rknnrt::Library library;
    library.init = [](auto...) { return 0; };
    library.destroy = [](auto...) { return 0; };
    library.set_input_shapes = [](auto...) { return 0; };
    library.query = [](abi::Context, abi::Query, void* info, uint32_t) {
        auto& range = *static_cast<abi::InputRange*>(info);
        const auto index = range.index;
        range = told;
        range.shapes += range.shapes == 2 ? index : 0; // the second input's may differ
        return 0;
    };
    const shim::rknnrt::Context context(library, "m.rknn", 0);
    shim::rknnrt::Tensors inputs(2);
    inputs[1].index = 1;
    const auto tell = [&](uint32_t shapes, uint32_t dim_count, uint32_t dim) {
        told = {};
        told.shapes = shapes;
        told.dim_count = dim_count;
        for (auto& dims : told.dims)
            std::ranges::fill(dims, dim);
        try {
            return static_cast<int>(context.shapes(inputs).size());
        } catch (const shim::Error& e) {
            CHECK(std::string(e.what()).find("has dimensions that cannot be") != std::string::npos);
            return -1;
        }
    };
    CHECK_EQUAL(tell(0, 2, 4), 0);
    CHECK_EQUAL(tell(1, 2, 4), 1);
    CHECK_EQUAL(tell(abi::kMaxDynamicShapes, 2, 4), 512);
    CHECK_EQUAL(tell(abi::kMaxDynamicShapes + 1, 2, 4), -1);
    CHECK_EQUAL(tell(UINT32_MAX, 2, 4), -1);
    CHECK_EQUAL(tell(1, abi::kMaxDims, 1), 1);
    CHECK_EQUAL(tell(1, abi::kMaxDims + 1, 1), -1);
    CHECK_EQUAL(tell(1, 2, 0), -1);
    CHECK_EQUAL(tell(1, 2, UINT32_MAX), -1);
    CHECK_EQUAL(tell(1, 4, 65536), -1); // 2^64
    CHECK_EQUAL(tell(2, 2, 4), -1);
}

TEST(the_stand_in_sets_only_shapes_that_are_listed) {
    void* const library = dlopen(runtime().c_str(), RTLD_NOW | RTLD_LOCAL);
    auto* const init = reinterpret_cast<abi::Init*>(dlsym(library, "rknn_init"));
    auto* const duplicate = reinterpret_cast<abi::DupContext*>(dlsym(library, "rknn_dup_context"));
    auto* const query = reinterpret_cast<abi::QueryInfo*>(dlsym(library, "rknn_query"));
    auto* const execute = reinterpret_cast<abi::Run*>(dlsym(library, "rknn_run"));
    auto* const set_shapes = reinterpret_cast<abi::SetInputShapes*>(dlsym(library, "rknn_set_input_shapes"));
    const auto code = [](abi::Status status) { return static_cast<int32_t>(status); };

    const test::Folder folder;
    auto path = several_shapes(folder, onnx::echo(0), "3 5");
    abi::Context context = 0;
    abi::Context copy = 0;
    CHECK_EQUAL(init(&context, path.data(), 0, 0, nullptr), 0);
    CHECK_EQUAL(duplicate(&context, &copy), 0);
    CHECK_EQUAL(execute(copy, nullptr), code(abi::Status::Fail)); // where the vendor's ends the process
    abi::InputRange range{};
    CHECK_EQUAL(query(context, abi::Query::InputDynamicRange, &range, sizeof range), 0);
    CHECK_EQUAL(range.shapes, 2U);
    CHECK_EQUAL(range.dim_count, 2U);
    CHECK_EQUAL(range.dims[0][1], 3U);
    CHECK_EQUAL(range.dims[1][1], 5U);
    CHECK_EQUAL(std::string(range.name), "ids");
    range.index = 1;
    CHECK_EQUAL(query(context, abi::Query::InputDynamicRange, &range, sizeof range), code(abi::Status::ParamInvalid));
    abi::TensorAttr attr{};
    CHECK_EQUAL(query(context, abi::Query::CurrentOutputAttr, &attr, sizeof attr), code(abi::Status::Fail));
    CHECK_EQUAL(query(context, abi::Query::InputAttr, &attr, sizeof attr), 0);
    CHECK_EQUAL(attr.elements, 5U);
    CHECK_EQUAL(set_shapes(context, 1, nullptr), code(abi::Status::ParamInvalid));
    for (const uint32_t length : {4U, 3U}) {
        attr.dims[1] = length;
        CHECK_EQUAL(set_shapes(context, 2, &attr), code(abi::Status::InputInvalid));
        CHECK_EQUAL(set_shapes(context, 1, &attr), length == 3 ? 0 : code(abi::Status::InputInvalid));
    }
    abi::TensorAttr current{};
    CHECK_EQUAL(query(context, abi::Query::CurrentOutputAttr, &current, sizeof current), 0);
    CHECK_EQUAL(current.elements, 3U);
    attr.dim_count = UINT32_MAX;
    CHECK_EQUAL(set_shapes(context, 1, &attr), code(abi::Status::InputInvalid));
    CHECK_EQUAL(reinterpret_cast<abi::Destroy*>(dlsym(library, "rknn_destroy"))(context), 0);
}

} // namespace
