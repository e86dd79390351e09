#pragma once

#include "backend.h"
#include "ort.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace shim::simulator {

enum class Optimization {
    Full,             ///< ONNX Runtime's default: QDQ patterns become integer kernels
    QuantizeAsWritten ///< every QuantizeLinear and DequantizeLinear is computed as such
};

struct Tensor {
    std::string name;
    std::vector<int64_t> dims; ///< -1: not fixed

    [[nodiscard]] bool fixed() const;
    [[nodiscard]] uint64_t count() const; ///< elements, when fixed
    [[nodiscard]] std::string shape() const;

    /// With `count` elements, if it can have so many: of the dimensions that are not fixed, the first becomes `batch`, the last what is
    /// left, and others 1.
    /// The only one becomes what is left.
    [[nodiscard]] Tensor resolved(uint64_t count, int64_t batch = 1) const;
};

/// An ONNX model in ONNX Runtime: int64 inputs, float32 outputs.
class Session {
public:
    struct Settings {
        std::string name; ///< in messages
        Optimization optimization = Optimization::Full;
        int threads = 0;
        int batch = 1; ///< of inputs whose first dimension is not fixed
    };

    static Session from_file(const ort::Runtime& runtime, const std::string& path, const Settings& settings);
    /// A stop request ends loading as RKNNSHIM_CANCELLED.
    static Session from_bytes(const ort::Runtime& runtime, std::span<const std::byte> bytes, const Settings& settings,
                              const std::stop_token& stop);

    [[nodiscard]] const std::vector<Tensor>& inputs() const { return inputs_; }
    [[nodiscard]] const std::vector<Tensor>& outputs() const { return outputs_; }
    [[nodiscard]] std::optional<std::string> metadata(const char* key) const;
    [[nodiscard]] const ort::Runtime& runtime() const { return *runtime_; }
    [[nodiscard]] const std::string& name() const { return settings_.name; }

    /// Returns microseconds. A run that `options` terminated fails like any other: its caller knows.
    int64_t run(OrtRunOptions* options, std::span<const rknnshim_input> inputs, std::span<rknnshim_output> outputs) const;

private:
    /// Names and values of one run's inputs or outputs, as ONNX Runtime wants them.
    struct Bound {
        explicit Bound(size_t count) : names(count), raw(count), values(count) {}
        void set(size_t index, const Tensor& tensor, ort::Value value);
        /// Takes over what ONNX Runtime put into `raw`.
        void adopt();

        std::vector<const char*> names;
        std::vector<OrtValue*> raw;
        std::vector<ort::Value> values;
    };

    Session(const ort::Runtime& runtime, Settings settings, ort::Session session);

    [[nodiscard]] std::vector<Tensor> read(bool inputs) const;
    [[nodiscard]] Bound bind(std::span<const rknnshim_input> inputs) const;
    [[nodiscard]] Bound bind(std::span<rknnshim_output> outputs) const;
    [[nodiscard]] std::vector<int64_t> resolve(const Tensor& tensor, const rknnshim_input& input) const;
    [[nodiscard]] ort::Value wrap(void* data, uint64_t bytes, std::span<const int64_t> dims, ONNXTensorElementDataType type) const;
    void require_room(std::span<const rknnshim_output> outputs) const;
    [[nodiscard]] uint64_t element_count(const OrtValue* value) const;
    [[nodiscard]] const void* elements(OrtValue* value) const;

    const ort::Runtime* runtime_;
    Settings settings_;
    ort::Session session_;
    std::vector<Tensor> inputs_;
    std::vector<Tensor> outputs_;
};

/// As rknnshim_model_describe says.
[[nodiscard]] nlohmann::json to_json(const std::vector<Tensor>& tensors, const char* type);

} // namespace shim::simulator
