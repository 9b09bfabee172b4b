// The README's first example, as two processes: the child consumes what the parent produces.
// Without assert, so that it checks itself in every build.
#include <sys/wait.h>
#include <unistd.h>
#include <assay/assay.hpp>
#include <cstdint>
#include <cstdio>
#include <string>

// clang-format off
// [README]
struct trade {
    std::uint64_t id;
    double price;
};

void produce(const std::string& name) {                   // one process
    assay::posix_shm segment(name, 1 << 20);              // creates it, or attaches
    assay::queue<trade> trades(segment, "trades", 1024);  // the same for what is inside
    if (!trades.enqueue({.id = 1, .price = 101.25})) std::puts("full");
}

double consume(const std::string& name) {                 // another one, started before or after
    assay::posix_shm segment(name, 1 << 20);
    assay::queue<trade> trades(segment, "trades", 1024);
    return trades.wait_dequeue()->price;
}                                                         // the last one to leave removes the segment
// [README]
// clang-format on

int main() {
    const std::string name = "assay_quickstart_" + std::to_string(getpid());
    const assay::posix_shm held(name, 1 << 20);  // the segment outlives the faster of the two
    const pid_t child = fork();
    if (child == 0) {
        const double price = consume(name);
        std::printf("consumed at %.2f by %d\n", price, static_cast<int>(getpid()));
        std::fflush(stdout);
        _exit(price == 101.25 ? 0 : 1);
    }
    produce(name);
    std::printf("produced by %d\n", static_cast<int>(getpid()));
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}
