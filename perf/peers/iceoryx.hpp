// iceoryx.hpp -- iceoryx 2 (libiceoryx-posh-dev) with its daemon RouDi: one publisher, one subscriber.
//
// It is no queue: several subscribers each get everything, a process is one that sends or one that
// receives and connects as such, and a full subscriber makes publish() wait or lose. So it stands
// beside queues only where one sends and one receives: where one message is under way at a time
// (ping and pong), and in throughput under a name which says that its put waits.
//
// Whoever includes this needs none of iceoryx's headers: they are in iceoryx.cpp, which is compiled
// beside everything else.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "perf/contender.hpp"

namespace iox::popo {
class UntypedPublisher;
class UntypedSubscriber;
}  // namespace iox::popo

namespace assay_perf::peers {

// Its subscribers hold no more than this (MAX_SUBSCRIBER_QUEUE_CAPACITY of Debian's build).
inline constexpr std::size_t iceoryx_places = 256;

// RouDi runs while a service is open, in a process of ours. Throws when it does not start: why.
void open_iceoryx_service(void* memory);
void close_iceoryx_service(void* memory) noexcept;
// The process in which RouDi runs; 0: none does.
[[nodiscard]] int iceoryx_daemon() noexcept;

// What a process holds of a service.
class iceoryx_end {
public:
    iceoryx_end(void* memory, std::size_t places, role what);
    ~iceoryx_end();
    iceoryx_end(const iceoryx_end&) = delete;
    iceoryx_end& operator=(const iceoryx_end&) = delete;

    void connect();  // when both ends have been made; waits for the other one
    bool put(const void* from, std::size_t bytes);
    bool take(void* to, std::size_t bytes);

private:
    std::unique_ptr<iox::popo::UntypedPublisher> publisher_;
    std::unique_ptr<iox::popo::UntypedSubscriber> subscriber_;
};

template <class T>
struct iceoryx {
    static constexpr std::string_view name = "iceoryx";
    static constexpr unsigned producers = 1, consumers = 1;

    static std::size_t bytes(std::size_t) { return sizeof(std::uint64_t); }
    static void format(void* memory, std::size_t) { open_iceoryx_service(memory); }
    static void dispose(void* memory, std::size_t) { close_iceoryx_service(memory); }

    struct user : iceoryx_end {
        user(void* memory, std::size_t capacity, role what)
            : iceoryx_end(memory, std::min(capacity, iceoryx_places), what) {}
        bool put(const T& value) { return iceoryx_end::put(&value, sizeof value); }
        bool take(T& value) { return iceoryx_end::take(&value, sizeof value); }
    };
};

template <class T>
struct waiting_iceoryx : iceoryx<T> {
    static constexpr std::string_view name = "iceoryx (256 places, put waits)";
};

}  // namespace assay_perf::peers
