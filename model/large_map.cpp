// The map under the checker: each key is linearizable, no node is lost, whoever dies.
// Edges: [map:linked] [map:reused], and of claims.hpp [claims:freed] [claims:passed].
#include "model/large_map.hpp"

#include "model/tests.hpp"
#include "spoiled/large_map.hpp"

namespace assay::model {
namespace {

using namespace maps;

// --- one key -------------------------------------------------------------------------------------

constexpr mix two_insertions{{}, {{{insert(1, 1)}, {insert(1, 2)}}}};
constexpr mix two_erasures{{1}, {{{erase(1)}, {erase(1)}}}};
constexpr mix two_replacements{{1}, {{{assign(1, 3)}, {assign(1, 4)}}}};
constexpr mix erase_and_insert{{1}, {{{erase(1)}, {insert(1, 2)}}}};
constexpr mix erase_assign_find{{1}, {{{erase(1)}, {assign(1, 3)}, {find(1)}}}};
constexpr mix erase_assign_insert{{1}, {{{erase(1)}, {assign(1, 3)}, {insert(1, 5)}}}};

// --- neighbours in a bucket ------------------------------------------------------------------------

constexpr mix neighbours_erased{{1, 2}, {{{erase(1)}, {erase(2)}}}};
constexpr mix insert_behind_erased{{1}, {{{erase(1)}, {insert(2, 3)}, {find(2)}}}};
constexpr mix insert_between_erased{{1, 3}, {{{erase(1)}, {erase(3)}, {insert(2, 20)}}}};
constexpr mix one_after_the_other{{1}, {{{erase(1), insert(2, 2)}, {find(2), find(1)}}}};

// --- a node's next life -----------------------------------------------------------------------------

// Whoever erases gets the same node for its next insertion.
constexpr mix renewed{{1}, {{{erase(1), insert(1, 3)}, {find(1)}}}};
constexpr mix renewed_twice{{1}, {{{erase(1), insert(2, 2), erase(2), insert(1, 3)}, {find(1)}}}};
constexpr mix renewed_by_both{{1}, {{{erase(1), insert(1, 3)}, {erase(1), insert(1, 4)}}}};
constexpr mix moved_behind{{1, 3}, {{{erase(1), insert(4, 5)}, {find(3)}}}};
constexpr mix moved_behind_visitor{{1, 3}, {{{erase(1), insert(4, 5)}, {visit}}}};
constexpr mix moved_behind_insertion{{1}, {{{erase(1), insert(4, 40)}, {insert(3, 30)}}}};
constexpr mix moved_under_replacement{{1}, {{{erase(1), insert(1, 11)}, {assign(1, 12)}}}};
constexpr mix moved_twice_under_replacement{
    {1}, {{{erase(1), insert(1, 11), erase(1), insert(1, 12)}, {assign(1, 13)}}}};
// The head of the bucket leads to the same node again, whose successor is gone.
constexpr mix returned{{1, 3}, {{{erase(1), erase(3), insert(1, 11)}, {find(3)}}}};
constexpr mix returned_under_erasure{{1, 3}, {{{erase(1), erase(3), insert(1, 11)}, {erase(3)}}}};
// Another than the eraser gets the node.
constexpr mix passed_on{{1, 3}, {{{erase(1)}, {insert(4, 5)}, {find(3)}}}, true};
constexpr mix passed_on_under_visitor{{1, 2}, {{{erase(1)}, {insert(3, 5)}, {visit}}}, true};

// --- recover() ----------------------------------------------------------------------------------------

constexpr mix recovery_and_erasure{{1}, {{{insert(2, 1), erase(2)}, {recover}}}};
constexpr mix recovery_and_renewal{{1}, {{{erase(1), insert(1, 3)}, {recover}}}};
constexpr mix two_recoveries_and_erasure{{1, 2}, {{{erase(2)}, {recover}, {recover}}}};
constexpr mix two_recoveries_and_insertion{{}, {{{insert(1, 3)}, {recover}, {recover}}}};
constexpr mix recovery_insertion_erasure{{}, {{{insert(1, 3)}, {recover}, {erase(1)}}}};
constexpr mix recovery_before_insertion{{1, 2}, {{{erase(2)}, {recover, insert(3, 3)}, {find(2)}}}};

// --- in several buckets -------------------------------------------------------------------------------

// Keys 1 and 3 are in different ones.
constexpr mix across_buckets{{}, {{{insert(1, 1), insert(3, 2)}, {find(3), find(1)}}}, false, 2};
constexpr mix each_looks_for_the_others{
    {}, {{{insert(1, 1), find(3)}, {insert(3, 2), find(1)}}}, false, 2};

// What is promised for each key is not promised for all together: each of two processes may miss
// what the other inserted in another bucket.
void keys_together(scenario& s) {
    fixture<shipped> f(s, each_looks_for_the_others, false);
    run_programs(s, f, each_looks_for_the_others, [&f] { check_linearizable(f.calls, f.initial); });
}

// --- what was done before -------------------------------------------------------------------------------

constexpr mix insertion{{}, {{{insert(1, 1)}}}};
constexpr mix insertion_behind{{1}, {{{insert(2, 2)}}}};
constexpr mix replacement{{1}, {{{assign(1, 3)}}}};
constexpr mix erasure{{1}, {{{erase(1)}}}};

// Whoever finds that the key has changed sees what the changing process did before.
template <const mix& M>
void carries(scenario& s) {
    fixture<shipped> f(s, M, false);
    shared<cell<int>> letter(s);
    letter->write(0);
    const call& change = M.programs[0][0];
    s.process("changes", [&] {
        fixture<shipped>::user u(f);
        letter->write(7);
        u(change);
    });
    s.process("looks", [&] {
        fixture<shipped>::user u(f);
        if (u.m.find(change.key).value_or(0) == change.value) check(letter->read() == 7);
    });
    s.run();
}

// --- a map that is full -----------------------------------------------------------------------------------

// All nodes but `spare` are in use, by keys beyond those of the scenario.
std::size_t fill(fixture<shipped>& f, std::size_t spare) {
    fixture<shipped>::user u(f);
    while (u.m.num_available() > spare) {
        const auto k = static_cast<std::int32_t>(20 - u.m.num_available());
        u.m.insert(k, k);
    }
    return u.m.size();
}
bool fits(fixture<shipped>::user& u, std::int32_t k) {
    try {
        return u.m.insert(k, k);
    } catch (const no_space&) {
        return false;
    }
}
constexpr mix nothing_yet{{}, {}};

void last_node_of_the_dead(scenario& s) {
    fixture<shipped> f(s, nothing_yet, false);
    fill(f, 1);
    s.process("mortal", [&] { fits(*std::make_unique<fixture<shipped>::user>(f), 1); });
    s.process("survivor", [&] {
        if (!died(0)) return;
        fixture<shipped>::user u(f);
        check(fits(u, 2) != u.m.contains(1), "the dead have the last node still");
    });
    s.run();
}

// Two that need the one node that comes free: one of them gets it.
void last_node_for_one_of_two(scenario& s) {
    fixture<shipped> f(s, nothing_yet, false);
    const std::size_t entries = fill(f, 0);
    bool got[2] = {};
    s.process("erases first", [&] {
        fixture<shipped>::user u(f);
        u.m.erase(11);
        got[0] = fits(u, 1);
    });
    s.process("waits for a node", [&] {
        fixture<shipped>::user u(f);
        got[1] = fits(u, 2);
    });
    s.finally([&] {
        check(got[0] != got[1], "a node that was free was not found");
        check(fixture<shipped>::user(f).m.size() == entries);
    });
    s.run();
}

checker::settings two_deaths() {
    checker::settings how = one_death();
    how.allowed.crashes = 2;
    return how;
}

template <template <class, class> class Map>
using spoiled = Map<std::int32_t, std::int32_t>;

}  // namespace

std::vector<test> large_map_tests() {
    using enum checker::verdict;
    return {
        {"large_map/two_insertions_linearizable", runs<two_insertions>, {verified, 4}},
        {"large_map/two_insertions_with_a_death",
         runs<two_insertions>,
         {verified, 34},
         one_death()},
        {"large_map/two_erasures_linearizable", runs<two_erasures>, {verified, 34}},
        {"large_map/two_erasures_with_two_deaths",
         runs<two_erasures>,
         {verified, 381},
         two_deaths()},
        {"large_map/two_replacements_linearizable", runs<two_replacements>, {verified, 598}},
        {"large_map/two_replacements_linearizable_at_the_wrap",
         wraps<two_replacements>,
         {verified, 598}},
        {"large_map/two_replacements_with_a_death",
         runs<two_replacements>,
         {verified, 3108},
         one_death()},
        {"large_map/two_replacements_with_two_deaths",
         runs<two_replacements>,
         {verified, 5519},
         two_deaths()},
        {"large_map/erase_and_insert_linearizable", runs<erase_and_insert>, {verified, 17}},
        {"large_map/erase_and_insert_with_a_death",
         runs<erase_and_insert>,
         {verified, 158},
         one_death()},
        {"large_map/erase_and_insert_with_two_deaths",
         runs<erase_and_insert>,
         {verified, 424},
         two_deaths()},
        {"large_map/erase_assign_find_linearizable", runs<erase_assign_find>, {verified, 33273}},
        {"large_map/erase_assign_find_with_a_death",
         runs<erase_assign_find>,
         {verified, 227178},
         one_death(),
         true},
        {"large_map/erase_assign_insert_linearizable",
         runs<erase_assign_insert>,
         {verified, 123055}},
        {"large_map/erase_assign_insert_with_a_death",
         runs<erase_assign_insert>,
         {verified, 1055740},
         one_death(),
         true},
        {"large_map/neighbours_erased_linearizable", runs<neighbours_erased>, {verified, 390}},
        {"large_map/neighbours_erased_with_a_death",
         runs<neighbours_erased>,
         {verified, 2768},
         one_death()},
        {"large_map/neighbours_erased_with_two_deaths",
         runs<neighbours_erased>,
         {verified, 6180},
         two_deaths()},
        {"large_map/insert_behind_erased_linearizable",
         runs<insert_behind_erased>,
         {verified, 620}},
        {"large_map/insert_behind_erased_with_a_death",
         runs<insert_behind_erased>,
         {verified, 5386},
         one_death()},
        {"large_map/insert_between_erased_linearizable",
         runs<insert_between_erased>,
         {verified, 383711},
         {},
         true},
        {"large_map/insert_between_erased_with_a_death",
         runs<insert_between_erased>,
         {verified, 3762631},
         one_death(),
         true},
        {"large_map/one_after_the_other_linearizable", runs<one_after_the_other>, {verified, 98}},
        {"large_map/one_after_the_other_with_a_death",
         runs<one_after_the_other>,
         {verified, 749},
         one_death()},
        {"large_map/renewed_linearizable", runs<renewed>, {verified, 44}},
        {"large_map/renewed_linearizable_at_the_wrap", wraps<renewed>, {verified, 44}},
        {"large_map/renewed_with_a_death", runs<renewed>, {verified, 341}, one_death()},
        {"large_map/renewed_twice_linearizable", runs<renewed_twice>, {verified, 1067}},
        {"large_map/renewed_twice_linearizable_at_the_wrap",
         wraps<renewed_twice>,
         {verified, 1067}},
        {"large_map/renewed_twice_with_a_death",
         runs<renewed_twice>,
         {verified, 8701},
         one_death()},
        {"large_map/renewed_twice_with_two_deaths",
         runs<renewed_twice>,
         {verified, 17626},
         two_deaths()},
        {"large_map/renewed_by_both_linearizable", runs<renewed_by_both>, {verified, 1080}},
        {"large_map/renewed_by_both_linearizable_at_the_wrap",
         wraps<renewed_by_both>,
         {verified, 1080}},
        {"large_map/renewed_by_both_with_a_death",
         runs<renewed_by_both>,
         {verified, 11064},
         one_death()},
        {"large_map/renewed_by_both_with_two_deaths",
         runs<renewed_by_both>,
         {verified, 29013},
         two_deaths()},
        {"large_map/moved_behind_linearizable", runs<moved_behind>, {verified, 111}},
        {"large_map/moved_behind_with_a_death", runs<moved_behind>, {verified, 850}, one_death()},
        {"large_map/moved_behind_visitor_linearizable",
         runs<moved_behind_visitor>,
         {verified, 295}},
        {"large_map/moved_behind_visitor_with_a_death",
         runs<moved_behind_visitor>,
         {verified, 2957},
         one_death()},
        {"large_map/moved_behind_insertion_linearizable",
         runs<moved_behind_insertion>,
         {verified, 144}},
        {"large_map/moved_behind_insertion_linearizable_at_the_wrap",
         wraps<moved_behind_insertion>,
         {verified, 144}},
        {"large_map/moved_behind_insertion_with_a_death",
         runs<moved_behind_insertion>,
         {verified, 1633},
         one_death()},
        {"large_map/moved_behind_insertion_with_two_deaths",
         runs<moved_behind_insertion>,
         {verified, 5420},
         two_deaths()},
        {"large_map/moved_under_replacement_linearizable",
         runs<moved_under_replacement>,
         {verified, 1852}},
        {"large_map/moved_under_replacement_linearizable_at_the_wrap",
         wraps<moved_under_replacement>,
         {verified, 1852}},
        {"large_map/moved_under_replacement_with_a_death",
         runs<moved_under_replacement>,
         {verified, 13333},
         one_death()},
        {"large_map/moved_twice_under_replacement_linearizable",
         runs<moved_twice_under_replacement>,
         {verified, 282683},
         {},
         true},
        {"large_map/moved_twice_under_replacement_with_a_death",
         runs<moved_twice_under_replacement>,
         {verified, 2094089},
         one_death(),
         true},
        {"large_map/returned_linearizable", runs<returned>, {verified, 1226}},
        {"large_map/returned_linearizable_at_the_wrap", wraps<returned>, {verified, 1226}},
        {"large_map/returned_with_a_death", runs<returned>, {verified, 9769}, one_death()},
        {"large_map/returned_under_erasure_linearizable",
         runs<returned_under_erasure>,
         {verified, 3616}},
        {"large_map/returned_under_erasure_linearizable_at_the_wrap",
         wraps<returned_under_erasure>,
         {verified, 3616}},
        {"large_map/returned_under_erasure_with_a_death",
         runs<returned_under_erasure>,
         {verified, 31749},
         one_death()},
        {"large_map/returned_under_erasure_with_two_deaths",
         runs<returned_under_erasure>,
         {verified, 78424},
         two_deaths(),
         true},
        {"large_map/passed_on_linearizable", runs<passed_on>, {verified, 5602}},
        {"large_map/passed_on_linearizable_at_the_wrap", wraps<passed_on>, {verified, 5602}},
        {"large_map/passed_on_with_a_death", runs<passed_on>, {verified, 45262}, one_death()},
        {"large_map/passed_on_with_two_deaths",
         runs<passed_on>,
         {verified, 132478},
         two_deaths(),
         true},
        {"large_map/passed_on_under_visitor_linearizable",
         runs<passed_on_under_visitor>,
         {verified, 14988}},
        {"large_map/passed_on_under_visitor_with_a_death",
         runs<passed_on_under_visitor>,
         {verified, 162972},
         one_death(),
         true},
        {"large_map/passed_on_under_visitor_with_two_deaths",
         runs<passed_on_under_visitor>,
         {verified, 641526},
         two_deaths(),
         true},
        {"large_map/recovery_and_erasure_linearizable", runs<recovery_and_erasure>, {verified, 26}},
        {"large_map/recovery_and_erasure_with_a_death",
         runs<recovery_and_erasure>,
         {verified, 160},
         one_death()},
        {"large_map/recovery_and_renewal_linearizable",
         runs<recovery_and_renewal>,
         {verified, 106}},
        {"large_map/recovery_and_renewal_linearizable_at_the_wrap",
         wraps<recovery_and_renewal>,
         {verified, 106}},
        {"large_map/recovery_and_renewal_with_a_death",
         runs<recovery_and_renewal>,
         {verified, 626},
         one_death()},
        {"large_map/recovery_and_renewal_with_two_deaths",
         runs<recovery_and_renewal>,
         {verified, 799},
         two_deaths()},
        {"large_map/two_recoveries_and_erasure_linearizable",
         runs<two_recoveries_and_erasure>,
         {verified, 348}},
        {"large_map/two_recoveries_and_erasure_with_a_death",
         runs<two_recoveries_and_erasure>,
         {verified, 1566},
         one_death()},
        {"large_map/two_recoveries_and_erasure_with_two_deaths",
         runs<two_recoveries_and_erasure>,
         {verified, 2403},
         two_deaths()},
        {"large_map/two_recoveries_and_insertion_linearizable",
         runs<two_recoveries_and_insertion>,
         {verified, 9}},
        {"large_map/two_recoveries_and_insertion_with_a_death",
         runs<two_recoveries_and_insertion>,
         {verified, 128},
         one_death()},
        {"large_map/two_recoveries_and_insertion_with_two_deaths",
         runs<two_recoveries_and_insertion>,
         {verified, 303},
         two_deaths()},
        {"large_map/recovery_insertion_erasure_linearizable",
         runs<recovery_insertion_erasure>,
         {verified, 65}},
        {"large_map/recovery_insertion_erasure_with_a_death",
         runs<recovery_insertion_erasure>,
         {verified, 608},
         one_death()},
        {"large_map/recovery_insertion_erasure_with_two_deaths",
         runs<recovery_insertion_erasure>,
         {verified, 1801},
         two_deaths()},
        {"large_map/recovery_before_insertion_linearizable",
         runs<recovery_before_insertion>,
         {verified, 1318}},
        {"large_map/recovery_before_insertion_with_a_death",
         runs<recovery_before_insertion>,
         {verified, 11651},
         one_death()},
        {"large_map/across_buckets_linearizable", runs<across_buckets>, {verified, 3}},
        {"large_map/across_buckets_with_a_death",
         runs<across_buckets>,
         {verified, 39},
         one_death()},
        {"large_map/each_looks_for_the_others_linearizable",
         runs<each_looks_for_the_others>,
         {verified, 4}},
        {"large_map/insertion_carries_what_was_done_before", carries<insertion>, {verified, 2}},
        {"large_map/insertion_behind_carries_what_was_done_before",
         carries<insertion_behind>,
         {verified, 2}},
        {"large_map/replacement_carries_what_was_done_before",
         carries<replacement>,
         {verified, 11}},
        {"large_map/erasure_carries_what_was_done_before", carries<erasure>, {verified, 11}},
        {"large_map/last_node_comes_back_from_the_dead",
         last_node_of_the_dead,
         {verified, 17},
         one_death(1)},
        {"large_map/last_node_goes_to_one_of_two", last_node_for_one_of_two, {verified, 8049}},
        {"large_map/canary_keys_together_are_no_object", keys_together, {not_linearizable}},
        {"large_map/canary_forgets_the_mark",
         runs<insert_behind_erased, spoiled<large_map_forgets_the_mark>>,
         {not_linearizable}},
        {"large_map/canary_frees_before_it_unlinks",
         runs<erase_and_insert, spoiled<large_map_frees_before_it_unlinks>>,
         {assertion}},
        {"large_map/canary_has_no_tags",
         runs<returned, spoiled<large_map_has_no_tags>>,
         {not_linearizable}},
        {"large_map/canary_has_tags_of_one_bit",
         runs<renewed, spoiled<large_map_has_tags_of_one_bit>>,
         {not_linearizable}},
        {"large_map/canary_has_tags_of_two_bits",
         runs<renewed_twice, spoiled<large_map_has_tags_of_two_bits>>,
         {not_linearizable}},
        {"large_map/canary_trusts_keys",
         runs<moved_behind, spoiled<large_map_trusts_keys>>,
         {not_linearizable}},
        {"large_map/canary_trusts_values",
         runs<renewed_twice, spoiled<large_map_trusts_values>>,
         {not_linearizable}},
        {"large_map/canary_recovers_from_the_living",
         runs<recovery_and_renewal, spoiled<large_map_recovers_from_the_living>>,
         {assertion}},
        {"large_map/canary_recovers_only_what_was_never_linked",
         runs<neighbours_erased, spoiled<large_map_recovers_only_what_was_never_linked>>,
         {assertion},
         one_death()},
        {"large_map/canary_recovers_what_is_linked",
         runs<erase_and_insert, spoiled<large_map_recovers_what_is_linked>>,
         {assertion},
         one_death()},
        {"large_map/canary_ends_the_wrong_life",
         runs<recovery_and_renewal, spoiled<large_map_ends_the_wrong_life>>,
         {assertion}},
        // Four changes of one link are needed to deceive it, and here nobody makes so many.
        {"large_map/tags_of_two_bits_bear_three_changes",
         runs<moved_under_replacement, spoiled<large_map_has_tags_of_two_bits>>,
         {verified, 1852}},
    };
}

}  // namespace assay::model
