// What every consumer builds: two translation units that use the library, and nothing else of it.
#include <unistd.h>
#include <assay/assay.hpp>
#include <cstdio>
#include <string>

std::string name_of_segment();

int main() {
    assay::posix_shm segment(name_of_segment() + std::to_string(getpid()), 1 << 20);
    std::printf("attached: %u\n", segment.get_ref_count());
    return segment.get_ref_count() == 1 ? 0 : 1;
}
