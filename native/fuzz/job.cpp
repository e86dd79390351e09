// A job's JSON, up to where the conversion would begin.
#include "job.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        auto request = shim::parse_job({reinterpret_cast<const char*>(data), size});
        (void)request.fields.text("backend");
        (void)request.fields.text("settings", "");
        (void)request.fields.integer("threads", 0, 0, 1024);
        request.fields.finish();
        (void)shim::dump({{"source", request.source}, {"custom_string", request.custom_string}});
    } catch (const shim::Error& e) {
        (void)shim::dump({{"message", e.what()}}); // as it goes to the caller
    }
    return 0;
}
