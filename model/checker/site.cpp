#include "site.hpp"

#include <algorithm>
#include <charconv>

namespace assay::checker {

bool weakening::is_for(const site& s) const {
    const bool futex = s.operation >= op::sleep;
    if (s.what == kind::point || futex || line != s.line || (column != 0 && column != s.column))
        return false;
    if (!s.file.ends_with(file)) return false;
    return s.file.size() == file.size() || s.file[s.file.size() - file.size() - 1] == '/';
}

namespace {

constexpr order all_orders[] = {order::relaxed, order::acquire, order::release, order::acq_rel,
                                order::seq_cst};

std::optional<order> order_of(std::string_view text) {
    for (const order o : all_orders)
        if (text == name(o)) return o;
    return text == "dropped" ? std::optional(order::relaxed) : std::nullopt;
}

// "FILE", "LINE" or "COLUMN" off the end of a place.
std::uint32_t last_number(std::string_view& text) {
    const auto colon = text.rfind(':');
    std::uint32_t n = 0;
    if (colon == std::string_view::npos) return 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, n);
    if (error != std::errc() || stop != end) return 0;
    text = text.substr(0, colon);
    return n;
}

bool is_exchange(const site& s) { return s.operation == op::compare_exchange; }

bool is_order_of_a_load(order o) { return o != order::release && o != order::acq_rel; }

// Can this access have these orders at all?
bool fits(const site& s, order use, std::optional<order> failure) {
    if (failure && !(is_exchange(s) && is_order_of_a_load(*failure))) return false;
    if (s.what == kind::fence || s.operation != op::none) return true;
    return s.what == kind::read ? is_order_of_a_load(use)
                                : use != order::acquire && use != order::acq_rel;
}

std::string describe(const site& s) {
    const char* const what = s.what == kind::fence     ? "fence "
                             : s.operation != op::none ? "read-modify-write "
                             : s.what == kind::write   ? "store "
                                                       : "load ";
    return std::to_string(s.line) + ":" + std::to_string(s.column) + " " + what + name(s.success) +
           (is_exchange(s) ? std::string("/") + name(s.failure) : "");
}

}  // namespace

weakening parse_weakening(const std::string& text) {
    weakening w;
    const std::string_view all(text);
    const auto equals = all.rfind('=');
    std::string_view where = all.substr(0, equals);
    const std::uint32_t last = last_number(where), before = last_number(where);
    w.file = where;
    w.line = before != 0 ? before : last;
    w.column = before != 0 ? last : 0;
    std::string_view orders = equals == std::string_view::npos ? "" : all.substr(equals + 1);
    const auto slash = orders.find('/');
    const auto use = order_of(orders.substr(0, slash));
    if (slash != std::string_view::npos) w.failure = order_of(orders.substr(slash + 1));
    if (w.line == 0 || w.file.empty() || !use || w.failure.has_value() != (slash != orders.npos))
        throw bad_weakening("'" + text +
                            "' is not FILE:LINE=ORDER, FILE:LINE:COLUMN=ORDER or "
                            "...=ORDER/ORDER-OF-FAILURE, with the orders relaxed acquire release "
                            "acq_rel seq_cst, and dropped for a fence");
    w.use = *use;
    return w;
}

std::string to_text(const site& s, order use, order failure) {
    std::string text = s.file + ":" + std::to_string(s.line) + ":" + std::to_string(s.column) + "=";
    text += s.what == kind::fence && use == order::relaxed ? "dropped" : name(use);
    return text + (is_exchange(s) ? std::string("/") + name(failure) : "");
}

void check_weakening(const weakening& w, const std::vector<site>& executed) {
    std::string nearby, unfit;
    for (const site& s : executed) {
        if (w.is_for(s)) {
            if (fits(s, w.use, w.failure)) return;
            unfit = "\n  " + describe(s);
        }
        weakening any = w;
        any.line = s.line;
        any.column = 0;
        const std::string line = "\n  " + describe(s);
        const bool near = any.is_for(s) && s.line + 15 > w.line && s.line < w.line + 15;
        if (near && nearby.find(line) == std::string::npos) nearby += line;
    }
    const std::string stated = w.file + ":" + std::to_string(w.line) +
                               (w.column != 0 ? ":" + std::to_string(w.column) : "");
    if (!unfit.empty()) throw bad_weakening(stated + " cannot have that order. It is" + unfit);
    throw bad_weakening("no scenario that ran has an access at " + stated +
                        (nearby.empty() ? "" : ". Nearby are" + nearby));
}

site_id site_table::find(const place& at, const site& as_stated) {
    const std::lock_guard lock(mutex_);
    site s = as_stated;
    s.file = at.file_name();
    while (s.file.starts_with("../"))
        s.file.erase(0, 3);  // a compiler cache has its own idea of here
    s.line = at.line();
    s.column = at.column();
    s.function = at.function_name();
    for (std::size_t i = 1; i < sites_.size(); ++i) {
        const site& o = sites_[i];
        if (o.line == s.line && o.column == s.column && o.what == s.what &&
            o.operation == s.operation && o.success == s.success && o.failure == s.failure &&
            o.file == s.file) {
            sites_[i].alone = o.alone && s.alone;
            return static_cast<site_id>(i);
        }
    }
    s.use_success = s.success;
    s.use_failure = s.failure;
    if (force_sc_ && s.what != kind::fence) s.use_success = s.use_failure = order::seq_cst;
    for (const weakening& w : weaker_) {
        if (!w.is_for(s) || !fits(s, w.use, w.failure)) continue;
        s.use_success = w.use;
        if (w.failure) s.use_failure = *w.failure;
    }
    s.overridden = s.use_success != s.success || s.use_failure != s.failure;
    sites_.push_back(s);
    return static_cast<site_id>(sites_.size() - 1);
}

const site_cache::entry& site_cache::find(const place& at, kind what, op operation, order success,
                                          order failure) {
    entry e;
    e.file = at.file_name();
    e.line = at.line();
    e.column = at.column();
    e.operation = operation;
    e.what = what;
    e.stated_success = e.success = success;
    e.stated_failure = e.failure = failure;
    for (std::size_t slot = hash(e);; ++slot) {
        const entry& found = slots_[slot % slots_.size()];
        if (found.file == nullptr) return insert(e, at, slot % slots_.size());
        if (found.file == e.file && found.line == e.line && found.column == e.column &&
            found.operation == operation && found.what == what && found.stated_success == success &&
            found.stated_failure == failure)
            return found;
    }
}

const site_cache::entry& site_cache::insert(const entry& e, const place& at, std::size_t slot) {
    if (++used_ * 2 > slots_.size()) {
        std::vector<entry> old(slots_.size() * 2);
        old.swap(slots_);
        for (const entry& o : old) {
            if (o.file == nullptr) continue;
            entry key = o;
            key.success = o.stated_success;
            std::size_t to = hash(key);
            while (slots_[to % slots_.size()].file != nullptr) ++to;
            slots_[to % slots_.size()] = o;
        }
        slot = hash(e);
        while (slots_[slot % slots_.size()].file != nullptr) ++slot;
        slot %= slots_.size();
    }
    site stated;
    stated.what = e.what;
    stated.operation = e.operation;
    stated.success = e.success;
    stated.failure = e.failure;
    entry& here = slots_[slot];
    here = e;
    here.id = table_->find(at, stated);
    const site s = table_->get(here.id);
    here.success = s.use_success;
    here.failure = s.use_failure;
    return here;
}

}  // namespace assay::checker
