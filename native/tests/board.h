#pragma once

#include "fixture.h"
#include "onnx_bytes.h"

/// The backend rknnrt on the runtime that stands in for the vendor's.
namespace test::board {

inline std::string runtime() {
    const char* const path = std::getenv("RKNNRT_LIBRARY"); // NOLINT(concurrency-mt-unsafe): nothing sets it
    return path == nullptr ? "" : path;
}

inline std::string options(int core_mask = 0) {
    return nlohmann::json{{"rknnrt", runtime()}, {"core_mask", core_mask}}.dump();
}

inline std::string artifact(const Folder& folder, const std::string& onnx, const char* target = "rk3588") {
    auto job = nlohmann::json::parse(test::job(folder.write("m.onnx", onnx), folder.path("a.sim.onnx")));
    job["target"] = target;
    if (convert(job.dump()) != RKNNSHIM_OK)
        fail(__FILE__, __LINE__, rknnshim_last_error());
    return folder.path("a.sim.onnx");
}

/// Loads and closes a model.
struct Board {
    explicit Board(const std::string& path, int core_mask = 0) {
        if (rknnshim_model_load("rknnrt", path.c_str(), options(core_mask).c_str(), &handle) != RKNNSHIM_OK)
            fail(__FILE__, __LINE__, rknnshim_last_error());
    }
    ~Board() { rknnshim_model_close(handle); }
    Board(const Board&) = delete;
    Board& operator=(const Board&) = delete;

    rknnshim_model handle = 0;
};

// NOLINTNEXTLINE(readability-non-const-parameter): the output is written through it
inline int32_t run(rknnshim_model model, const std::vector<int64_t>& ids, float* value, int64_t* microseconds = nullptr) {
    const rknnshim_input input{ids.data(), ids.size()};
    rknnshim_output output{value, 1, 0};
    return rknnshim_model_run(model, &input, 1, &output, 1, microseconds);
}

inline void refused(const std::string& path, const std::string& load_options, int32_t status, const std::string& reason) {
    rknnshim_model handle = 0;
    CHECK_EQUAL(rknnshim_model_load("rknnrt", path.c_str(), load_options.c_str(), &handle), status);
    if (!error_says(reason))
        fail(__FILE__, __LINE__, std::string("'") + rknnshim_last_error() + "' does not say " + reason);
    CHECK_EQUAL(handle, 0U);
}

} // namespace test::board
