#include "fixture.h"
#include "onnx_bytes.h"

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

namespace {

using namespace std::chrono_literals;

constexpr uint64_t kSlowOutput = 512UL * 512UL;

struct Run {
    int32_t status;
    std::vector<float> values;
    uint64_t count;
    int64_t microseconds;
};

Run run(rknnshim_model model, const std::vector<int64_t>& ids, uint64_t capacity) {
    Run result{0, std::vector<float>(capacity), 0, -1};
    const rknnshim_input input{ids.data(), ids.size()};
    rknnshim_output output{result.values.data(), capacity, 0};
    result.status = rknnshim_model_run(model, &input, 1, &output, 1, &result.microseconds);
    result.count = output.count;
    return result;
}

TEST(a_model_tells_its_tensors_and_computes) {
    const test::Folder folder;
    const test::Model model("onnx", folder.write("m.onnx", onnx::sum(4)));

    const auto description = test::describe(model.handle);
    CHECK_EQUAL(description["backend"], "onnx");
    CHECK_EQUAL(description["simulated"], false);
    CHECK_EQUAL(description["inputs"][0]["name"], "ids");
    CHECK_EQUAL(description["inputs"][0]["dims"].dump(), "[1,4]");
    CHECK_EQUAL(description["inputs"][0]["type"], "int64");
    CHECK_EQUAL(description["outputs"][0]["type"], "float32");
    const Run result = run(model.handle, {1, 2, 3, -10}, 1);
    CHECK_EQUAL(result.status, RKNNSHIM_OK);
    CHECK_EQUAL(result.values[0], -4.0F);
    CHECK(result.microseconds >= 0);
}

TEST(wrong_counts_are_refused) {
    const test::Folder folder;
    const test::Model model("onnx", folder.write("m.onnx", onnx::sum(4)));
    const std::array<int64_t, 4> ids{};
    std::array<float, 1> value{};
    const std::array<rknnshim_input, 2> inputs{{{ids.data(), 4}, {ids.data(), 4}}};
    std::array<rknnshim_output, 2> outputs{{{value.data(), 1, 0}, {value.data(), 1, 0}}};

    CHECK_EQUAL(run(model.handle, {1, 2, 3}, 1).status, RKNNSHIM_INVALID_ARGUMENT);
    CHECK(test::error_says("input 'ids' is [1,4] and got 3 elements"));
    CHECK_EQUAL(run(model.handle, {}, 1).status, RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(run(model.handle, {1, 2, 3, 4, 5}, 1).status, RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_model_run(model.handle, inputs.data(), 2, outputs.data(), 1, nullptr), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_model_run(model.handle, inputs.data(), 1, outputs.data(), 2, nullptr), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_model_run(model.handle, inputs.data(), 0, outputs.data(), 0, nullptr), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_model_run(model.handle, nullptr, 1, outputs.data(), 1, nullptr), RKNNSHIM_INVALID_ARGUMENT);
    CHECK_EQUAL(rknnshim_model_run(model.handle, inputs.data(), 1, nullptr, 1, nullptr), RKNNSHIM_INVALID_ARGUMENT);
    const rknnshim_input no_data{nullptr, 4};
    CHECK_EQUAL(rknnshim_model_run(model.handle, &no_data, 1, outputs.data(), 1, nullptr), RKNNSHIM_INVALID_ARGUMENT);
    const rknnshim_input too_many{ids.data(), ~uint64_t{0}};
    CHECK_EQUAL(rknnshim_model_run(model.handle, &too_many, 1, outputs.data(), 1, nullptr), RKNNSHIM_INVALID_ARGUMENT);
    rknnshim_output no_room{nullptr, 1, 0};
    CHECK_EQUAL(rknnshim_model_run(model.handle, inputs.data(), 1, &no_room, 1, nullptr), RKNNSHIM_INVALID_ARGUMENT);
}

TEST(an_output_without_room_tells_what_it_needs) {
    const test::Folder folder;
    for (const uint64_t declared : {uint64_t{6}, uint64_t{0}}) {
        const test::Model model("onnx", folder.write("m.onnx", onnx::echo(declared)));
        const Run refused = run(model.handle, {1, 2, 3, 4, 5, 6}, 5);
        CHECK_EQUAL(refused.status, RKNNSHIM_BUFFER_TOO_SMALL);
        CHECK_EQUAL(refused.count, 6U);
        const Run accepted = run(model.handle, {1, 2, 3, 4, 5, 6}, 7);
        CHECK_EQUAL(accepted.status, RKNNSHIM_OK);
        CHECK_EQUAL(accepted.count, 6U);
        CHECK(accepted.values == std::vector<float>({1, 2, 3, 4, 5, 6, 0}));
    }
}

TEST(an_open_dimension_follows_the_input) {
    const test::Folder folder;
    const test::Model model("onnx", folder.write("m.onnx", onnx::sum(0)));
    CHECK_EQUAL(test::describe(model.handle)["inputs"][0]["dims"].dump(), "[1,-1]");
    CHECK_EQUAL(run(model.handle, {5}, 1).values[0], 5.0F);
    CHECK_EQUAL(run(model.handle, {5, 6, 7}, 1).values[0], 18.0F);
}

TEST(files_that_are_no_model_are_refused) {
    const test::Folder folder;
    rknnshim_model handle = 0;
    const auto load = [&](const std::string& path) { return rknnshim_model_load("onnx", path.c_str(), test::options().c_str(), &handle); };

    CHECK_EQUAL(load(folder.path("none.onnx")), RKNNSHIM_NOT_FOUND);
    CHECK(test::error_says("none.onnx"));
    CHECK_EQUAL(load(folder.path("")), RKNNSHIM_NOT_FOUND);
    CHECK_EQUAL(load(folder.write("empty.onnx", "")), RKNNSHIM_INVALID_MODEL);
    CHECK_EQUAL(load(folder.write("garbage.onnx", std::string(1000, '\xA7'))), RKNNSHIM_INVALID_MODEL);
    const std::string whole = onnx::sum(4);
    CHECK_EQUAL(load(folder.write("cut.onnx", whole.substr(0, whole.size() / 2))), RKNNSHIM_INVALID_MODEL);
    using namespace onnx;
    CHECK_EQUAL(load(folder.write("int32.onnx", model(cast("a", "b", kFloat) + field(11, value_info("a", kInt32, {1, 4})) +
                                                      field(12, value_info("b", kFloat, {1, 4}))))),
                RKNNSHIM_INVALID_MODEL);
    CHECK(test::error_says("inputs must be int64; 'a' is int32"));
    CHECK_EQUAL(load(folder.write("int.onnx", model(cast("a", "b", kInt32) + field(11, value_info("a", kInt64, {1, 4})) +
                                                    field(12, value_info("b", kInt32, {1, 4}))))),
                RKNNSHIM_INVALID_MODEL);
    CHECK(test::error_says("outputs must be float32; 'b' is int32"));
    CHECK_EQUAL(handle, 0U);
}

TEST(a_run_is_cancelled_from_another_thread_and_the_next_one_is_not) {
    const test::Folder folder;
    const test::Model slow("onnx", folder.write("slow.onnx", onnx::slow(20000)));
    CHECK_EQUAL(rknnshim_model_cancel(slow.handle), RKNNSHIM_OK); // no run: no effect
    const std::vector<int64_t> ids(512);
    for (int round = 0; round < 2; ++round) {
        const auto begin = std::chrono::steady_clock::now();
        std::jthread canceller([&](const std::stop_token& stop) {
            std::this_thread::sleep_for(100ms);
            while (!stop.stop_requested()) {
                rknnshim_model_cancel(slow.handle);
                std::this_thread::sleep_for(1ms);
            }
        });
        CHECK_EQUAL(run(slow.handle, ids, kSlowOutput).status, RKNNSHIM_CANCELLED);
        const auto took = std::chrono::steady_clock::now() - begin;
        CHECK(took > 90ms); // the cancellation of the round before did not stick
        CHECK(took < 30s);
    }
}

TEST(many_threads_may_share_load_and_close_models) {
    const test::Folder folder;
    const auto path = folder.write("m.onnx", onnx::sum(4));
    const test::Model shared("onnx", path);
    std::atomic<int> wrong = 0;
    {
        std::vector<std::jthread> threads;
        threads.reserve(4);
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&] {
                for (int64_t i = 0; i < 50; ++i) {
                    if (run(shared.handle, {i, 1, 1, 1}, 1).values[0] != static_cast<float>(i + 3))
                        ++wrong;
                    rknnshim_model own = 0;
                    if (i % 10 == 0 &&
                        (rknnshim_model_load("onnx", path.c_str(), test::options().c_str(), &own) != RKNNSHIM_OK ||
                         run(own, {i, 0, 0, 0}, 1).values[0] != static_cast<float>(i) || rknnshim_model_close(own) != RKNNSHIM_OK))
                        ++wrong;
                }
            });
    }
    CHECK_EQUAL(wrong.load(), 0);
}

TEST(a_model_closed_during_a_run_ends_that_run_properly) {
    const test::Folder folder;
    const auto path = folder.write("slow.onnx", onnx::slow(100));
    const std::vector<int64_t> ids(512);
    // Nothing tells when a run has begun: a close that came before it is tried again.
    for (auto wait = 20ms; wait < 30s; wait *= 2) {
        rknnshim_model handle = 0;
        CHECK_EQUAL(rknnshim_model_load("onnx", path.c_str(), test::options().c_str(), &handle), RKNNSHIM_OK);
        std::jthread closer([&] {
            std::this_thread::sleep_for(wait);
            rknnshim_model_close(handle);
        });
        const auto status = run(handle, ids, kSlowOutput).status;
        closer.join();
        CHECK_EQUAL(run(handle, ids, kSlowOutput).status, RKNNSHIM_INVALID_HANDLE);
        if (status == RKNNSHIM_OK)
            return;
        CHECK_EQUAL(status, RKNNSHIM_INVALID_HANDLE);
    }
    CHECK(false);
}

} // namespace
