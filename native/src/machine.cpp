#include "machine.h"

#include "error.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace shim {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFact = 4096; // of /proc and /sys
constexpr size_t kMaxEntries = 256;

std::string trimmed(std::string text) {
    const auto is_space = [](char c) { return c == '\n' || c == ' ' || c == '\0'; };
    while (!text.empty() && is_space(text.back()))
        text.pop_back();
    return text;
}

int64_t number(const std::string& text) {
    int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

/// Names of a folder's entries, sorted; none if it cannot be read.
std::vector<std::string> entries(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end && names.size() < kMaxEntries; it.increment(error))
        names.push_back(it->path().filename().string());
    std::ranges::sort(names);
    return names;
}

} // namespace

Machine::~Machine() {
    if (!governor_before_.empty())
        static_cast<void>(write_governor(governor_before_));
    if (lock_ < 0)
        return;
    note("");
    close(lock_); // which releases it
}

std::string Machine::take(const std::string& lock) {
    if (lock_ >= 0)
        return "";
    // In a sticky folder, opening another user's file with O_CREAT is refused: so first without.
    int file = open(lock.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        file = open(lock.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        file = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file < 0)
        throw Error(RKNNSHIM_IO_ERROR, "the lock file '" + lock + "' on the device cannot be opened; check the permissions of its folder");
    const bool taken = flock(file, LOCK_EX | LOCK_NB) == 0;
    std::array<char, 128> text{};
    const ssize_t length = pread(file, text.data(), text.size() - 1, 0);
    const std::string said(text.data(), length > 0 ? static_cast<size_t>(length) : 0);
    const auto number = said.substr(0, said.find('\n'));
    if (!taken) {
        close(file);
        return "process " + (number.empty() ? "unknown" : number) + " holds " + lock;
    }
    lock_ = file;
    struct stat owner {};
    const bool trusted = fstat(file, &owner) == 0 && (owner.st_uid == 0 || owner.st_uid == geteuid());
    if (const auto owed = said.find('\n');
        trusted && owed != std::string::npos && owed + 1 < said.size() && npu_governor() == "performance")
        static_cast<void>(write_governor(said.substr(owed + 1)));
    note("");
    return "";
}

/// Writes into the lock file who holds it, and the governor that the next holder is to give back should this one be killed.
void Machine::note(const std::string& governor) const {
    if (lock_ < 0)
        return;
    const auto text = std::to_string(getpid()) + (governor.empty() ? "" : "\n" + governor);
    if (ftruncate(lock_, 0) == 0)
        static_cast<void>(pwrite(lock_, text.data(), text.size(), 0) < 0); // it only helps others
}

bool Machine::write_governor(const std::string& name) const {
    std::ofstream file(root_ + npu_folder() + "/governor");
    file << name << std::flush;
    return static_cast<bool>(file);
}

std::string Machine::read(const std::string& path) const {
    std::ifstream file(root_ + path, std::ios::binary);
    std::string text(kMaxFact, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
    return trimmed(text);
}

nlohmann::json Machine::facts() const {
    auto soc = nlohmann::json::array();
    const auto compatible = read("/proc/device-tree/compatible"); // names with zero bytes between them
    for (size_t begin = 0; begin < compatible.size();) {
        const size_t end = std::min(compatible.find('\0', begin), compatible.size());
        soc.push_back(compatible.substr(begin, end - begin));
        begin = end + 1;
    }
    std::string driver;
    for (const char* path : {"/sys/module/rknpu/version", "/proc/rknpu/version", "/sys/kernel/debug/rknpu/version"})
        if (driver.empty())
            driver = read(path);
    constexpr const char* kPlatform =
#if defined(__aarch64__)
        "linux-arm64";
#elif defined(__x86_64__)
        "linux-x64";
#else
#error "an agent for this architecture was never thought of"
#endif
    return {{"platform", kPlatform}, {"soc", soc}, {"driver", driver}, {"cores", std::thread::hardware_concurrency()}};
}

std::string Machine::npu_folder() const {
    const std::string folder = "/sys/class/devfreq";
    const auto names = entries(root_ + folder);
    const auto found = std::ranges::find_if(names, [](const auto& name) { return name.ends_with("npu"); });
    return found == names.end() ? "" : folder + "/" + *found;
}

std::string Machine::npu_governor() const {
    const auto npu = npu_folder();
    return npu.empty() ? "" : read(npu + "/governor");
}

nlohmann::json Machine::status() const {
    const auto npu = npu_folder();
    const auto of_npu = [&](const char* file) { return npu.empty() ? "" : read(npu + file); };
    auto cpu = nlohmann::json::object();
    for (const auto& policy : entries(root_ + "/sys/devices/system/cpu/cpufreq"))
        if (policy.starts_with("policy"))
            cpu[policy] = read("/sys/devices/system/cpu/cpufreq/" + policy + "/scaling_governor");
    auto celsius = nlohmann::json::object();
    for (const auto& zone : entries(root_ + "/sys/class/thermal"))
        if (zone.starts_with("thermal_zone")) {
            const std::string folder = "/sys/class/thermal/" + zone;
            const auto type = read(folder + "/type");
            const auto reading = read(folder + "/temp");
            if (!reading.empty())
                celsius[type.empty() ? zone : type] = static_cast<double>(number(reading)) / 1000;
        }
    return {{"npu_governor", of_npu("/governor")},
            {"npu_hertz", number(of_npu("/cur_freq"))},
            {"npu_max_hertz", number(of_npu("/max_freq"))},
            {"cpu_governors", cpu},
            {"celsius", celsius},
            {"note", ""}};
}

std::string Machine::set_npu_governor(const std::string& name) {
    const auto npu = npu_folder();
    if (npu.empty())
        return "this machine has no NPU under /sys/class/devfreq";
    const auto before = npu_governor();
    if (before == name)
        return "";
    if (governor_before_.empty())
        note(before); // first, so that it is known whenever this process is killed
    if (!write_governor(name)) {
        if (governor_before_.empty())
            note("");
        return "the NPU's governor stays '" + before + "': this user may not write " + root_ + npu +
               "/governor, or the kernel has no governor '" + name + "'";
    }
    if (governor_before_.empty())
        governor_before_ = before;
    return "";
}

} // namespace shim
