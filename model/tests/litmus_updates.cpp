// litmus_updates.cpp -- litmus tests beyond loads and stores: read-modify-writes, waiting, deaths, plain data.
// Sources as in litmus.cpp.
#include "litmus_table.hpp"

namespace assay::proof {

// Release sequences, as of C++20: continued by read-modify-writes, and by nothing else.
void release_sequences(table& t) {
    t("relseq+rmw", "C++20: a relaxed fetch_add carries the release on",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {fetch_add(0, y, 2, rlx)},
                   {load(0, y, acq), load(1, x, rlx)}}},
      "000 001 020 021 011 100 101 111 131", 9);
    t("relseq+own-store", "C++20, P0982: the writer's own later store no longer does",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel), store(y, 2, rlx)},
                   {load(0, y, acq), load(1, x, rlx)}}},
      "00 01 11 20 21", 5);
    t("relseq+other-store", "a store by another thread never did",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {store(y, 2, rlx)},
                   {load(0, y, acq), load(1, x, rlx)}}},
      "00 01 11 20 21", 10);
    t("relseq+cas-chain", "two links",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {cas(0, y, 1, 2, rlx, rlx)},
                   {cas(0, y, 2, 3, rlx, rlx)},
                   {load(0, y, acq), load(1, x, rlx)}}},
      "0000 0001 0011 0100 0101 0111 1000 1001 1011 1021 1100 1101 1111 1121 1200 1201 "
      "1211 1221 1231",
      19);
    t("relseq+relf", "the release may be a fence",
      {.threads = {{store(x, 1, rlx), fence(rel), store(y, 1, rlx)},
                   {cas(0, y, 1, 2, rlx, rlx)},
                   {load(0, y, rlx), fence(acq), load(1, x, rlx)}}},
      "000 001 011 100 101 111 121", 7);
    t("relseq+own-rmw", "the writer's own read-modify-write carries on as well",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel), fetch_add(none, y, 1, rlx)},
                   {load(0, y, acq), load(1, x, rlx)}}},
      "00 01 11 21", 4);
    t("relseq", "GenMC: 20",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel), store(y, 2, rlx)},
                   {exchange(0, y, 3, rlx)},
                   {load(0, y, rlx), fence(ar), load(1, x, rlx)}}},
      "000 001 011 020 021 030 031 100 101 111 120 121 131 200 201 211 220 221 230 231", 20);
    t("viktor-relseq", "GenMC: 180",
      {.threads = {{fetch_add(none, x, 1, acq), fetch_add(none, x, 1, rlx)},
                   {fetch_add(none, x, 1, rlx)},
                   {fetch_add(none, x, 1, rlx)},
                   {fetch_add(none, x, 1, rel), fetch_add(none, x, 1, rlx)}}},
      "/6", 180, {x});
}

// Read-modify-writes are atomic.
void read_modify_writes(table& t) {
    t("inc+inc", "atomicity", {.threads = {{fetch_add(0, x, 1, rlx)}, {fetch_add(0, x, 1, rlx)}}},
      "01/2 10/2", 2, {x});
    t("inc+inc+inc", "GenMC (ainc): 3! executions",
      {.threads = {{fetch_add(0, x, 1, rlx)},
                   {fetch_add(0, x, 1, rlx)},
                   {fetch_add(0, x, 1, rlx)}}},
      "012 021 102 120 201 210", 6);
    t("xchg+xchg", "atomicity", {.threads = {{exchange(0, x, 1, rlx)}, {exchange(0, x, 2, rlx)}}},
      "01/2 20/1", 2, {x});
    t("cas+cas", "one of two wins",
      {.threads = {{cas(0, x, 0, 1, rlx, rlx)}, {cas(0, x, 0, 2, rlx, rlx)}}}, "01/1 20/2", 2, {x});
    t("inc+write", "nothing comes between the halves",
      {.threads = {{fetch_add(0, x, 1, rlx)}, {store(x, 5, rlx)}}}, "0/5 5/6", 2, {x});
    t("cas-stale", "a failed compare-exchange may read an old value",
      {.threads = {{store(x, 1, rlx), store(x, 2, rlx)}, {cas(0, x, 2, 3, rlx, rlx)}}},
      "0/2 1/2 2/3", 3, {x});
    t("cas-negative", "GenMC#41: INT_MIN matches itself",
      {.threads = {{cas(0, x, INT32_MIN, 7, sc, sc, 1)}}, .initial = {INT32_MIN}}, "-2147483648/7",
      1, {x});
    t("cas-minus-one", "GenMC#41: a negative value stored, added up and compared",
      {.threads = {{store(x, -2, rlx), fetch_add(0, x, 1, rlx), cas(1, x, -1, 0, rlx, rlx)}}},
      "-2-1/0", 1, {x});
    t("ccr", "GenMC: 2",
      {.threads = {{cas(none, x, 0, 42, rlx, rlx)},
                   {cas(none, x, 0, 17, rlx, rlx), load(0, x, rlx)}}},
      "17/17 42/42", 2, {x});
    t("cii", "GenMC: 6",
      {.threads = {{cas(0, x, 1, 2, rlx, rlx)},
                   {fetch_add(0, x, 1, rlx)},
                   {fetch_add(0, x, 1, rlx)}}},
      "001/2 010/2 102/3 120/3 201/2 210/2", 6, {x});
    t("wcii", "GenMC: 24",
      {.threads = {{store(x, 5, rel)},
                   {cas(0, x, 1, 2, rlx, rlx)},
                   {fetch_add(0, x, 1, rlx)},
                   {fetch_add(0, x, 1, rlx)}}},
      "001/5 005/6 010/5 050/6 056/7 065/7 102/5 105/6 120/5 150/6 201/5 210/5 501/5 505/6 510/5 "
      "550/6 556/7 565/7 605/6 650/6 656/7 665/7 756/7 765/7",
      24, {x});
    t("rii", "GenMC: 3",
      {.threads = {{load(0, x, rlx), fetch_add(1, x, 1, rlx)}, {fetch_add(0, x, 1, rlx)}}},
      "001 010 110", 3);
    t("inc2w", "GenMC: 6",
      {.threads = {{fetch_add(0, x, 1, rlx)}, {store(x, 4, rel)}, {fetch_add(0, x, 2, rlx)}}},
      "01/4 04/6 20/4 40/5 45/7 64/7", 6, {x});
    t("casdep", "GenMC: 2",
      {.threads = {{load(0, x, rlx), cas(1, y, {0, 0}, 1, rlx, rlx), store(z, {0, 1}, rlx)},
                   {store(y, 2, rlx)}}},
      "00/0 02/2", 2, {z});
    t("atomicpo", "GenMC: 4; exchanges are not fences",
      {.threads = {{store(y, 1, rlx), fence(ar), store(x, 1, rlx)},
                   {exchange(0, x, 1, rlx), exchange(1, y, 1, rlx)}}},
      "00 01 10 11", 4);
    t("ori", "GenMC: 5",
      {.threads = {{fetch_add(0, x, 1, rlx), store(y, 1, rel)},
                   {cas(0, x, 0, 1, acq, acq)},
                   {load(0, y, rlx), skip_eq(0, 0, 1), store(x, 4, rel)}}},
      "010/1 011/4 041/4 100/2 101/4", 5, {x});
    t("cas_weak", "may fail although the value matches",
      {.threads = {{cas_weak(0, x, 0, 1, rlx, rlx)}}, .spurious_failures = 1}, "0/0 0/1", 2, {x});
    t("cas_weak+no-budget", "unless the budget is used up",
      {.threads = {{cas_weak(0, x, 0, 1, rlx, rlx)}}}, "0/1", 1, {x});
    t("cas_weak+retry", "one failure, then success",
      {.threads = {{cas_weak(0, x, 0, 1, rlx, rlx, 1), skip_eq(1, 1, 1),
                    cas_weak(0, x, 0, 1, rlx, rlx, 1)}},
       .spurious_failures = 1},
      "00/1", 2, {x});
    t("cas_weak+cas_weak", "the budget is shared",
      {.threads = {{cas_weak(0, x, 0, 1, rlx, rlx)}, {cas_weak(0, x, 0, 2, rlx, rlx)}},
       .spurious_failures = 1},
      "00/1 00/2 01/1 20/2", 4, {x});
    t("cas_weak+acq", "a spurious failure has the failure order",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {cas_weak(0, y, 1, 2, acq, rlx), load(1, x, rlx)}},
       .spurious_failures = 1},
      "00 01 10 11", 5);
}

// Waiting.
void awaits(table& t) {
    t("await+nobody", "nobody will ever write", {.threads = {{await_eq(0, x, 1, rlx)}}}, "", 0, {},
      1);
    t("await+each-other", "two threads, each waits for the other to begin",
      {.threads = {{await_eq(none, x, 1, rlx), store(y, 1, rlx)},
                   {await_eq(none, y, 1, rlx), store(x, 1, rlx)}}},
      "", 0, {}, 1);
    t("await+passing-value", "the value may be gone for good",
      {.threads = {{store(x, 1, rlx), store(x, 2, rlx)}, {await_eq(0, x, 1, rlx)}}}, "1", 1, {}, 1);
    t("await+second-value", "the first value does not satisfy, the second does",
      {.threads = {{store(x, 1, rlx), store(x, 2, rlx)}, {await_eq(0, x, 2, rlx)}}}, "2", 1);
    t("await+handover", "there and back",
      {.threads = {{store(x, 1, rel), await_ne(0, y, 0, acq), load(1, z, rlx)},
                   {await_ne(0, x, 0, acq), store(z, 5, rlx), store(y, 1, rel)}}},
      "151", 1);
    t("await+lock-released", "GenMC#17: no liveness error; spin, then take the lock",
      {.threads = {{write(data, 1), store(x, 0, sc)},
                   {await_eq(none, x, 0, sc), exchange(0, x, 1, sc), read(1, data)}},
       .initial = {1}},
      "01", 1);
}

// A thread may die.
void crashes(table& t) {
    t("crash+write-read", "at its start, or after its write; the reader at its start",
      {.threads = {{store(x, 1, rlx)}, {load(0, x, rlx)}}, .crashes = 1}, "0 1", 6);
    t("crash+await", "who waits for the dead waits for ever",
      {.threads = {{store(x, 1, rlx), store(y, 1, rlx)}, {await_eq(0, y, 1, rlx)}}, .crashes = 1},
      "0 1", 3, {}, 2);
}

// Plain data.
void races(table& t) {
    const auto mp = [](order m) {
        return program{.threads = {{write(data, 1), store(y, 1, m)},
                                   {load(0, y, acq), skip_ne(0, 1, 1), read(1, data)}}};
    };
    t("race+rel+acq", "no race", mp(rel), "00 11", 2);
    t("race+rlx", "a missing release is a race", mp(rlx), "", 0, {}, 0, true);
    t("race+write+write", "", {.threads = {{write(data, 1)}, {write(data, 1)}}}, "", 0, {}, 0,
      true);
    t("race+reads", "two reads never race",
      {.threads = {{read(0, data)}, {read(0, data)}}, .initial_plain = {3}}, "33", 1);
    t("MP+relf+acqf+plain", "GenMC: 2",
      {.threads = {{write(data, 1), fence(rel), store(y, 1, rlx)},
                   {load(0, y, rlx), skip_eq(0, 0, 2), fence(acq), read(1, data)}}},
      "00 11", 2);
    t("MP+scf+plain", "miri#2192: an SC fence is an acquire fence, but after the read",
      {.threads = {{write(data, 1), store(y, 1, sc)},
                   {load(0, y, rlx), skip_eq(0, 0, 2), fence(sc), write(data, 2)}}},
      "0 1", 2);
    t("MP+scf-before+plain", "miri#2192 as it was reported: a real race",
      {.threads = {{write(data, 1), store(y, 1, sc)},
                   {fence(sc), load(0, y, rlx), skip_eq(0, 0, 1), write(data, 2)}}},
      "", 0, {}, 0, true);
    t("MPU+rel+acq", "GenMC: 6; the release sequence orders two plain writes",
      {.threads = {{write(data, 1), store(y, 1, rel)},
                   {fetch_add(none, y, 1, rlx)},
                   {load(0, y, acq), skip_eq(0, 0, 2), skip_eq(0, 1, 1), write(data, 2)}}},
      "0 1 2", 6);
    t("lock+plain", "a test-and-set lock; whoever gets it may write",
      {.threads = {{exchange(0, y, 1, acq), skip_ne(0, 0, 2), write(data, 1), store(y, 0, rel)},
                   {exchange(0, y, 1, acq), skip_ne(0, 0, 2), write(data, 2), store(y, 0, rel)}}},
      "00 01 10", 4);
    t("lock+plain+rlx", "... unless it is released relaxed",
      {.threads = {{exchange(0, y, 1, acq), skip_ne(0, 0, 2), write(data, 1), store(y, 0, rlx)},
                   {exchange(0, y, 1, acq), skip_ne(0, 0, 2), write(data, 2), store(y, 0, rel)}}},
      "", 0, {}, 0, true);
    // The reader announces itself and looks which side to read; the writer switches sides and
    // looks whether somebody still reads the old one. With SC fences between, no false alarm.
    t("left-right+scfs", "relacy#26: SC fences make left-right safe",
      {.threads = {{store(x, 1, rlx), fence(sc), load(0, y, rlx), skip_ne(0, 0, 1), read(1, data),
                    store(x, 0, rel)},
                   {store(y, 1, rel), fence(sc), load(0, x, rlx), fence(acq), skip_ne(0, 0, 1),
                    write(data, 1)}}},
      "000 001 100 101", 5);
    t("left-right+arfs", "relacy#26 with weaker fences: a real race",
      {.threads = {{store(x, 1, rlx), fence(ar), load(0, y, rlx), skip_ne(0, 0, 1), read(1, data),
                    store(x, 0, rel)},
                   {store(y, 1, rel), fence(ar), load(0, x, rlx), fence(acq), skip_ne(0, 0, 1),
                    write(data, 1)}}},
      "", 0, {}, 0, true);
}

}  // namespace assay::proof
