// The agent as a process, over pipes.
#include "agent_process.h"
#include "onnx_bytes.h"
#include "simulator/metadata.h"

#include <map>

namespace {

using namespace agent;
using namespace test::agents;
using namespace std::chrono_literals;

std::string artifact(const test::Folder& folder, const std::string& onnx) {
    const auto path = folder.path("a.sim.onnx");
    if (test::convert(test::job(folder.write("m.onnx", onnx), path)) != RKNNSHIM_OK)
        test::fail(__FILE__, __LINE__, rknnshim_last_error());
    return test::read(path);
}

nlohmann::json load(const std::string& hash) {
    return {{"backend", "rknnrt"}, {"sha256", hash}, {"extension", ".sim.onnx"}, {"rknnrt", environment("RKNNRT_LIBRARY")}};
}

void upload(Agent& agent, const std::string& model) {
    agent.request(Kind::Store, {{"sha256", sha256(model)}, {"extension", ".sim.onnx"}, {"bytes", model.size()}});
    for (size_t at = 0; at < model.size(); at += 100)
        agent.send(Kind::Chunk, std::string_view(model).substr(at, 100));
    agent.expect(Kind::Stored);
}

TEST(the_agent_takes_a_model_once_and_runs_batches_under_each_plan) {
    const test::Folder folder;
    const auto model = artifact(folder, onnx::sum(4));
    {
        Agent agent(folder);
        const auto hello = agent.hello();
        CHECK_EQUAL(hello["protocol"], kProtocol);
        CHECK_EQUAL(hello["busy"], "");
        CHECK_EQUAL(hello["runtime"], "2.3.2 (simulator, no NPU)");
        agent.request(Kind::Load, load(sha256(model)));
        agent.expect(Kind::Missing);
        upload(agent, model);
        agent.request(Kind::Load, load(sha256(model)));
        CHECK_EQUAL(agent.expect(Kind::Loaded)["simulated"], true);
        for (const auto& plan : std::vector<std::vector<int32_t>>{{0}, {7}, {1, 2, 4}, {0, 0}}) {
            agent.send(Kind::Run, batch(plan, 9, 4));
            std::map<uint32_t, float> scores;
            for (int i = 0; i < 9; ++i) {
                const auto result = agent.receive();
                CHECK(result.kind == Kind::Result);
                CHECK(number<uint32_t>(result, 4) < plan.size());
                CHECK(number<int64_t>(result, 8) >= 0);
                CHECK_EQUAL(number<uint32_t>(result, 16), 1U);
                CHECK_EQUAL(number<uint32_t>(result, 20), 1U);
                scores[number<uint32_t>(result, 0)] = number<float>(result, 24);
            }
            const auto done = agent.receive();
            CHECK(done.kind == Kind::Done && number<int64_t>(done, 0) > 0);
            CHECK_EQUAL(scores.size(), 9U);
            for (const auto& [passage, score] : scores)
                CHECK_EQUAL(score, static_cast<float>(16 * passage + 6));
        }
        agent.send(Kind::Quit, "");
        CHECK_EQUAL(agent.wait(30s), 0);
    }
    Agent again(folder);
    again.hello();
    again.request(Kind::Load, load(sha256(model)));
    again.expect(Kind::Loaded); // without another upload
}

TEST(a_model_for_several_shapes_runs_batches_of_each) {
    using shim::simulator::metadata_entry;
    const test::Folder folder;
    const auto model = onnx::echo(0) + metadata_entry("modelpipeline.simulated", "true") +
                       metadata_entry("modelpipeline.target", "rk3588") + metadata_entry("rknnrt_sim.sequences", "3 5");
    Agent agent(folder);
    agent.hello();
    upload(agent, model);
    agent.request(Kind::Load, load(sha256(model)));
    CHECK_EQUAL(agent.expect(Kind::Loaded)["outputs"][0]["dims"].dump(), "[1,5]");
    for (const uint32_t elements : {3U, 5U, 3U}) {
        agent.send(Kind::Run, batch({1, 2, 4}, 9, elements));
        for (int i = 0; i < 9; ++i) {
            const auto result = agent.receive();
            CHECK(result.kind == Kind::Result);
            CHECK_EQUAL(number<uint32_t>(result, 20), elements);
            for (uint32_t e = 0; e < elements; ++e)
                CHECK_EQUAL(number<float>(result, 24 + e * sizeof(float)), static_cast<float>(number<uint32_t>(result, 0) * elements + e));
        }
        CHECK(agent.receive().kind == Kind::Done);
        agent.send(Kind::Run, batch({1, 2, 4}, 9, 4));
        CHECK(std::string(agent.expect(Kind::Error)["message"]).find("was built for inputs of [1,3] or [1,5]") != std::string::npos);
    }
}

TEST(an_upload_that_is_damaged_is_refused_and_leaves_nothing) {
    const test::Folder folder;
    const auto model = artifact(folder, onnx::sum(4));
    Agent agent(folder);
    agent.hello();
    auto damaged = model;
    damaged[damaged.size() / 2] ^= 1;
    agent.request(Kind::Store, {{"sha256", sha256(model)}, {"extension", ".sim.onnx"}, {"bytes", model.size()}});
    agent.send(Kind::Chunk, damaged);
    const std::string text = agent.expect(Kind::Error)["message"];
    CHECK(text.find("the upload was damaged") != std::string::npos);
    agent.request(Kind::Load, load(sha256(model)));
    agent.expect(Kind::Missing);
    upload(agent, model);
    // What rots on the disk is found and asked for again.
    static_cast<void>(folder.write("cache/" + sha256(model) + ".sim.onnx", damaged));
    Agent* const first = &agent;
    first->send(Kind::Quit, "");
    CHECK_EQUAL(first->wait(30s), 0);
    Agent next(folder);
    next.hello();
    next.request(Kind::Load, load(sha256(model)));
    next.expect(Kind::Missing);
    CHECK(std::filesystem::is_empty(folder.path("cache")));
    next.request(Kind::Store, {{"sha256", sha256(model)}, {"extension", "/../x"}, {"bytes", 1}});
    next.expect(Kind::Error);
}

TEST(nonsense_is_answered_and_an_impossible_length_ends_the_agent) {
    const test::Folder folder;
    Agent agent(folder);
    agent.send(Kind::Status, "");
    CHECK(std::string(agent.expect(Kind::Error)["message"]).find("first request must be hello") != std::string::npos);
    agent.hello();
    agent.send(Kind::Load, "nonsense");
    agent.expect(Kind::Error);
    agent.send(static_cast<Kind>(77), "");
    CHECK_EQUAL(agent.expect(Kind::Error)["status"], static_cast<int>(RKNNSHIM_UNSUPPORTED));
    agent.send(Kind::Run, batch({1}, 2, 4));
    CHECK(std::string(agent.expect(Kind::Error)["message"]).find("no model is loaded") != std::string::npos);
    agent.send(Kind::Chunk, "x");
    agent.expect(Kind::Error);
    agent.send(Kind::Status, "");
    agent.expect(Kind::StatusReply);
    agent.raw("\xff\xff\xff\xff garbage");
    agent.expect(Kind::Error);
    CHECK_EQUAL(agent.wait(30s), 2);
}

TEST(a_client_of_another_protocol_learns_the_agents_and_nothing_else) {
    const test::Folder folder;
    Agent agent(folder);
    agent.request(Kind::Hello, {{"protocol", 99}});
    CHECK_EQUAL(agent.expect(Kind::HelloReply)["protocol"], kProtocol);
    agent.send(Kind::Status, "");
    agent.expect(Kind::Error);
}

TEST(one_agent_at_a_time_has_the_board) {
    const test::Folder folder;
    {
        Agent first(folder);
        CHECK_EQUAL(first.hello()["busy"], "");
        Agent second(folder);
        const std::string busy = second.hello()["busy"];
        CHECK(busy.find("process " + std::to_string(first.process())) != std::string::npos);
        second.send(Kind::Status, "");
        second.expect(Kind::Error);
        kill(first.process(), SIGKILL);
        first.wait(30s);
        CHECK_EQUAL(second.hello()["busy"], ""); // no lock outlives its holder
    }
}

TEST(an_agent_ends_with_its_client_in_mid_run_and_gives_back_the_governor) {
    const test::Folder folder;
    const auto governor = folder.path("sys/class/devfreq/fdab0000.npu/governor");
    std::filesystem::create_directories(std::filesystem::path(governor).parent_path());
    static_cast<void>(folder.write("sys/class/devfreq/fdab0000.npu/governor", "rknpu_ondemand"));
    const auto model = folder.write("slow.onnx", onnx::slow(20));
    const auto bytes = test::read(model);
    Agent agent(folder);
    agent.hello();
    agent.request(Kind::Governor, {{"npu", "performance"}});
    CHECK_EQUAL(agent.expect(Kind::StatusReply)["npu_governor"], "performance");
    std::filesystem::copy_file(model, folder.path("cache/" + sha256(bytes) + ".onnx"));
    agent.request(
        Kind::Load,
        {{"backend", "onnx"}, {"sha256", sha256(bytes)}, {"extension", ".onnx"}, {"threads", 1}, {"onnxruntime", test::onnxruntime()}});
    agent.expect(Kind::Loaded);
    agent.send(Kind::Run, batch({0}, 5000, 512));
    CHECK(agent.receive().kind == Kind::Result);
    agent.hang_up();
    CHECK_EQUAL(agent.wait(30s), 0);
    CHECK_EQUAL(test::read(governor), "rknpu_ondemand");
}

TEST(an_agent_that_hears_nothing_for_longer_than_announced_leaves_the_board) {
    const test::Folder folder;
    Agent agent(folder);
    agent.request(Kind::Hello, {{"protocol", kProtocol}, {"silence", 3}});
    agent.expect(Kind::HelloReply);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 5; ++i) {
        std::this_thread::sleep_for(1s);
        agent.send(Kind::Alive, "");
    }
    agent.send(Kind::Status, "");
    agent.expect(Kind::StatusReply); // and not an answer to what asks for none
    CHECK_EQUAL(agent.wait(30s), 3);
    CHECK(std::chrono::steady_clock::now() - begin > 7s);
    Agent next(folder);
    CHECK_EQUAL(next.hello()["busy"], "");
}

TEST(an_agent_whose_parent_is_killed_dies_too) {
    const test::Folder folder;
    std::array<int, 2> pipe_ends{};
    CHECK_EQUAL(pipe2(pipe_ends.data(), O_CLOEXEC), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        Agent agent(folder);
        static_cast<void>(agent.hello());
        const pid_t process = agent.process();
        static_cast<void>(write(pipe_ends[1], &process, sizeof process) == 0);
        pause();
        _exit(0);
    }
    pid_t process = 0;
    CHECK_EQUAL(read(pipe_ends[0], &process, sizeof process), static_cast<ssize_t>(sizeof process));
    kill(parent, SIGKILL);
    waitpid(parent, nullptr, 0);
    const auto alive = [&] { return test::read("/proc/" + std::to_string(process) + "/cmdline").find("rknn-agent") != std::string::npos; };
    for (int i = 0; i < 3000 && alive(); ++i)
        std::this_thread::sleep_for(10ms);
    CHECK(!alive());
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

} // namespace
