#include "fixture.h"
#include "onnx_bytes.h"

#include <array>
#include <chrono>
#include <thread>

namespace {

using namespace std::chrono_literals;

TEST(an_artifact_is_the_same_graph_with_the_marks_of_a_simulation) {
    const test::Folder folder;
    const auto source = folder.write("m.onnx", onnx::sum(4));
    nlohmann::json result;

    CHECK_EQUAL(test::convert(test::job(source, folder.path("a.sim.onnx")), &result), RKNNSHIM_OK);

    CHECK_EQUAL(result["simulated"], true);
    CHECK_EQUAL(result["inputs"][0]["dims"].dump(), "[1,4]");
    const auto bytes = test::read(folder.path("a.sim.onnx"));
    CHECK_EQUAL(result["bytes"], bytes.size());
    CHECK(bytes.starts_with(test::read(source)));
    const test::Model model("simulator", folder.path("a.sim.onnx"));
    const auto description = test::describe(model.handle);
    CHECK_EQUAL(description["backend"], "simulator");
    CHECK_EQUAL(description["simulated"], true);
    CHECK_EQUAL(description["target"], "rk3588");
    CHECK_EQUAL(description["custom_string"], "made by a test");
    CHECK(description["sdk_version"].get<std::string>().find("simulates rk3588") != std::string::npos);
    CHECK_EQUAL(folder.files(), 2U);
}

TEST(the_same_job_makes_the_same_bytes) {
    const test::Folder folder;
    const auto source = folder.write("m.onnx", onnx::sum(4));
    CHECK_EQUAL(test::convert(test::job(source, folder.path("a.sim.onnx"))), RKNNSHIM_OK);
    CHECK_EQUAL(test::convert(test::job(source, folder.path("b.sim.onnx"))), RKNNSHIM_OK);
    CHECK(test::read(folder.path("a.sim.onnx")) == test::read(folder.path("b.sim.onnx")));
}

TEST(events_tell_progress_and_end_with_done) {
    const test::Folder folder;
    const auto json = test::job(folder.write("m.onnx", onnx::sum(4)), folder.path("a.sim.onnx"));
    rknnshim_job job = 0;
    CHECK_EQUAL(rknnshim_job_start(json.data(), json.size(), &job), RKNNSHIM_OK);

    const auto events = test::finish(job);

    int64_t done = -1;
    for (const auto& event : events)
        if (event["event"] == "progress") {
            CHECK(event["done"] > done);
            done = event["done"];
            CHECK_EQUAL(event["total"], 3);
        }
    CHECK_EQUAL(done, 3);
    CHECK_EQUAL(events.back()["event"], "done");
    CHECK_EQUAL(events.back()["status"], 0);
    CHECK_EQUAL(events.back()["dropped"], 0);
    std::array<char, 8> buffer{};
    size_t length = 0;
    CHECK_EQUAL(rknnshim_job_poll(job, 60000, buffer.data(), buffer.size(), &length), RKNNSHIM_END);
    CHECK_EQUAL(rknnshim_job_poll(job, -1, buffer.data(), buffer.size(), &length), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_job_poll(job, 60001, buffer.data(), buffer.size(), &length), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_job_free(job), RKNNSHIM_OK);
}

TEST(the_loader_refuses_what_the_conversion_did_not_mark) {
    const test::Folder folder;
    rknnshim_model handle = 0;
    CHECK_EQUAL(rknnshim_model_load("simulator", folder.write("m.onnx", onnx::sum(4)).c_str(), test::options().c_str(), &handle),
                RKNNSHIM_INVALID_MODEL);
    CHECK(test::error_says("is not a simulated artifact"));
}

void refused(const test::Folder& folder, const std::string& source, const std::string& artifact, int32_t status,
             const std::string& reason) {
    const size_t before = folder.files();
    CHECK_EQUAL(test::convert(test::job(source, artifact)), status);
    if (!test::error_says(reason))
        test::fail(__FILE__, __LINE__, std::string("'") + rknnshim_last_error() + "' does not say " + reason);
    CHECK_EQUAL(folder.files(), before);
}

TEST(sources_that_no_NPU_could_run_are_refused_and_nothing_is_written) {
    const test::Folder folder;
    const auto artifact = folder.path("a.sim.onnx");
    refused(folder, folder.path("none.onnx"), artifact, RKNNSHIM_NOT_FOUND, "none.onnx");
    refused(folder, folder.path(""), artifact, RKNNSHIM_NOT_FOUND, "it is no file");
    refused(folder, folder.write("garbage.onnx", "garbage"), artifact, RKNNSHIM_INVALID_MODEL, "garbage.onnx");
    refused(folder, folder.write("open.onnx", onnx::sum(0)), artifact, RKNNSHIM_INVALID_MODEL,
            "input 'ids' is [1,?]; an NPU needs a fixed shape");
    using namespace onnx;
    const auto open_output = model(cast("a", "x", kFloat) + node("NonZero", {"x"}, "y") + cast("y", "b", kFloat) +
                                   field(11, value_info("a", kInt64, {1, 4})) + field(12, value_info("b", kFloat, {2, 0})));
    refused(folder, folder.write("output.onnx", open_output), artifact, RKNNSHIM_INVALID_MODEL, "output 'b' is [2,?]");
    const auto no_batch = model(cast("a", "b", kFloat) + field(11, value_info("a", kInt64, {4})) + field(12, value_info("b", kFloat, {4})));
    refused(folder, folder.write("rank.onnx", no_batch), artifact, RKNNSHIM_INVALID_MODEL, "input 'a' is [4]");
}

TEST(an_artifact_is_not_converted_again) {
    const test::Folder folder;
    CHECK_EQUAL(test::convert(test::job(folder.write("m.onnx", onnx::sum(4)), folder.path("a.sim.onnx"))), RKNNSHIM_OK);
    refused(folder, folder.path("a.sim.onnx"), folder.path("b.sim.onnx"), RKNNSHIM_INVALID_MODEL, "is itself a simulated artifact");
}

TEST(artifacts_are_named_as_simulated_and_written_where_that_is_possible) {
    const test::Folder folder;
    const auto source = folder.write("m.onnx", onnx::sum(4));
    refused(folder, source, folder.path("a.rknn"), RKNNSHIM_INVALID_ARGUMENT, "must end in .sim.onnx");
    refused(folder, source, folder.path("none/a.sim.onnx"), RKNNSHIM_IO_ERROR, "none/a.sim.onnx");
    std::filesystem::create_directory(folder.path("taken.sim.onnx"));
    refused(folder, source, folder.path("taken.sim.onnx"), RKNNSHIM_IO_ERROR, "taken.sim.onnx");
}

TEST(a_job_is_cancelled_within_a_second_and_leaves_nothing) {
    const test::Folder folder;
    const auto json = test::job(folder.write("slow.onnx", onnx::slow(20000)), folder.path("a.sim.onnx"));
    for (const auto delay : {0ms, 50ms, 2000ms}) {
        rknnshim_job job = 0;
        CHECK_EQUAL(rknnshim_job_start(json.data(), json.size(), &job), RKNNSHIM_OK);
        std::this_thread::sleep_for(delay);
        std::array<char, 8> buffer{};
        size_t length = 0;
        CHECK_EQUAL(rknnshim_job_result(job, buffer.data(), buffer.size(), &length), RKNNSHIM_PENDING);
        const auto begin = std::chrono::steady_clock::now();
        CHECK_EQUAL(rknnshim_job_cancel(job), RKNNSHIM_OK);
        const auto events = test::finish(job);
        CHECK(std::chrono::steady_clock::now() - begin < 3s);
        CHECK_EQUAL(events.back()["status"], static_cast<int>(RKNNSHIM_CANCELLED));
        CHECK_EQUAL(rknnshim_job_result(job, buffer.data(), buffer.size(), &length), RKNNSHIM_CANCELLED);
        CHECK_EQUAL(rknnshim_job_cancel(job), RKNNSHIM_OK);
        CHECK_EQUAL(rknnshim_job_free(job), RKNNSHIM_OK);
        CHECK_EQUAL(folder.files(), 1U);
    }
}

TEST(freeing_a_running_job_cancels_it) {
    const test::Folder folder;
    const auto json = test::job(folder.write("slow.onnx", onnx::slow(20000)), folder.path("a.sim.onnx"));
    rknnshim_job job = 0;
    CHECK_EQUAL(rknnshim_job_start(json.data(), json.size(), &job), RKNNSHIM_OK);
    std::this_thread::sleep_for(50ms);
    const auto begin = std::chrono::steady_clock::now();
    CHECK_EQUAL(rknnshim_job_free(job), RKNNSHIM_OK);
    CHECK(std::chrono::steady_clock::now() - begin < 3s);
    CHECK_EQUAL(folder.files(), 1U);
}

} // namespace
