// The agent for boards on the vendor's own runtime, emulated, over the library that answers for the kernel driver. What an NPU would
// compute is zeros: what is tested is the way there, in the order of calls that rknnrt/abi.h gives.
#include "agent_process.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

namespace {

using namespace agent;
using namespace test::agents;
using namespace std::chrono_literals;

constexpr uint32_t kTokens = 128;
constexpr uint32_t kInputs = 3;

std::string needed(const char* name, const char* why) {
    const auto value = environment(name);
    if (value.empty() || !std::filesystem::exists(value))
        throw test::Skipped{std::string(name) + " '" + value + "' is not there: " + why};
    return value;
}

std::string runtime() {
    return needed("MODELPIPELINE_VENDOR_RUNTIME", "it names the vendor's librknnrt.so for arm64");
}

std::string fixture(const std::string& name) {
    return test::read(needed("RKNN_FIXTURES", "the folder of real .rknn files") + "/" + name + ".rknn");
}

Start board(const std::vector<std::string>& variables = {}) {
    Start start{{needed("EMULATOR", "install qemu-user-static"), "-L", needed("EMULATED_ROOT", "install libstdc++6-arm64-cross"),
                 needed("BOARD_AGENT", "install g++-aarch64-linux-gnu and build again")},
                variables};
    start.variables.push_back("LD_PRELOAD=" + needed("RKNPU_DRIVER", "install g++-aarch64-linux-gnu and build again"));
    return start;
}

/// Token ids that each input knows: the runtime checks none, and one beyond the vocabulary reads what lies behind the table.
std::string passages(const std::vector<int32_t>& plan, uint32_t count, uint32_t tokens) {
    Writer writer;
    writer.put(static_cast<uint32_t>(plan.size()));
    for (const auto cores : plan)
        writer.put(cores);
    writer.put(count).put(kInputs).put(tokens);
    for (uint32_t i = 0; i < count * kInputs * tokens; ++i)
        writer.put(int32_t{1});
    return {reinterpret_cast<const char*>(writer.bytes().data()), writer.bytes().size()};
}

/// An agent on a board whose driver keeps an account of its jobs.
class Board {
public:
    explicit Board(const std::vector<std::string>& variables = {}) : agent(folder_, board(with_jobs(variables))) {
        runtime_ = runtime();
        agent.request(Kind::Hello, {{"protocol", kProtocol}, {"rknnrt", runtime_}});
        hello = agent.expect(Kind::HelloReply);
    }

    nlohmann::json load(const std::string& model, int profile = 0) {
        const auto hash = sha256(model);
        if (!std::filesystem::exists(folder_.path("cache/" + hash + ".rknn"))) {
            agent.request(Kind::Store, {{"sha256", hash}, {"extension", ".rknn"}, {"bytes", model.size()}});
            for (size_t at = 0; at < model.size(); at += 1U << 20U)
                agent.send(Kind::Chunk, std::string_view(model).substr(at, 1U << 20U));
            agent.expect(Kind::Stored);
        }
        agent.request(Kind::Load,
                      {{"backend", "rknnrt"}, {"sha256", hash}, {"extension", ".rknn"}, {"rknnrt", runtime_}, {"profile", profile}});
        return agent.expect(Kind::Loaded);
    }

    /// Runs passages, each of which must give one finite output; returns the core masks of the jobs that the driver got.
    std::multiset<int> run(const std::vector<int32_t>& plan, uint32_t count, uint32_t tokens = kTokens) {
        std::filesystem::remove(jobs());
        agent.send(Kind::Run, passages(plan, count, tokens));
        std::set<uint32_t> seen;
        for (uint32_t i = 0; i < count; ++i) {
            const auto result = agent.receive(120s);
            if (result.kind != Kind::Result)
                test::fail(__FILE__, __LINE__, std::string(result.text()));
            seen.insert(number<uint32_t>(result, 0));
            CHECK_EQUAL(number<uint32_t>(result, 20), 1U);
            CHECK_EQUAL(number<float>(result, 24), number<float>(result, 24)); // no NaN
        }
        CHECK(agent.receive().kind == Kind::Done);
        CHECK_EQUAL(seen.size(), count);
        std::multiset<int> masks;
        std::istringstream lines(test::read(jobs()));
        for (int mask = 0, tasks = 0; lines >> mask >> tasks;)
            masks.insert(mask);
        return masks;
    }

private:
    [[nodiscard]] std::string jobs() const { return folder_.path("jobs"); }

    [[nodiscard]] std::vector<std::string> with_jobs(std::vector<std::string> variables) const {
        variables.push_back("RKNPU_JOBS=" + jobs());
        return variables;
    }

    test::Folder folder_;
    std::string runtime_;

public:
    Agent agent;
    nlohmann::json hello;
};

/// Whether jobs went to cores of the plan alone, and to the first context's. A busy machine may leave nothing to the others; of an operator
/// that cannot be split, one of several cores takes all.
bool on_cores(const std::multiset<int>& masks, const std::vector<int32_t>& plan) {
    const auto allowed = [&](int mask) {
        return std::ranges::any_of(plan, [&](int cores) { return cores == 0 ? mask == 0 : mask != 0 && (mask & cores) == mask; });
    };
    return std::ranges::all_of(masks, allowed) && std::ranges::any_of(plan, [&](int cores) { return masks.contains(cores); });
}

const std::vector<std::vector<int32_t>> kPlans{{0}, {1}, {7}, {0, 0}, {1, 2, 4}};

TEST(the_vendors_runtime_loads_and_describes_real_files) {
    Board board;
    CHECK(board.hello["runtime"].get<std::string>().starts_with("1.5.2 ("));
    std::cout << "vendor runtime " << board.hello["runtime"].get<std::string>() << '\n';
    for (const auto* const name : {"tiny-fp16", "tiny-int8"}) {
        const auto model = board.load(fixture(name));
        CHECK_EQUAL(model["simulated"], false);
        CHECK(model["sdk_version"].get<std::string>().starts_with("RKNN runtime 1.5.2"));
        CHECK_EQUAL(model["driver"], "0.9.8");
        CHECK_EQUAL(model["inputs"].size(), kInputs);
        CHECK_EQUAL(model["inputs"][0]["name"], "input_ids");
        for (const auto& input : model["inputs"]) {
            CHECK_EQUAL(input["dims"].dump(), "[1,128]");
            CHECK_EQUAL(input["type"], "int64");
        }
        CHECK_EQUAL(model["outputs"][0]["type"], std::string(name) == "tiny-fp16" ? "float16" : "int8");
        CHECK(model["memory"]["weights"] > 1000000 && model["memory"]["internal"] > 100000);
    }
}

TEST(every_core_plan_runs_on_the_vendors_runtime_and_on_its_cores) {
    Board board;
    for (const auto* const name : {"tiny-fp16", "tiny-int8"}) {
        static_cast<void>(board.load(fixture(name)));
        for (const auto& plan : kPlans) {
            const auto masks = board.run(plan, 9);
            CHECK(on_cores(masks, plan));
            CHECK(masks.size() >= 9);
        }
    }
}

TEST(a_thousand_runs_on_three_contexts_keep_the_agent_alive) {
    Board board;
    static_cast<void>(board.load(fixture("tiny-int8")));
    const auto masks = board.run({1, 2, 4}, 1000);
    CHECK(on_cores(masks, {1, 2, 4}));
    CHECK_EQUAL(masks.size() % 1000, 0U); // each passage takes as many jobs
}

TEST(two_models_take_turns_and_contexts_go_with_theirs) {
    Board board;
    for (int round = 0; round < 3; ++round)
        for (const auto* const name : {"tiny-fp16", "tiny-int8"}) {
            static_cast<void>(board.load(fixture(name)));
            for (const auto& plan : {std::vector<int32_t>{1, 2, 4}, std::vector<int32_t>{0}})
                CHECK(!board.run(plan, 2).empty());
        }
}

TEST(the_vendors_table_of_layers_comes_with_profile) {
    Board board;
    const auto model = fixture("tiny-int8");
    static_cast<void>(board.load(model));
    const auto plain = board.run({0}, 1).size();
    board.agent.send(Kind::Profile, "");
    CHECK_EQUAL(board.agent.expect(Kind::Error)["status"], static_cast<int>(RKNNSHIM_UNSUPPORTED));
    static_cast<void>(board.load(model, 1));
    CHECK(board.run({0}, 1).size() > 2 * plain); // each operator is a job of its own
    for (const auto& plan : kPlans)
        CHECK(!board.run(plan, 2).empty());
    board.agent.send(Kind::Profile, "");
    const auto reply = board.agent.receive();
    CHECK(reply.kind == Kind::ProfileReply);
    for (const auto* const column :
         {"OpType", "Target", "DDR Cycles", "RW(KB)", "exSDPAttention", "InputOperator", "Total Operator Elapsed"})
        CHECK(reply.text().find(column) != std::string_view::npos);
}

/// One file for 32, 64 and 128 tokens, by the first of the Pythons that MODELPIPELINE_TOOLKIT_PYTHON lists which can build it.
std::string several_shapes(const test::Folder& folder) {
    const auto path = folder.path("several.rknn");
    const auto log = folder.path("log");
    const auto script = environment("SEVERAL_SHAPES");
    const auto onnx = needed("TINY_RERANKER", "the model to build of");
    std::istringstream pythons(environment("MODELPIPELINE_TOOLKIT_PYTHON"));
    for (std::string python; std::getline(pythons, python, ':');) {
        const pid_t builder = fork();
        if (builder == 0) {
            const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
            dup2(file, STDOUT_FILENO);
            dup2(file, STDERR_FILENO);
            static_cast<void>(chdir(folder.path("").c_str()) == 0);
            execl(python.c_str(), python.c_str(), script.c_str(), onnx.c_str(), path.c_str(), "32", "64", "128", nullptr);
            _exit(127);
        }
        int status = 0;
        CHECK_EQUAL(waitpid(builder, &status, 0), builder);
        if (status == 0)
            return path;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 77)
            test::fail(__FILE__, __LINE__, python + ": " + test::read(log));
    }
    throw test::Skipped{"no Python in MODELPIPELINE_TOOLKIT_PYTHON has rknn-toolkit2 2.5.0, which builds such files"};
}

TEST(a_file_for_several_shapes_runs_at_each_and_shares_its_weights) {
    const test::Folder folder;
    const auto path = several_shapes(folder);
    Board board;
    const auto several = test::read(path);
    for (const auto& plan : kPlans) {
        static_cast<void>(board.load(several)); // no context has a shape
        for (const uint32_t tokens : {64U, 32U, 128U, 32U})
            CHECK(on_cores(board.run(plan, 6, tokens), plan));
        board.agent.send(Kind::Run, passages(plan, 1, 100));
        CHECK(std::string(board.agent.expect(Kind::Error)["message"]).find("pad to one of these shapes") != std::string::npos);
    }
}

TEST(an_older_driver_is_told_and_a_runtime_that_dies_takes_the_agent_with_it) {
    Board old({"RKNPU_VERSION=802"});
    CHECK_EQUAL(old.load(fixture("tiny-fp16"))["driver"], "0.8.2");

    Board board({"RKNPU_FAULT=30 11"});
    static_cast<void>(board.load(fixture("tiny-fp16")));
    board.agent.send(Kind::Run, passages({0}, 50, kTokens));
    CHECK_EQUAL(board.agent.wait(60s), 128 + SIGSEGV);
}

} // namespace
