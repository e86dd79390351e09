#include "fixture.h"

#include <random>

namespace {

int32_t start(const std::string& json) {
    rknnshim_job handle = 0;
    const int32_t status = rknnshim_job_start(json.data(), json.size(), &handle);
    if (status == RKNNSHIM_OK)
        rknnshim_job_free(handle);
    else
        CHECK_EQUAL(handle, 0U);
    return status;
}

void refused(const std::string& json, const std::string& reason) {
    CHECK_EQUAL(start(json), RKNNSHIM_INVALID_ARGUMENT);
    if (!test::error_says(reason))
        test::fail(__FILE__, __LINE__, std::string("'") + rknnshim_last_error() + "' does not say " + reason);
}

TEST(a_job_that_is_malformed_is_refused_at_once) {
    refused("", "'source' is required");
    refused("{", "not JSON");
    refused("[]", "must be a JSON object");
    refused("null", "must be a JSON object");
    refused(R"({"source": "a", "source": "b"})", "'source' is given twice");
    refused(R"({"source": {"a": 1}})", "text or numbers");
    refused(R"({"source": ["a"]})", "text or numbers");
    refused(R"({"source": 1})", "'source' must be text");
    refused(R"({"source": ""})", "'source' is required");
    refused(R"({"source": "a\u0000b"})", "zero byte");
    refused(R"({"source": "a", "artifact": "b", "target": "../x"})", "'target' must be a platform");
    refused(R"({"source": "a", "artifact": "b", "target": "rk3588"})", "'backend' is required");
    refused("{\"source\": \"\xff\"}", "not JSON");
    refused(std::string(2U << 20U, ' '), "at most 1048576");
    refused(std::string(500000, '['), "text or numbers");
    refused(R"({"source": "a", "artifact": "b", "target": "rk3588", "custom_string": ")" + std::string(1024, 'x') + "\"}", "at most 1023");
}

TEST(a_backend_that_cannot_convert_is_refused_and_the_known_ones_are_named) {
    CHECK_EQUAL(start(R"({"source": "a", "artifact": "b", "target": "rk3588", "backend": "onnx"})"), RKNNSHIM_UNSUPPORTED);
    CHECK_EQUAL(start(R"({"source": "a", "artifact": "b", "target": "rk3588", "backend": "nope"})"), RKNNSHIM_UNSUPPORTED);
    CHECK(test::error_says("it has onnx, rknnrt, simulator"));
}

TEST(model_options_are_checked) {
    rknnshim_model model = 0;
    for (const char* options : {R"({"threads": -1})", R"({"threads": 1.5})", R"({"threads": "1"})", R"({"core_mask": 8})",
                                R"({"core_mask": 65536})", R"({"threads": 99999999999999999999})", R"({"cores": 1})", "[]", "x"})
        CHECK_EQUAL(rknnshim_model_load("onnx", "/dev/null", options, &model), RKNNSHIM_INVALID_ARGUMENT);
}

TEST(twenty_thousand_mutated_jobs_end_in_a_status) {
    const test::Folder folder;
    // The source does not exist, so a job that is still well-formed fails by itself.
    const std::string valid = test::job(folder.path("none.onnx"), folder.path("a.sim.onnx"));
    std::minstd_rand random(1);
    for (int i = 0; i < 20000; ++i) {
        std::string json = valid;
        for (unsigned edits = 1 + random() % 4; edits > 0 && !json.empty(); --edits) {
            const size_t at = random() % json.size();
            switch (random() % 4) {
            case 0: json[at] = static_cast<char>(random() & 0xFFU); break;
            case 1: json.erase(at, random() % 8); break;
            case 2: json.insert(at, json.substr(random() % json.size(), random() % 16)); break;
            default: json.resize(at); break;
            }
        }
        const int32_t status = start(json);
        CHECK(status == RKNNSHIM_OK || status == RKNNSHIM_INVALID_ARGUMENT || status == RKNNSHIM_UNSUPPORTED);
    }
    CHECK_EQUAL(folder.files(), 0U);
}

} // namespace
