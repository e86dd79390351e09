#include "fixture.h"

#include <chrono>
#include <thread>

// A shell script stands for the driver: `sh driver 3` runs it with the number of the event pipe, as Python would.

namespace {

using namespace std::chrono_literals;

std::string toolkit_job(const test::Folder& folder, const std::string& script, const nlohmann::json& more = nlohmann::json::object()) {
    nlohmann::json job{{"backend", "rknn-toolkit"},
                       {"source", folder.path("model.onnx")},
                       {"artifact", folder.path("out.rknn")},
                       {"target", "rk3588"},
                       {"custom_string", "made by a test"},
                       {"python", "/bin/sh"},
                       {"driver", folder.write("driver", script + "\nexit 0\n")},
                       {"settings", R"({"precision": "fp16"})"},
                       {"log", folder.path("log")}};
    job.update(more);
    return job.dump();
}

void refused(const std::string& script, int32_t status, const std::string& reason, const nlohmann::json& more = nlohmann::json::object()) {
    const test::Folder folder;
    CHECK_EQUAL(test::convert(toolkit_job(folder, script, more)), status);
    if (!test::error_says(reason))
        test::fail(__FILE__, __LINE__, std::string("'") + rknnshim_last_error() + "' does not say " + reason);
    CHECK_EQUAL(folder.files(), 2U); // the driver and its log
}

TEST(the_driver_gets_the_job_and_its_file_becomes_the_artifact) {
    const test::Folder folder;
    nlohmann::json result;

    CHECK_EQUAL(
        test::convert(
            toolkit_job(folder,
                        R"(cat > artifact.rknn; echo chatter; echo '{"event":"result","artifact":"artifact.rknn","toolkit":"2"}' >&$1)"),
            &result),
        RKNNSHIM_OK);

    const auto job = nlohmann::json::parse(test::read(folder.path("out.rknn")));
    CHECK_EQUAL(job["precision"], "fp16");
    CHECK_EQUAL(job["model"], folder.path("model.onnx"));
    CHECK_EQUAL(job["custom_string"], "made by a test");
    CHECK_EQUAL(result["simulated"], false);
    CHECK_EQUAL(result["toolkit"]["toolkit"], "2");
    CHECK_EQUAL(result["bytes"], test::read(folder.path("out.rknn")).size());
    CHECK_EQUAL(test::read(folder.path("log")), "chatter\n");
    CHECK_EQUAL(folder.files(), 3U);
}

TEST(the_driver_has_an_environment_that_makes_the_same_bytes_twice) {
    const test::Folder folder;
    setenv("PYTHONPATH", "/elsewhere", 1);
    setenv("MALLOC_ARENA_MAX", "7", 1);
    setenv("KEPT_BY_A_TEST", "yes", 1);

    CHECK_EQUAL(
        test::convert(toolkit_job(
            folder,
            R"(env > artifact.rknn; test -d "$TMPDIR" && echo "$TMPDIR"; echo '{"event":"result","artifact":"artifact.rknn"}' >&$1)")),
        RKNNSHIM_OK);

    const auto variables = "\n" + test::read(folder.path("out.rknn"));
    for (const char* const expected : {"MALLOC_PERTURB_=255", "PYTHONHASHSEED=0", "PYTHONNOUSERSITE=1", "KEPT_BY_A_TEST=yes"})
        CHECK(variables.find(std::string("\n") + expected + "\n") != std::string::npos);
    for (const char* const foreign : {"PYTHONPATH", "MALLOC_ARENA_MAX"})
        CHECK(variables.find(foreign) == std::string::npos);
    CHECK(test::read(folder.path("log")).starts_with(folder.path("out.rknn."))); // inside the scratch folder
    unsetenv("PYTHONPATH");
    unsetenv("MALLOC_ARENA_MAX");
    unsetenv("KEPT_BY_A_TEST");
}

TEST(progress_bars_and_stages_become_events) {
    const test::Folder folder;
    const auto json =
        toolkit_job(folder, R"(echo '{"event":"stage","stage":"build"}' >&$1; echo '{"event":"progress","done":3,"total":9}' >&$1; )"
                            "printf '\\rI Quantizating :   9%%|##  | 7/81 [00:00<00:01]\\rI Odd : | x/y [\\n';"
                            R"(echo 'I rknn building done.'; echo '{"event":"result"}' >&$1)");
    rknnshim_job job = 0;
    CHECK_EQUAL(rknnshim_job_start(json.data(), json.size(), &job), RKNNSHIM_OK);
    std::string seen;
    for (const auto& event : test::finish(job))
        if (event["event"] == "progress")
            seen += event["activity"].get<std::string>() + " " + event["done"].dump() + "/" + event["total"].dump() + ";";
    CHECK(seen.find("Quantizating 7/81;") != std::string::npos);
    CHECK(seen.find("building 1/1;") != std::string::npos);
    CHECK(seen.find("build 0/1;") != std::string::npos);
    CHECK(seen.find("build 3/9;") != std::string::npos);
    CHECK(seen.find("Odd") == std::string::npos);
    CHECK_EQUAL(rknnshim_job_free(job), RKNNSHIM_OK);
}

TEST(every_end_of_a_driver_without_a_result_is_told) {
    refused("exit 0", RKNNSHIM_RUNTIME_ERROR, "start: ended without a result");
    refused("exit 7", RKNNSHIM_RUNTIME_ERROR, "start: ended with exit code 7");
    refused("kill -9 $$", RKNNSHIM_RUNTIME_ERROR, "start: ended by signal 9 (Killed)");
    refused(R"(echo '{"event":"error","stage":"build","message":"no"}' >&$1; exit 1)", RKNNSHIM_RUNTIME_ERROR, "build: no");
    refused(R"(echo '{"event":"result","artifact":"artifact.rknn"}' >&$1)", RKNNSHIM_IO_ERROR, "cannot be moved");
}

TEST(whatever_else_comes_over_the_event_pipe_ends_the_job) {
    for (const char* const garbage : {"nonsense", "[]", "{}", "7", R"({"event":7})", R"({"event":"other"})", R"({"event":"stage"})",
                                      R"({"event":"error","stage":"x"})", R"({"event":"progress","done":-1,"total":2})", ""})
        refused("echo '" + std::string(garbage) + "' >&$1; sleep 60", RKNNSHIM_RUNTIME_ERROR, "on the driver's pipe");
    refused("while :; do printf xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done >&$1",
            RKNNSHIM_RUNTIME_ERROR, "more than 8388608 bytes");
}

TEST(limits_and_malformed_jobs_are_refused) {
    refused("sleep 60 & sleep 60", RKNNSHIM_RUNTIME_ERROR, "start: the time limit of 1 s was reached", {{"max_seconds", 1}});
    const test::Folder folder;
    const auto refuses = [&](const nlohmann::json& more, int32_t status) {
        CHECK_EQUAL(test::convert(toolkit_job(folder, "exit 0", more)), status);
    };
    refuses({{"settings", "[1]"}}, RKNNSHIM_INVALID_ARGUMENT);
    refuses({{"settings", "{"}}, RKNNSHIM_INVALID_ARGUMENT);
    refuses({{"python", "/nowhere/python"}}, RKNNSHIM_NOT_FOUND);
    refuses({{"max_seconds", 0}}, RKNNSHIM_INVALID_ARGUMENT);
    refuses({{"surprise", 1}}, RKNNSHIM_INVALID_ARGUMENT);
    refuses({{"log", folder.path("no/such/folder/log")}}, RKNNSHIM_IO_ERROR);
}

TEST(cancelling_ends_the_whole_group) {
    const test::Folder folder;
    const auto json = toolkit_job(folder, "trap '' TERM; sleep 61 & echo $! > " + folder.path("pid") + ".new; mv " + folder.path("pid") +
                                              ".new " + folder.path("pid") + "; while :; do sleep 1; done");
    rknnshim_job job = 0;
    CHECK_EQUAL(rknnshim_job_start(json.data(), json.size(), &job), RKNNSHIM_OK);
    while (!std::filesystem::exists(folder.path("pid")))
        std::this_thread::sleep_for(10ms);
    const auto pid = std::stoi(test::read(folder.path("pid")));
    const auto begin = std::chrono::steady_clock::now();
    CHECK_EQUAL(rknnshim_job_cancel(job), RKNNSHIM_OK);
    CHECK_EQUAL(test::finish(job).back()["status"], RKNNSHIM_CANCELLED);
    CHECK(std::chrono::steady_clock::now() - begin < 20s); // of the minute that it would run
    const auto alive = [&] {
        const auto stat = test::read("/proc/" + std::to_string(pid) + "/stat");
        return !stat.empty() && stat.find(") Z") == std::string::npos && stat.find(") X") == std::string::npos;
    };
    for (int i = 0; i < 3000 && alive(); ++i) // it was killed, and is to notice
        std::this_thread::sleep_for(10ms);
    CHECK(!alive());
    CHECK_EQUAL(folder.files(), 3U);
    CHECK_EQUAL(rknnshim_job_free(job), RKNNSHIM_OK);
}

} // namespace
