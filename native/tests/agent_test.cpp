// The agent's parts in this process.
#include "agent/message.h"
#include "agent/session.h"
#include "agent/sha256.h"
#include "fixture.h"
#include "machine.h"
#include "onnx_bytes.h"
#include "rknnrt/installed.h"

#include <random>

namespace {

using namespace agent;
using shim::Machine;
using shim::rknnrt::installed;

std::span<const std::byte> bytes(const std::string& text) {
    return std::as_bytes(std::span(text));
}

std::string framed(Kind kind, const std::string& payload) {
    const auto length = static_cast<uint32_t>(payload.size() + 1);
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + static_cast<char>(kind) + payload;
}

std::string run_request(const std::vector<int32_t>& masks, uint32_t passages, uint32_t inputs, uint32_t elements, size_t values) {
    Writer writer;
    writer.put(static_cast<uint32_t>(masks.size()));
    for (const auto mask : masks)
        writer.put(mask);
    writer.put(passages).put(inputs).put(elements);
    for (size_t i = 0; i < values; ++i)
        writer.put(static_cast<int32_t>(i));
    return {reinterpret_cast<const char*>(writer.bytes().data()), writer.bytes().size()};
}

TEST(sha256_gives_the_standards_examples_however_the_bytes_come) {
    const auto of = [](const std::string& text, size_t piece) {
        Sha256 hash;
        for (size_t at = 0; at < text.size(); at += piece)
            hash.update(bytes(text.substr(at, piece)));
        return hash.finish();
    };
    CHECK_EQUAL(of("", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK_EQUAL(of("abc", 1), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const std::string million(1000000, 'a');
    for (const size_t piece : {1000000U, 63U, 64U, 65U, 7U})
        CHECK_EQUAL(of(million, piece), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    for (const size_t length : {55U, 56U, 57U, 63U, 64U, 119U, 120U})
        CHECK_EQUAL(of(std::string(length, 'x'), length), of(std::string(length, 'x'), 1));
}

TEST(messages_are_cut_from_a_stream_wherever_it_breaks) {
    const auto stream = framed(Kind::Hello, "{}") + framed(Kind::Status, "") + framed(Kind::Chunk, std::string(1000, 'c'));
    for (const size_t piece : {1U, 2U, 3U, 5U, 6U, 7U, 100U, 2000U}) {
        MessageReader reader;
        std::vector<Message> messages;
        for (size_t at = 0; at < stream.size(); at += piece) {
            reader.feed(bytes(stream.substr(at, piece)));
            while (auto message = reader.next())
                messages.push_back(std::move(*message));
        }
        CHECK_EQUAL(messages.size(), 3U);
        CHECK(messages[0].kind == Kind::Hello && messages[0].text() == "{}");
        CHECK(messages[1].kind == Kind::Status && messages[1].payload.empty());
        CHECK_EQUAL(messages[2].payload.size(), 1000U);
    }
}

TEST(a_length_out_of_bounds_is_refused_before_its_bytes_come) {
    for (const uint32_t length : {0U, static_cast<uint32_t>(kMaxMessage) + 1, UINT32_MAX}) {
        MessageReader reader;
        reader.feed(std::as_bytes(std::span(&length, 1)));
        bool refused = false;
        try {
            static_cast<void>(reader.next());
        } catch (const shim::Error&) {
            refused = true;
        }
        CHECK(refused);
    }
}

TEST(a_batch_must_hold_what_it_announces) {
    const auto request = parse_run(bytes(run_request({1, 2, 4}, 2, 3, 4, 24)));
    CHECK_EQUAL(request.core_masks.size(), 3U);
    CHECK_EQUAL(request.values.size(), 24U);
    CHECK_EQUAL(request.values[23], 23);
    const auto refused = [](const std::string& payload) {
        try {
            static_cast<void>(parse_run(bytes(payload)));
        } catch (const shim::Error& e) {
            return e.status() == RKNNSHIM_INVALID_ARGUMENT;
        }
        return false;
    };
    CHECK(refused(run_request({1}, 2, 3, 4, 23)));
    CHECK(refused(run_request({1}, 2, 3, 4, 25)));
    CHECK(refused(run_request({}, 2, 3, 4, 24)));
    CHECK(refused(run_request(std::vector<int32_t>(17), 2, 3, 4, 24)));
    CHECK(refused(run_request({1}, 0, 3, 4, 0)));
    CHECK(refused(run_request({1}, UINT32_MAX, 1, 1, 1)));
    CHECK(refused(run_request({1}, 65536, 64, 1U << 22U, 1)));
    const auto whole = run_request({1, 2}, 2, 3, 4, 24);
    for (size_t cut = 0; cut < whole.size(); ++cut)
        CHECK(refused(whole.substr(0, cut)));
}

TEST(a_machine_tells_what_it_is_and_how_it_feels) {
    const test::Folder root;
    const auto write = [&](const std::string& path, const std::string& text) {
        std::filesystem::create_directories(std::filesystem::path(root.path(path)).parent_path());
        static_cast<void>(root.write(path, text));
    };
    write("proc/device-tree/compatible", std::string("radxa,rock-5b\0rockchip,rk3588\0", 30));
    write("sys/kernel/debug/rknpu/version", "RKNPU driver: v0.9.8\n");
    write("sys/class/devfreq/fdab0000.npu/governor", "rknpu_ondemand\n");
    write("sys/class/devfreq/fdab0000.npu/cur_freq", "300000000\n");
    write("sys/class/devfreq/fdab0000.npu/max_freq", "1000000000\n");
    write("sys/class/thermal/thermal_zone6/type", "npu-thermal\n");
    write("sys/class/thermal/thermal_zone6/temp", "46230\n");
    write("sys/devices/system/cpu/cpufreq/policy4/scaling_governor", "ondemand\n");
    {
        Machine machine(root.path(""));
        CHECK_EQUAL(machine.facts()["soc"].dump(), R"(["radxa,rock-5b","rockchip,rk3588"])");
        CHECK_EQUAL(machine.facts()["driver"], "RKNPU driver: v0.9.8");
        const auto status = machine.status();
        CHECK_EQUAL(status["npu_governor"], "rknpu_ondemand");
        CHECK_EQUAL(status["npu_hertz"], 300000000);
        CHECK_EQUAL(status["celsius"].dump(), R"({"npu-thermal":46.23})");
        CHECK_EQUAL(status["cpu_governors"].dump(), R"({"policy4":"ondemand"})");
        CHECK_EQUAL(machine.set_npu_governor("performance"), "");
        CHECK_EQUAL(machine.status()["npu_governor"], "performance");
    }
    CHECK_EQUAL(test::read(root.path("sys/class/devfreq/fdab0000.npu/governor")), "rknpu_ondemand"); // given back
    // What a killed holder changed, the next one gives back, unless somebody chose another governor meanwhile.
    const auto lock = root.write("lock", "123\nrknpu_ondemand");
    for (const char* const now : {"performance", "powersave"}) {
        write("sys/class/devfreq/fdab0000.npu/governor", now);
        static_cast<void>(root.write("lock", "123\nrknpu_ondemand"));
        Machine next(root.path(""));
        CHECK_EQUAL(next.take(lock), "");
        CHECK_EQUAL(next.status()["npu_governor"], std::string(now) == "performance" ? "rknpu_ondemand" : now);
        CHECK_EQUAL(test::read(lock), std::to_string(getpid()));
        CHECK_EQUAL(next.set_npu_governor("userspace"), "");
        CHECK(test::read(lock).find('\n') != std::string::npos);
        Machine other(root.path(""));
        CHECK(other.take(lock).starts_with("process " + std::to_string(getpid()) + " holds"));
    }
    CHECK_EQUAL(test::read(lock), std::to_string(getpid()));
    const test::Folder empty;
    Machine bare(empty.path(""));
    CHECK_EQUAL(bare.facts()["soc"].dump(), "[]");
    CHECK_EQUAL(bare.status()["npu_governor"], "");
    CHECK(bare.set_npu_governor("performance").find("no NPU") != std::string::npos);
}

TEST(an_installed_runtime_tells_its_version_without_being_loaded) {
    const test::Folder root;
    const auto library = root.write("librknnrt.so", std::string("..\0librknnrt version: 2.3.2 (429f97ae6b)\0..", 43));
    CHECK_EQUAL(installed(library).version, "2.3.2 (429f97ae6b)");
    CHECK_EQUAL(installed(root.path("none")).version, "");
    CHECK_EQUAL(installed(root.write("other.so", "no runtime")).version, "");
    setenv("LD_LIBRARY_PATH", ("/nowhere:" + root.path("")).c_str(), 1); // NOLINT(concurrency-mt-unsafe): this process has one thread now
    CHECK_EQUAL(installed("").version, "2.3.2 (429f97ae6b)");
    unsetenv("LD_LIBRARY_PATH"); // NOLINT(concurrency-mt-unsafe)
}

TEST(twenty_thousand_mutated_messages_are_answered_or_end_the_stream) {
    const test::Folder folder;
    size_t answers = 0;
    Session session(folder.path("cache"), folder.path("lock"), folder.path(""), [&](Kind, std::span<const std::byte>) { ++answers; });
    const std::string zeros(64, '0');
    const std::vector<std::string> valid{framed(Kind::Hello, R"({"protocol": 1})"),
                                         framed(Kind::Status, ""),
                                         framed(Kind::Load, R"({"backend": "onnx", "extension": ".onnx", "sha256": ")" + zeros + "\"}"),
                                         framed(Kind::Store, R"({"bytes": 100, "extension": ".onnx", "sha256": ")" + zeros + "\"}") +
                                             framed(Kind::Chunk, std::string(100, 'x')),
                                         framed(Kind::Run, run_request({1, 2}, 2, 3, 4, 24)),
                                         framed(Kind::Governor, R"({"npu": "none"})")};
    std::minstd_rand random(1);
    for (int i = 0; i < 20000; ++i) {
        std::string stream = valid[random() % valid.size()];
        for (unsigned edits = random() % 4; edits > 0 && !stream.empty(); --edits) {
            const size_t at = random() % stream.size();
            switch (random() % 3) {
            case 0: stream[at] = static_cast<char>(random() & 0xFFU); break;
            case 1: stream.erase(at, random() % 8); break;
            default: stream.insert(at, stream.substr(random() % stream.size(), random() % 16)); break;
            }
        }
        MessageReader reader;
        reader.feed(bytes(stream));
        try {
            while (const auto message = reader.next())
                session.handle(*message);
        } catch (const shim::Error& e) {
            CHECK_EQUAL(e.status(), RKNNSHIM_INVALID_ARGUMENT);
        }
    }
    CHECK(answers > 10000);
    CHECK_EQUAL(std::distance(std::filesystem::directory_iterator(folder.path("cache")), {}), 0);
}

} // namespace
