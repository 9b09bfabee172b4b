#include "checkpoint.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <type_traits>

namespace assay::checker {

namespace {

constexpr char magic[] = "assay-model checkpoint 3\n";

// Reads or writes, in the same order: what is written can be read.
class transfer {
public:
    transfer() = default;
    explicit transfer(std::string bytes) : bytes_(std::move(bytes)), reading_(true) {}

    template <class T>
    void operator()(T& value) {
        if constexpr (requires { value.pass(*this); })
            value.pass(*this);
        else
            raw(&value, sizeof value);
    }
    template <class T>
    void operator()(std::vector<T>& list) {
        if constexpr (std::is_default_constructible_v<T>) list.resize(size(list.size(), 1));
        for (T& value : list) (*this)(value);
    }
    void operator()(std::string& text) {
        text.resize(size(text.size(), 1));
        raw(text.data(), text.size());
    }
    // How many follow, each of at least so many bytes.
    [[nodiscard]] std::size_t size(std::size_t n, std::size_t bytes_each) {
        std::uint64_t stored = n;
        raw(&stored, sizeof stored);
        if (reading_ && stored > (bytes_.size() - at_) / bytes_each)
            throw bad_checkpoint("its end is missing");
        return static_cast<std::size_t>(stored);
    }
    [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

private:
    void raw(void* value, std::size_t n) {
        if (!reading_) {
            bytes_.append(static_cast<const char*>(value), n);
            return;
        }
        if (n > bytes_.size() - at_) throw bad_checkpoint("its end is missing");
        if (n > 0) std::memcpy(value, bytes_.data() + at_, n);
        at_ += n;
    }

    std::string bytes_;
    std::size_t at_ = 0;
    bool reading_ = false;
};

std::uint64_t checksum(std::string_view bytes) {  // FNV-1a
    std::uint64_t sum = 0xcbf29ce484222325;
    for (const char c : bytes) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return sum;
}

void pass_site(transfer& io, site& s) {
    io(s.file);
    io(s.line);
    io(s.column);
    io(s.function);
    io(s.what);
    io(s.operation);
    io(s.success);
    io(s.failure);
    io(s.alone);
    io(s.overridden);
    io(s.use_success);
    io(s.use_failure);
}

void pass_locations(transfer& io, location_table& table) {
    const std::size_t n = io.size(table.size(), 1);
    for (std::size_t i = 0; i < n; ++i) {
        location l;
        if (i < table.size()) l = table[static_cast<location_id>(i)];
        io(l.segment);
        io(l.offset);
        io(l.size);
        io(l.first.val);
        io(l.unwritten);
        location_id clash = 0;
        table.find(l.segment, l.offset, l.size, l.first.val, clash, l.unwritten);
    }
}

void pass(transfer& io, checkpoint& c) {
    io(c.so_far);
    io(c.hit_event_bound);
    io(c.symmetry_misled);
    pass_locations(io, *c.locations);
    c.sites.resize(io.size(c.sites.size(), 1));
    for (site& s : c.sites) pass_site(io, s);
    const std::size_t n = io.size(c.open.size(), sizeof(search::item));
    while (c.open.size() < n) c.open.push_back({graph(0, *c.locations), {}});
    for (search::task& t : c.open) {
        io(t.g);
        io(t.it);
    }
}

// Says which line of what is explored differs.
std::string difference(const std::string& stored, const std::string& now) {
    std::istringstream a(stored), b(now);
    std::string was, is;
    while (std::getline(a, was) && std::getline(b, is))
        if (was != is) return "it was made with '" + was + "', and this is '" + is + "'";
    return "it was made with other settings";
}

}  // namespace

void save(const checkpoint& c, const std::string& of, const std::string& path) {
    transfer body;
    checkpoint copy = c;
    std::string identity = of;
    body(identity);
    pass(body, copy);
    std::uint64_t sum = checksum(body.bytes());
    transfer head;
    head(sum);
    const std::string unfinished = path + ".part";
    std::ofstream file(unfinished, std::ios::binary);
    file << magic << head.bytes() << body.bytes();
    file.close();
    if (!file || std::rename(unfinished.c_str(), path.c_str()) != 0)
        throw bad_checkpoint("cannot write the checkpoint " + path + ": " + std::strerror(errno));
}

checkpoint load(const std::string& of, const std::string& path) {
    try {
        std::ifstream file(path, std::ios::binary);
        std::stringstream all;
        all << file.rdbuf();
        if (!file) throw bad_checkpoint(std::strerror(errno));
        const std::string bytes = all.str();
        const std::size_t head = sizeof magic - 1;
        if (bytes.compare(0, head, magic) != 0)
            throw bad_checkpoint("the file is no checkpoint of this version");
        std::uint64_t sum = 0;
        transfer first(bytes.substr(head));
        first(sum);
        transfer body(bytes.substr(head + sizeof sum));
        if (sum != checksum(body.bytes())) throw bad_checkpoint("the file is damaged");
        std::string identity;
        body(identity);
        if (identity != of) throw bad_checkpoint(difference(identity, of));
        checkpoint c;
        c.locations = std::make_shared<location_table>(0);
        pass(body, c);
        return c;
    } catch (const bad_checkpoint& e) {
        throw bad_checkpoint("cannot go on from the checkpoint " + path + ": " + e.what());
    }
}

}  // namespace assay::checker
