#include "fixture.h"
#include "onnx_bytes.h"

#include <dlfcn.h>

#include <array>
#include <cstring>

namespace {

TEST(the_library_tells_its_version_and_which_backends_it_has) {
    CHECK_EQUAL(rknnshim_abi_version(), static_cast<uint32_t>(RKNNSHIM_ABI_VERSION));
    rknnshim_model model = 0;
    CHECK_EQUAL(rknnshim_model_load("tensorrt", "x", nullptr, &model), RKNNSHIM_UNSUPPORTED);
    CHECK(test::error_says("backend 'tensorrt' is not in this library; it has onnx, rknnrt, simulator, rknn-toolkit"));
    CHECK_EQUAL(rknnshim_model_load("rknn-toolkit", "x", nullptr, &model), RKNNSHIM_UNSUPPORTED);
    CHECK(test::error_says("backend 'rknn-toolkit' converts models but runs none"));
    auto job = nlohmann::json::parse(test::job("x", "y"));
    job["backend"] = "rknnrt";
    rknnshim_job handle = 0;
    CHECK_EQUAL(rknnshim_job_start(job.dump().data(), job.dump().size(), &handle), RKNNSHIM_UNSUPPORTED);
    CHECK(test::error_says("backend 'rknnrt' runs models but converts none"));
}

TEST(the_library_tells_what_the_machine_is_and_keeps_others_off_it) {
    const test::Folder folder;
    const auto governor = folder.path("sys/class/devfreq/fdab0000.npu/governor");
    std::filesystem::create_directories(std::filesystem::path(governor).parent_path());
    static_cast<void>(folder.write("sys/class/devfreq/fdab0000.npu/governor", "rknpu_ondemand"));
    const auto options = nlohmann::json{{"root", folder.path("")}, {"rknnrt", "/nowhere"}, {"lock", folder.path("lock")}}.dump();
    rknnshim_machine machine = 0;
    rknnshim_machine second = 0;
    CHECK_EQUAL(rknnshim_machine_open(options.c_str(), &machine), RKNNSHIM_OK);
    CHECK_EQUAL(rknnshim_machine_open(options.c_str(), &second), RKNNSHIM_BUSY);
    CHECK(test::error_says("process " + std::to_string(getpid()) + " holds"));
    const auto described =
        nlohmann::json::parse(test::text([&](char* b, size_t c, size_t* l) { return rknnshim_machine_describe(machine, b, c, l); }));
    CHECK(described["facts"]["platform"].get<std::string>().starts_with("linux-"));
    CHECK(described["facts"]["cores"] > 0);
    CHECK_EQUAL(described["facts"]["runtime"], "");
    CHECK_EQUAL(described["facts"]["runtime_library"], "/nowhere");
    CHECK_EQUAL(described["status"]["npu_governor"], "rknpu_ondemand");
    CHECK_EQUAL(rknnshim_machine_set_governor(machine, "performance"), RKNNSHIM_OK);
    CHECK_EQUAL(test::read(governor), "performance");
    CHECK_EQUAL(rknnshim_machine_set_governor(machine, nullptr), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_machine_close(machine), RKNNSHIM_OK);
    CHECK_EQUAL(test::read(governor), "rknpu_ondemand");
    CHECK_EQUAL(rknnshim_machine_close(machine), RKNNSHIM_INVALID_HANDLE);
    CHECK_EQUAL(rknnshim_machine_open(options.c_str(), &second), RKNNSHIM_OK);
    CHECK_EQUAL(rknnshim_machine_close(second), RKNNSHIM_OK);
    CHECK_EQUAL(rknnshim_machine_open(nullptr, &machine), RKNNSHIM_OK); // another one, without its lock
    CHECK_EQUAL(rknnshim_machine_close(machine), RKNNSHIM_OK);
    CHECK_EQUAL(rknnshim_machine_open(R"({"surprise": 1})", &machine), RKNNSHIM_INVALID_ARGUMENT);
}

TEST(text_that_does_not_fit_tells_its_length_and_writes_nothing) {
    rknnshim_machine machine = 0;
    CHECK_EQUAL(rknnshim_machine_open(nullptr, &machine), RKNNSHIM_OK);
    std::string buffer(8, '?');
    size_t length = 0;
    CHECK_EQUAL(rknnshim_machine_describe(machine, buffer.data(), buffer.size(), &length), RKNNSHIM_BUFFER_TOO_SMALL);
    CHECK_EQUAL(buffer, "????????");
    CHECK(length > buffer.size());
    CHECK_EQUAL(rknnshim_machine_describe(machine, nullptr, 0, &length), RKNNSHIM_BUFFER_TOO_SMALL);
    CHECK_EQUAL(rknnshim_machine_describe(machine, nullptr, 4096, &length), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_machine_describe(machine, buffer.data(), buffer.size(), nullptr), RKNNSHIM_INVALID_ARGUMENT);
    buffer.assign(length + 1, '?');
    CHECK_EQUAL(rknnshim_machine_describe(machine, buffer.data(), length, &length), RKNNSHIM_BUFFER_TOO_SMALL); // no room for the zero byte
    CHECK_EQUAL(rknnshim_machine_describe(machine, buffer.data(), buffer.size(), &length), RKNNSHIM_OK);
    CHECK_EQUAL(std::strlen(buffer.c_str()), length);
    CHECK_EQUAL(rknnshim_machine_close(machine), RKNNSHIM_OK);
}

TEST(null_arguments_are_refused) {
    rknnshim_model model = 0;
    CHECK_EQUAL(rknnshim_model_load(nullptr, "x", nullptr, &model), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_model_load("onnx", nullptr, nullptr, &model), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_model_load("onnx", "x", nullptr, nullptr), RKNNSHIM_INVALID_ARGUMENT);
    rknnshim_job job = 0;
    CHECK_EQUAL(rknnshim_job_start(nullptr, 3, &job), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_job_start("{}", 2, nullptr), RKNNSHIM_INVALID_ARGUMENT);
}

TEST(handles_that_are_not_open_are_refused_by_every_function) {
    const test::Folder folder;
    rknnshim_model closed = 0;
    CHECK_EQUAL(rknnshim_model_load("onnx", folder.write("m.onnx", onnx::sum(4)).c_str(), test::options().c_str(), &closed), RKNNSHIM_OK);
    CHECK_EQUAL(rknnshim_model_close(closed), RKNNSHIM_OK);
    const std::string json = test::job(folder.path("none"), folder.path("a.sim.onnx"));
    rknnshim_job freed = 0;
    CHECK_EQUAL(rknnshim_job_start(json.data(), json.size(), &freed), RKNNSHIM_OK);
    CHECK_EQUAL(rknnshim_model_close(freed), RKNNSHIM_INVALID_HANDLE); // a job is no model
    CHECK_EQUAL(rknnshim_job_free(freed), RKNNSHIM_OK);

    std::array<char, 64> buffer{};
    size_t length = 0;
    for (const uint64_t handle : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}, closed, freed}) {
        CHECK_EQUAL(rknnshim_model_describe(handle, buffer.data(), buffer.size(), &length), RKNNSHIM_INVALID_HANDLE);
        CHECK_EQUAL(rknnshim_model_run(handle, nullptr, 0, nullptr, 0, nullptr), RKNNSHIM_INVALID_HANDLE);
        CHECK_EQUAL(rknnshim_model_cancel(handle), RKNNSHIM_INVALID_HANDLE);
        CHECK_EQUAL(rknnshim_machine_close(handle), RKNNSHIM_INVALID_HANDLE);
        CHECK_EQUAL(rknnshim_model_close(handle), RKNNSHIM_INVALID_HANDLE);
        CHECK(test::error_says("no handle of an open model"));
        CHECK_EQUAL(rknnshim_job_poll(handle, 0, buffer.data(), buffer.size(), &length), RKNNSHIM_INVALID_HANDLE);
        CHECK_EQUAL(rknnshim_job_cancel(handle), RKNNSHIM_INVALID_HANDLE);
        CHECK_EQUAL(rknnshim_job_result(handle, buffer.data(), buffer.size(), &length), RKNNSHIM_INVALID_HANDLE);
        CHECK_EQUAL(rknnshim_job_free(handle), RKNNSHIM_INVALID_HANDLE);
        CHECK(test::error_says("no handle of an open job"));
    }
}

TEST(a_missing_or_foreign_ONNX_Runtime_is_named) {
    const test::Folder folder;
    const auto model = folder.write("m.onnx", onnx::sum(4));
    rknnshim_model handle = 0;
    CHECK_EQUAL(rknnshim_model_load("onnx", model.c_str(), R"({"onnxruntime": "/nowhere/libonnxruntime.so"})", &handle),
                RKNNSHIM_NOT_FOUND);
    CHECK(test::error_says("/nowhere/libonnxruntime.so"));
    const auto garbage = nlohmann::json{{"onnxruntime", folder.write("libonnxruntime.so", "not a library")}}.dump();
    CHECK(rknnshim_model_load("onnx", model.c_str(), garbage.c_str(), &handle) != RKNNSHIM_OK);
    CHECK(test::error_says("libonnxruntime.so"));
    Dl_info itself{};
    CHECK(dladdr(reinterpret_cast<const void*>(&rknnshim_abi_version), &itself) != 0);
    const auto foreign = nlohmann::json{{"onnxruntime", itself.dli_fname}}.dump();
    CHECK(rknnshim_model_load("onnx", model.c_str(), foreign.c_str(), &handle) != RKNNSHIM_OK);
    CHECK(test::error_says("librknnshim.so"));
    CHECK_EQUAL(handle, 0U);
}

} // namespace
