#pragma once

#include "error.h"
#include "fields.h"

#include <nlohmann/json.hpp>

#include <memory>
#include <span>
#include <stop_token>
#include <string>

namespace shim {

/// Where a conversion job reports to and learns that it was cancelled.
class JobContext {
public:
    virtual ~JobContext() = default;
    virtual void progress(const char* activity, int64_t done, int64_t total) = 0;
    virtual void log(const char* level, const std::string& message) = 0;
    [[nodiscard]] virtual std::stop_token stop_token() const = 0;

    void throw_if_cancelled() const {
        if (stop_token().stop_requested())
            throw Error(RKNNSHIM_CANCELLED, "the job was cancelled");
    }
};

/// What a job is asked; backend-specific keys are still in `fields`.
struct ConversionRequest {
    std::string source;
    std::string artifact;
    std::string target;
    std::string custom_string;
    Fields fields;
};

inline constexpr int kMaxBatch = 256;

struct ModelOptions {
    int threads = 0;
    int core_mask = 0;
    int batch = 1; ///< of inputs that leave it open
    bool profile = false;
    std::string onnxruntime;
    std::string rknnrt;
};

/// A loaded model. The caller serializes `run`; `cancel` comes from any thread.
class Model {
public:
    virtual ~Model() = default;

    /// As rknnshim_model_describe says, without "backend".
    [[nodiscard]] virtual nlohmann::json describe() const = 0;

    /// Returns microseconds. Counts are checked against the model here.
    virtual int64_t run(std::span<const rknnshim_input> inputs, std::span<rknnshim_output> outputs) = 0;
    virtual void cancel() = 0;

    /// A second context of the same weights, to be run beside this one. Not called during a run.
    [[nodiscard]] virtual std::unique_ptr<Model> duplicate(int core_mask) const = 0;

    /// The runtime's table of layers of the last run.
    [[nodiscard]] virtual std::string profile() const = 0;
};

/// Throws unless it is 0 (automatic), 1 to 7 (bits of three cores) or 65535 (all).
void check_core_mask(int64_t mask);

/// What a backend can do; null for what it cannot. registry.h has them all.
struct Backend {
    const char* name;
    std::unique_ptr<Model> (*load)(const std::string& path, const ModelOptions& options);
    nlohmann::json (*convert)(ConversionRequest& request, JobContext& context);
};

} // namespace shim
