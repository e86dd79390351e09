#include "layers.h"

#include <array>
#include <iomanip>
#include <sstream>

namespace shim::simulator {

namespace {

/// As the vendor's runtime lays them out; a wider value moves the rest of its line.
constexpr std::array kWidths{5, 17, 9, 7, 45, 23, 15, 15, 15, 15, 15, 39, 15, 15, 15, 0};
using Row = std::array<std::string, kWidths.size()>;

const Row kHeader{"ID",          "OpType",     "DataType",     "Target",   "InputShape",  "OutputShape",
                  "DDR Cycles",  "NPU Cycles", "Total Cycles", "Time(us)", "MacUsage(%)", "WorkLoad(0/1/2)-ImproveTherical",
                  "Task Number", "Lut Number", "RW(KB)",       "FullName"};

void write(std::ostream& out, const Row& row) {
    for (size_t column = 0; column < row.size(); ++column)
        out << std::setw(kWidths.at(column)) << row.at(column)
            << (row.at(column).size() < static_cast<size_t>(kWidths.at(column)) ? "" : " ");
    out << '\n';
}

/// As (1,128),(1,128); a backslash stands for nothing, and for what has no fixed shape.
std::string shapes(const std::vector<Tensor>& tensors) {
    std::string result;
    for (const auto& tensor : tensors) {
        if (!tensor.fixed())
            return "\\";
        auto shape = tensor.shape();
        shape.front() = '(';
        shape.back() = ')';
        result.append(result.empty() ? "" : ",").append(shape);
    }
    return result.empty() ? "\\" : result;
}

} // namespace

std::string layers(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs, int64_t microseconds) {
    std::ostringstream out;
    out << std::left;
    write(out, kHeader);
    int id = 0;
    const auto layer = [&](const std::string& type, const char* element, const std::vector<Tensor>& in, const std::vector<Tensor>& of,
                           int64_t time, const std::string& name) {
        write(out, {std::to_string(++id), type, element, "CPU", shapes(in), shapes(of), "0", "0", "0", std::to_string(time), "\\",
                    "0.0%/0.0%/0.0% - Up:0.0%", "0", "0", "0.00", type + ":" + name});
    };
    for (const auto& input : inputs)
        layer("InputOperator", "INT64", {}, {input}, 0, input.name);
    layer("Simulated", "FLOAT", inputs, outputs, microseconds, "graph");
    for (const auto& output : outputs)
        layer("OutputOperator", "FLOAT", {output}, {}, 0, output.name);
    out << "Total Operator Elapsed Time(us): " << microseconds << "\nTotal Memory RW Amount(MB): 0\n";
    return out.str();
}

} // namespace shim::simulator
