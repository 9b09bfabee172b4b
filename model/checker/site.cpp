#include "site.hpp"

#include <algorithm>

namespace assay::checker {

site_id site_table::find(const place& at, const site& as_stated) {
    const std::lock_guard lock(mutex_);
    site s = as_stated;
    s.file = at.file_name();
    s.line = at.line();
    s.column = at.column();
    s.function = at.function_name();
    for (std::size_t i = 1; i < sites_.size(); ++i) {
        const site& o = sites_[i];
        if (o.line == s.line && o.column == s.column && o.what == s.what &&
            o.operation == s.operation && o.success == s.success && o.failure == s.failure &&
            o.file == s.file)
            return static_cast<site_id>(i);
    }
    s.use_success = s.success;
    s.use_failure = s.failure;
    if (force_sc_ && s.what != kind::fence) s.use_success = s.use_failure = order::seq_cst;
    for (const weakening& w : weaker_) {
        if (w.line != s.line || !s.file.ends_with(w.file)) continue;
        (w.of_failure ? s.use_failure : s.use_success) = w.use;
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
