// iceoryx.cpp -- RouDi in a process of ours, and the two ends of a service; see iceoryx.hpp.
//
// RouDi is embedded (libiceoryx_posh_roudi): so its memory is small, it tells us when it is ready,
// and the process that runs it also removes the files that the ends leave in /tmp when they are
// killed. It is a child of the measuring process, gets SIGTERM when that one dies in whatever way,
// and then ends in order. There is one RouDi on a host; another one's is left alone, and ours then
// does not start.
#include "perf/peers/iceoryx.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/iceoryx_posh_config.hpp>
#include <iceoryx_posh/internal/roudi/roudi.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/roudi/iceoryx_roudi_components.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include <stdexcept>
#include <string>
#include <utility>

#include "perf/peers/arena.hpp"

namespace assay_perf::peers {
namespace {

constexpr int start_ms = 10'000, end_ms = 10'000, connect_ms = 10'000;  // that we wait at most
constexpr const char* folder = iox::platform::IOX_UDS_SOCKET_PATH_PREFIX;
constexpr char ready = '\0';        // it says when it is
constexpr unsigned largest = 1024;  // element

std::string group() { return iox::posix::PosixGroup::getGroupOfCurrentProcess().getName().c_str(); }

void sleep_ms(long ms) {
    const timespec t{0, ms * 1'000'000};
    ::nanosleep(&t, nullptr);
}

// The processes of one measuring process are called so, with the number of their own behind it; and
// so are their sockets and locks.
const std::string ends_are_called = "assay-perf-";

// Those of this measuring process, and of those that were killed together with their RouDi.
void remove_files_of_ends(pid_t measuring) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with(ends_are_called)) continue;
        const pid_t whose = std::atoi(name.c_str() + ends_are_called.size());
        if (whose == measuring || (whose > 0 && ::kill(whose, 0) != 0 && errno == ESRCH))
            std::filesystem::remove(entry.path(), ignored);
    }
}

// What is left when RouDi did not end in order; nothing if one runs, which has locked a file then.
void remove_all_files(pid_t measuring) {
    const std::string lock = std::string(folder) + iox::roudi::ROUDI_LOCK_NAME + ".lock";
    const std::string socket = std::string(folder) + iox::roudi::IPC_CHANNEL_ROUDI_NAME;
    const int fd = ::open(lock.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
        ::shm_unlink(iox::roudi::SHM_NAME);
        ::shm_unlink(group().c_str());
        for (const auto& file : {socket, socket + ".lock", lock}) ::unlink(file.c_str());
        remove_files_of_ends(measuring);
    }
    ::close(fd);
}

void silence() {
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(nowhere, STDERR_FILENO);
    ::close(nowhere);
}

// What iceoryx would say, and end the process by abort(), becomes the reason why there is no number.
void end_by(void (*how)(const char*)) {
    static void (*say)(const char*) = how;
    say = how;
    iox::log::LogManager::GetLogManager().SetDefaultLogLevel(
        iox::log::LogLevel::kOff, iox::log::LogLevelOutput::kHideLogLevel);
    // Temporary is as long as the object, which is never destroyed.
    new auto(iox::ErrorHandler::setTemporaryErrorHandler(
        [](iox::Error error, const std::function<void()>&, iox::ErrorLevel level) {
            if (level != iox::ErrorLevel::MODERATE)
                say((std::string("iceoryx: ") + iox::ErrorHandler::toString(error)).c_str());
        }));
    std::set_terminate([] { say("iceoryx: ended the process"); });
}

bool contains(const std::string& text, const char* part) { return text.find(part) != text.npos; }

// --- RouDi -------------------------------------------------------------------------------------

// Memory for the elements of one service in each direction, and a few more.
iox::RouDiConfig_t small_memory() {
    iox::mepoo::MePooConfig pools;
    constexpr unsigned count = 3 * iceoryx_places;
    pools.addMemPool({64, count});
    pools.addMemPool({largest, count});
    iox::RouDiConfig_t config;
    const iox::posix::PosixGroup::string_t owner(iox::cxx::TruncateToCapacity, group());
    config.m_sharedMemorySegments.push_back({owner, owner, pools});
    return config;
}

// Runs RouDi until the measuring process says that it is over, or has died.
[[noreturn]] void serve(pid_t measuring, int tell) {
    sigset_t all, over;
    ::sigfillset(&all);
    for (const int s : {SIGBUS, SIGSEGV, SIGABRT, SIGILL, SIGFPE}) ::sigdelset(&all, s);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);  // in its threads as well; Ctrl-C means the other one
    ::sigemptyset(&over);
    ::sigaddset(&over, SIGTERM);
    ::prctl(PR_SET_NAME, "assay-roudi");
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != measuring) ::_exit(0);
    // What it says until it is ready is read by the measuring process.
    ::dup2(tell, STDOUT_FILENO);
    ::dup2(tell, STDERR_FILENO);
    end_by([](const char* why) {
        static_cast<void>(!::write(STDERR_FILENO, why, std::strlen(why)));
        ::_exit(1);
    });
    {
        const auto parts = std::make_unique<iox::roudi::IceOryxRouDiComponents>(small_memory());
        const iox::roudi::RouDi roudi(
            parts->rouDiMemoryManager, parts->portManager,
            iox::roudi::RouDi::RoudiStartupParameters{iox::roudi::MonitoringMode::OFF, false});
        static_cast<void>(!::write(STDERR_FILENO, &ready, 1));
        silence();
        ::close(tell);
        int which = 0;
        ::sigwait(&over, &which);
    }
    remove_files_of_ends(measuring);
    ::_exit(0);
}

class daemon {
public:
    // Another measuring process may have one for a moment.
    daemon() {
        std::string said;
        for (int ms = 0; !start(said); ms += 10) {
            if (const int status = end(); status > 0 && WIFSIGNALED(status))
                said += std::string("it died: ") + ::strsignal(WTERMSIG(status));
            if (ms >= start_ms || !contains(said, another))
                throw std::runtime_error("RouDi does not start: " + explained(said));
            sleep_ms(10);
        }
    }
    ~daemon() { end(); }
    daemon(const daemon&) = delete;
    daemon& operator=(const daemon&) = delete;

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }

private:
    static constexpr const char* another = "ROUDI_STILL_RUNNING";

    // A RouDi that starts while one ends can lose what it has just made: their locks are files, and
    // removed. So those of measuring processes take turns by a name that no file has, and that is
    // free when it and all the forked have ended.
    bool take_turn() {
        constexpr sockaddr_un name{AF_UNIX, "\0assay-roudi"};
        turn_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return ::bind(turn_, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
    }

    bool start(std::string& said) {
        said = another;
        if (!take_turn()) return false;
        int both[2];
        if (::pipe2(both, O_CLOEXEC) != 0) throw std::runtime_error("RouDi: no pipe");
        const pid_t measuring = ::getpid();
        pid_ = ::fork();
        if (pid_ == 0) serve(measuring, both[1]);
        ::close(both[1]);
        said = pid_ < 0 ? "cannot fork" : first_words(both[0]);
        ::close(both[0]);
        return is_ready(said);
    }

    static bool is_ready(const std::string& said) { return said.find(ready) != said.npos; }

    // Until it is ready, or gone, or has said nothing for too long.
    static std::string first_words(int from) {
        std::string said;
        char part[400];
        for (pollfd p{from, POLLIN, 0}; !is_ready(said) && ::poll(&p, 1, start_ms) > 0;) {
            const ssize_t n = ::read(from, part, sizeof part);
            if (n <= 0) break;
            said.append(part, static_cast<std::size_t>(n));
        }
        return said;
    }

    static std::string explained(const std::string& said) {
        if (contains(said, another))
            return "another one runs, and a host has only one: end it (it has locked " +
                   std::string(folder) + iox::roudi::ROUDI_LOCK_NAME + ".lock)";
        if (contains(said, "SIGBUS")) return "/dev/shm has no room for its 64 MiB";
        std::string line = said.empty() ? "it says nothing" : said;
        std::ranges::replace(line, '\n', ' ');
        return line;
    }

    // In order; otherwise what it leaves is removed here. How it ended, as waitpid() says it.
    int end() noexcept {
        int status = 0;
        if (const pid_t it = std::exchange(pid_, -1); it > 0) status = end(it);
        ::close(std::exchange(turn_, -1));
        return status;
    }
    static int end(pid_t it) noexcept {
        ::kill(it, SIGTERM);
        int status = -1;
        for (int ms = 0; ms < end_ms && ::waitpid(it, &status, WNOHANG) == 0; ++ms) sleep_ms(1);
        if (status == 0) return status;
        if (status == -1) ::kill(it, SIGKILL), ::waitpid(it, nullptr, 0);
        remove_all_files(::getpid());
        return status;
    }

    pid_t pid_ = -1;
    int turn_ = -1;
};

std::weak_ptr<daemon>& running() {
    static std::weak_ptr<daemon> one;
    return one;
}

// An open service keeps RouDi alive.
struct service {
    std::shared_ptr<daemon> roudi = running().lock();
    service() {
        if (!roudi) running() = roudi = std::make_shared<daemon>();
    }
};

// --- the ends ----------------------------------------------------------------------------------

// Makes this process one of RouDi's: after the fork, and once.
void join() {
    static pid_t joined = 0;
    if (joined == ::getpid()) return;
    joined = ::getpid();
    end_by(give_up);
    silence();
    const std::string name =
        ends_are_called + std::to_string(::getppid()) + "-" + std::to_string(joined);
    iox::runtime::PoshRuntime::initRuntime({iox::cxx::TruncateToCapacity, name});
}

}  // namespace

void open_iceoryx_service(void* memory) {
    static std::uint64_t opened = 0;
    beside<service>::keep(memory, std::make_unique<service>());
    *static_cast<std::uint64_t*>(memory) = ++opened;
}

void close_iceoryx_service(void* memory) noexcept { beside<service>::drop(memory); }

int iceoryx_daemon() noexcept {
    const auto one = running().lock();
    return one ? one->pid() : 0;
}

iceoryx_end::iceoryx_end(void* memory, std::size_t places, role what) {
    join();
    using iox::capro::IdString_t;
    const std::string number = std::to_string(*static_cast<std::uint64_t*>(memory));
    const iox::capro::ServiceDescription name{
        "assay-perf", IdString_t(iox::cxx::TruncateToCapacity, number), "elements"};
    if (what == role::puts) {
        iox::popo::PublisherOptions o;
        o.subscriberTooSlowPolicy = iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
        publisher_ = std::make_unique<iox::popo::UntypedPublisher>(name, o);
    } else {
        iox::popo::SubscriberOptions o;
        o.queueCapacity = places;
        o.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
        subscriber_ = std::make_unique<iox::popo::UntypedSubscriber>(name, o);
    }
}

iceoryx_end::~iceoryx_end() = default;

void iceoryx_end::connect() {
    const auto connected = [&] {
        return publisher_ ? publisher_->hasSubscribers()
                          : subscriber_->getSubscriptionState() == iox::SubscribeState::SUBSCRIBED;
    };
    for (int ms = 0; !connected(); ++ms) {
        if (ms == connect_ms) give_up("iceoryx: the two ends do not connect");
        sleep_ms(1);
    }
}

bool iceoryx_end::put(const void* from, std::size_t bytes) {
    auto place = publisher_->loan(static_cast<std::uint32_t>(bytes));
    if (place.has_error()) return false;
    std::memcpy(place.value(), from, bytes);
    publisher_->publish(place.value());
    return true;
}

bool iceoryx_end::take(void* to, std::size_t bytes) {
    auto found = subscriber_->take();
    if (found.has_error()) return false;
    std::memcpy(to, found.value(), bytes);
    subscriber_->release(found.value());
    return true;
}

}  // namespace assay_perf::peers
