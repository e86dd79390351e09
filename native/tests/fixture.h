#pragma once

#include "check.h"
#include "rknnshim.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

namespace test {

/// A folder of its own for one test, deleted afterwards.
class Folder {
public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "rknnshim-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr)
            throw std::runtime_error("no temporary folder");
        path_ = name;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    [[nodiscard]] std::string path(const std::string& name) const { return (path_ / name).string(); }

    [[nodiscard]] std::string write(const std::string& name, const std::string& bytes) const {
        std::ofstream(path(name), std::ios::binary) << bytes;
        return path(name);
    }

    [[nodiscard]] size_t files() const {
        return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
    }

private:
    std::filesystem::path path_;
};

inline std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// libonnxruntime.so, from the environment that CTest sets.
inline std::string onnxruntime() {
    const char* const path = std::getenv("ONNXRUNTIME_LIBRARY"); // NOLINT(concurrency-mt-unsafe): nothing sets it
    return path == nullptr ? "" : path;
}

inline std::string options() {
    return nlohmann::json{{"onnxruntime", onnxruntime()}, {"threads", 1}}.dump();
}

/// Loads and closes a model.
class Model {
public:
    Model(const char* backend, const std::string& path) {
        if (rknnshim_model_load(backend, path.c_str(), options().c_str(), &handle) != RKNNSHIM_OK)
            throw std::runtime_error(rknnshim_last_error());
    }
    ~Model() { rknnshim_model_close(handle); }
    Model(const Model&) = delete;
    Model& operator=(const Model&) = delete;

    rknnshim_model handle = 0;
};

using TextSource = std::function<int32_t(char*, size_t, size_t*)>;

/// Text of any length; the failing status otherwise.
inline std::string text(const TextSource& source, int32_t* status = nullptr) {
    std::string buffer(64, '\0');
    size_t length = 0;
    int32_t result = source(buffer.data(), buffer.size(), &length);
    if (result == RKNNSHIM_BUFFER_TOO_SMALL) {
        buffer.resize(length + 1);
        result = source(buffer.data(), buffer.size(), &length);
    }
    if (status != nullptr)
        *status = result;
    buffer.resize(result == RKNNSHIM_OK ? length : 0);
    return buffer;
}

inline nlohmann::json describe(rknnshim_model model) {
    return nlohmann::json::parse(text([&](char* b, size_t c, size_t* l) { return rknnshim_model_describe(model, b, c, l); }));
}

inline std::string job(const std::string& source, const std::string& artifact) {
    return nlohmann::json{{"backend", "simulator"},
                          {"source", source},
                          {"artifact", artifact},
                          {"target", "rk3588"},
                          {"custom_string", "made by a test"},
                          {"onnxruntime", onnxruntime()},
                          {"threads", 1}}
        .dump();
}

/// Polls to the end and returns all events.
inline std::vector<nlohmann::json> finish(rknnshim_job job) {
    std::vector<nlohmann::json> events;
    for (int32_t status = RKNNSHIM_OK; status != RKNNSHIM_END;) {
        const auto event = text([&](char* b, size_t c, size_t* l) { return rknnshim_job_poll(job, 1000, b, c, l); }, &status);
        if (status == RKNNSHIM_OK)
            events.push_back(nlohmann::json::parse(event));
        else
            CHECK(status == RKNNSHIM_PENDING || status == RKNNSHIM_END);
    }
    return events;
}

/// Runs a conversion to its end and returns its status; the error is then rknnshim_last_error().
inline int32_t convert(const std::string& json, nlohmann::json* result = nullptr) {
    rknnshim_job handle = 0;
    if (const int32_t status = rknnshim_job_start(json.data(), json.size(), &handle); status != RKNNSHIM_OK)
        return status;
    finish(handle);
    int32_t status = RKNNSHIM_OK;
    const auto outcome = text([&](char* b, size_t c, size_t* l) { return rknnshim_job_result(handle, b, c, l); }, &status);
    const std::string error = rknnshim_last_error();
    if (status == RKNNSHIM_OK && result != nullptr)
        *result = nlohmann::json::parse(outcome);
    CHECK_EQUAL(rknnshim_job_free(handle), RKNNSHIM_OK);
    CHECK_EQUAL(error, rknnshim_last_error()); // a success leaves the error text alone
    return status;
}

inline bool error_says(const std::string& part) {
    return std::string(rknnshim_last_error()).find(part) != std::string::npos;
}

} // namespace test
