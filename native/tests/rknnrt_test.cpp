// The backend rknnrt over the stand-in runtime, through dlopen and the vendor's ABI.
#include "board.h"
#include "registry.h"
#include "rknnrt/abi.h"
#include "rknnrt/library.h"

#include <dlfcn.h>

#include <array>
#include <thread>

namespace {

namespace abi = shim::rknnrt::abi;
using namespace test::board;

// First in its process by its own CTest entry; a process keeps the runtime that it has.
TEST(an_RKNN_runtime_that_is_missing_or_unfit_is_named) {
    const test::Folder folder;
    const auto model = folder.write("m.rknn", "RKNN");
    const auto named = [](const std::string& path) { return nlohmann::json{{"rknnrt", path}}.dump(); };
    refused(model, named("/nowhere/librknnrt.so"), RKNNSHIM_NOT_FOUND, "/nowhere/librknnrt.so");
    const auto old = (std::filesystem::path(runtime()).parent_path() / "tests/librknnrt-old.so").string();
    Dl_info info{};
    CHECK(dladdr(reinterpret_cast<const void*>(&rknnshim_abi_version), &info) != 0);
    if (dlopen(runtime().c_str(), RTLD_NOW | RTLD_NOLOAD) == nullptr) {
        refused(model, "{}", RKNNSHIM_NOT_FOUND, "the RKNN runtime is missing");
        refused(model, named(folder.write("garbage.so", "garbage")), RKNNSHIM_RUNTIME_ERROR, "cannot be loaded as the RKNN runtime");
        refused(model, named(info.dli_fname), RKNNSHIM_RUNTIME_ERROR, "has no function rknn_init: it is not librknnrt.so");
        refused(model, named(old), RKNNSHIM_RUNTIME_ERROR, "has no function rknn_dup_context");
    } else {
        refused(model, named(old), RKNNSHIM_INVALID_ARGUMENT, "which this process already uses");
    }
}

TEST(an_artifact_runs_through_the_vendor_ABI) {
    const test::Folder folder;
    const Board board(artifact(folder, onnx::sum(4)));
    const auto description = test::describe(board.handle);
    CHECK_EQUAL(description["backend"], "rknnrt");
    CHECK_EQUAL(description["simulated"], true);
    CHECK_EQUAL(description["custom_string"], "made by a test");
    CHECK_EQUAL(description["inputs"][0]["name"], "ids");
    CHECK_EQUAL(description["inputs"][0]["dims"].dump(), "[1,4]");
    CHECK_EQUAL(description["inputs"][0]["type"], "int64");
    CHECK_EQUAL(description["outputs"][0]["type"], "float32");
    CHECK_EQUAL(description["memory"]["weights"], test::read(folder.path("a.sim.onnx")).size());
    CHECK(description["sdk_version"].get<std::string>().find("2.3.2 (simulator, no NPU") != std::string::npos);

    float value = 0;
    int64_t microseconds = -1;
    CHECK_EQUAL(run(board.handle, {1, 2, 3, int64_t{1} << 20U}, &value, &microseconds), RKNNSHIM_OK);
    CHECK_EQUAL(value, 1048582.0F);
    CHECK(microseconds >= 0 && microseconds < 1000000);
    CHECK_EQUAL(run(board.handle, {1, 2, 3}, &value), RKNNSHIM_INVALID_ARGUMENT);
    CHECK(test::error_says("input 'ids' has 4 elements and got 3"));
}

TEST(duplicates_share_a_model_and_run_beside_each_other) {
    const test::Folder folder;
    rknnshim_model first = 0;
    CHECK_EQUAL(rknnshim_model_load("rknnrt", artifact(folder, onnx::sum(4)).c_str(), options(1).c_str(), &first), RKNNSHIM_OK);
    std::array<rknnshim_model, 2> copies{};
    CHECK_EQUAL(rknnshim_model_duplicate(first, 2, copies.data()), RKNNSHIM_OK);
    CHECK_EQUAL(rknnshim_model_duplicate(copies[0], 4, &copies[1]), RKNNSHIM_OK);
    CHECK_EQUAL(rknnshim_model_close(first), RKNNSHIM_OK); // copies outlive what they were made of
    std::array<int, 2> wrong{};
    {
        std::vector<std::jthread> threads;
        for (size_t c = 0; c < copies.size(); ++c)
            threads.emplace_back([&, c] {
                for (int64_t i = 0; i < 200; ++i) {
                    float value = 0;
                    if (run(copies.at(c), {i, static_cast<int64_t>(c), 0, 0}, &value) != RKNNSHIM_OK ||
                        value != static_cast<float>(i + static_cast<int64_t>(c)))
                        ++wrong.at(c);
                }
            });
    }
    CHECK_EQUAL(wrong[0] + wrong[1], 0);
    for (const auto copy : copies)
        CHECK_EQUAL(rknnshim_model_close(copy), RKNNSHIM_OK);
    CHECK_EQUAL(rknnshim_model_duplicate(first, 0, copies.data()), RKNNSHIM_INVALID_HANDLE);
}

TEST(a_core_mask_that_the_chip_lacks_is_refused) {
    const test::Folder folder;
    const auto path = artifact(folder, onnx::sum(4));
    const Board board(path, 7);
    rknnshim_model copy = 0;
    CHECK_EQUAL(rknnshim_model_duplicate(board.handle, 5, &copy), RKNNSHIM_RUNTIME_ERROR);
    CHECK(test::error_says("RKNN_ERR_PARAM_INVALID"));
    CHECK_EQUAL(rknnshim_model_duplicate(board.handle, 8, &copy), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(copy, 0U);
}

TEST(the_table_of_layers_needs_the_option_profile) {
    const test::Folder folder;
    const auto path = artifact(folder, onnx::sum(4));
    const auto table = [&](const char* backend, const std::string& model, bool profile) {
        shim::ModelOptions options;
        options.profile = profile;
        options.rknnrt = runtime();
        options.onnxruntime = test::onnxruntime();
        const auto loaded = shim::runner(backend).load(model, options);
        const std::array<int64_t, 4> ids{1, 2, 3, 4};
        const rknnshim_input input{ids.data(), ids.size()};
        float value = 0;
        rknnshim_output output{&value, 1, 0};
        loaded->run(std::span(&input, 1), std::span(&output, 1));
        try {
            return loaded->profile();
        } catch (const shim::Error& e) {
            CHECK_EQUAL(e.status(), RKNNSHIM_UNSUPPORTED);
            return std::string("none");
        }
    };
    for (const auto* const backend : {"rknnrt", "simulator"}) {
        const auto text = table(backend, path, true);
        CHECK(text.starts_with("ID   OpType           DataType Target InputShape  "));
        CHECK(text.find("\n2    Simulated        FLOAT    CPU    (1,4)  ") != std::string::npos);
        CHECK(text.find("\nTotal Operator Elapsed Time(us): ") != std::string::npos);
        CHECK_EQUAL(table(backend, path, false), "none");
    }
    CHECK_EQUAL(table("onnx", folder.path("m.onnx"), true), "none");
}

TEST(models_that_are_not_for_this_runtime_are_refused_with_what_to_do) {
    const test::Folder folder;
    refused(folder.path("none.rknn"), options(), RKNNSHIM_NOT_FOUND, "none.rknn");
    refused(folder.write("garbage.rknn", "RKNN and no model"), options(), RKNNSHIM_INVALID_MODEL, "RKNN_ERR_MODEL_INVALID");
    refused(folder.write("plain.onnx", onnx::sum(4)), options(), RKNNSHIM_INVALID_MODEL, "RKNN_ERR_MODEL_INVALID");
    refused(artifact(folder, onnx::sum(4), "rk3576"), options(), RKNNSHIM_INVALID_MODEL, "built for another platform");
    CHECK(test::error_says("RKNN_ERR_TARGET_PLATFORM_UNMATCH"));
}

TEST(every_code_of_the_runtime_becomes_a_sentence_with_its_name) {
    for (int32_t code = -13; code <= -1; ++code) {
        try {
            shim::rknnrt::check(code, "here");
            test::fail(__FILE__, __LINE__, "no error for " + std::to_string(code));
        } catch (const shim::Error& e) {
            CHECK(std::string(e.what()).starts_with("here: RKNN_ERR_"));
            CHECK(std::string(e.what()).size() > 70);
        }
    }
    shim::rknnrt::check(0, "here");
    try {
        shim::rknnrt::check(-99, "here");
        test::fail(__FILE__, __LINE__, "no error");
    } catch (const shim::Error& e) {
        CHECK(std::string(e.what()).find("unknown code -99") != std::string::npos);
    }
}

TEST(the_stand_in_checks_what_its_callers_give_it) {
    void* const library = dlopen(runtime().c_str(), RTLD_NOW | RTLD_LOCAL);
    CHECK(library != nullptr);
    auto* const init = reinterpret_cast<abi::Init*>(dlsym(library, "rknn_init"));
    auto* const duplicate = reinterpret_cast<abi::DupContext*>(dlsym(library, "rknn_dup_context"));
    auto* const destroy = reinterpret_cast<abi::Destroy*>(dlsym(library, "rknn_destroy"));
    auto* const query = reinterpret_cast<abi::QueryInfo*>(dlsym(library, "rknn_query"));
    auto* const inputs_set = reinterpret_cast<abi::InputsSet*>(dlsym(library, "rknn_inputs_set"));
    auto* const outputs_get = reinterpret_cast<abi::OutputsGet*>(dlsym(library, "rknn_outputs_get"));
    auto* const outputs_release = reinterpret_cast<abi::OutputsRelease*>(dlsym(library, "rknn_outputs_release"));
    auto* const execute = reinterpret_cast<abi::Run*>(dlsym(library, "rknn_run"));
    const auto code = [](abi::Status status) { return static_cast<int32_t>(status); };

    const test::Folder folder;
    auto bytes = test::read(artifact(folder, onnx::sum(4)));
    abi::Context context = 0;
    CHECK_EQUAL(init(nullptr, bytes.data(), 4, 0, nullptr), code(abi::Status::ParamInvalid));
    CHECK_EQUAL(init(&context, bytes.data(), static_cast<uint32_t>(bytes.size()), 0, nullptr), 0);
    abi::TensorAttr attr{};
    CHECK_EQUAL(query(context, abi::Query::InputAttr, &attr, sizeof attr - 1), code(abi::Status::ParamInvalid));
    CHECK_EQUAL(query(context, abi::Query::InputAttr, nullptr, sizeof attr), code(abi::Status::ParamInvalid));
    attr.index = 1;
    CHECK_EQUAL(query(context, abi::Query::InputAttr, &attr, sizeof attr), code(abi::Status::ParamInvalid));
    CHECK_EQUAL(query(context, abi::Query::DeviceMemInfo, &attr, sizeof attr), code(abi::Status::ParamInvalid));
    abi::PerfRun time{};
    CHECK_EQUAL(query(context, abi::Query::PerfRun, &time, sizeof time), code(abi::Status::Fail));
    abi::Output output{1, 0, 0, nullptr, 0};
    CHECK_EQUAL(outputs_get(context, 1, &output, nullptr), code(abi::Status::OutputInvalid));
    std::array<int64_t, 4> ids{1, 2, 3, 4};
    abi::Input input{0, ids.data(), sizeof ids - 1, 0, abi::TensorType::Int64, abi::TensorFormat::Undefined};
    CHECK_EQUAL(inputs_set(context, 1, &input), code(abi::Status::InputInvalid));
    input.size = sizeof ids;
    CHECK_EQUAL(inputs_set(context, 2, &input), code(abi::Status::InputInvalid));
    CHECK_EQUAL(inputs_set(context, 1, &input), 0);
    CHECK_EQUAL(execute(context, nullptr), 0);
    CHECK_EQUAL(outputs_get(context, 1, &output, nullptr), 0);
    CHECK_EQUAL(output.size, sizeof(float));
    CHECK_EQUAL(*static_cast<float*>(output.data), 10.0F);
    CHECK_EQUAL(outputs_release(context, 1, &output), 0);
    auto* const set_shapes = reinterpret_cast<abi::SetInputShapes*>(dlsym(library, "rknn_set_input_shapes"));
    attr.index = 0;
    CHECK_EQUAL(query(context, abi::Query::InputAttr, &attr, sizeof attr), 0);
    CHECK_EQUAL(set_shapes(context, 1, &attr), code(abi::Status::InputInvalid));
    abi::InputRange range{};
    CHECK_EQUAL(query(context, abi::Query::InputDynamicRange, &range, sizeof range), code(abi::Status::ModelInvalid));
    abi::MemSize memory{};
    abi::Context copy = 0;
    CHECK_EQUAL(duplicate(&context, &copy), 0);
    CHECK_EQUAL(query(context, abi::Query::MemSize, &memory, sizeof memory), 0);
    CHECK_EQUAL(duplicate(&context, &copy), code(abi::Status::Fail)); // where the vendor's crashes
    abi::Context info = 0;
    CHECK_EQUAL(init(&info, bytes.data(), static_cast<uint32_t>(bytes.size()), abi::kFlagModelInfoOnly, nullptr), 0);
    CHECK_EQUAL(query(info, abi::Query::MemSize, &memory, sizeof memory), 0);
    CHECK_EQUAL(execute(info, nullptr), code(abi::Status::Fail));
    CHECK_EQUAL(destroy(context), 0);
    CHECK_EQUAL(destroy(context), code(abi::Status::CtxInvalid));
    CHECK_EQUAL(execute(context, nullptr), code(abi::Status::CtxInvalid));
}

} // namespace
