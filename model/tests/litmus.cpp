// litmus.cpp -- the table of litmus tests.
//
// Sources:
//   RC11    Lahav, Vafeiadis, Kang, Hur, Dreyer: Repairing sequential consistency in C/C++11, 2017
//   POWER   Sarkar, Sewell, Alglave, Maranget, Williams: Understanding POWER multiprocessors, 2011
//   C++20   ISO/IEC 14882:2020; P0668 (SC), P0982 (release sequences)
//   GenMC   tests/correct/litmus of github.com/MPI-SWS/genmc: its published execution count
//   loom, relacy, miri, GenMC#n: a report that a checker raised a false alarm
//
// The execution counts of tests with one write per location are the number of ways to choose
// what each read reads; where GenMC publishes a count it is the one here, but for two tests.
//
// The outcome sets of all tests that can be written in herd's C (no compare-exchange, waiting,
// crash or plain data: 112) were compared with those of herd7 7.57 under its rc11.cat, with the
// release sequence of C++20: 111 are equal, and one (viktor-relseq) it does not finish.
#include "litmus_table.hpp"

#include <sstream>

namespace assay::proof {
namespace {

// Store buffering: each thread writes, then looks whether the other has.
void store_buffering(table& t) {
    const auto sb = [](order write0, order read0, order write1, order read1) {
        return program{.threads = {{store(x, 1, write0), load(0, y, read0)},
                                   {store(y, 1, write1), load(0, x, read1)}}};
    };
    const auto fenced = [](std::vector<order> first, std::vector<order> second) {
        program p{.threads = {{store(x, 1, rlx)}, {store(y, 1, rlx)}}};
        for (const order m : first) p.threads[0].push_back(fence(m));
        for (const order m : second) p.threads[1].push_back(fence(m));
        p.threads[0].push_back(load(0, y, rlx));
        p.threads[1].push_back(load(0, x, rlx));
        return p;
    };
    t("SB", "GenMC: 4", sb(rlx, rlx, rlx, rlx), "00 01 10 11", 4);
    t("SB+rel+acq", "RC11: only SC forbids 00", sb(rel, acq, rel, acq), "00 01 10 11", 4);
    t("SB+4sc", "loom#180, a false alarm there; GenMC: 3", sb(sc, sc, sc, sc), "01 10 11", 3);
    t("SB+3sc+acq", "a weaker read is outside the SC order; GenMC: 4", sb(sc, sc, sc, acq),
      "00 01 10 11", 4);
    t("SB+3sc+rel", "a weaker write is, too; GenMC: 4", sb(sc, sc, rel, sc), "00 01 10 11", 4);
    t("SB+sc+rlx-reads", "SC writes alone order nothing", sb(sc, rlx, sc, rlx), "00 01 10 11", 4);
    t("SB+scfs", "miri#2192, C++20: two SC fences restore SC; GenMC: 3", fenced({sc}, {sc}),
      "01 10 11", 3);
    t("SB+scf", "one SC fence is not enough", fenced({sc}, {}), "00 01 10 11", 4);
    t("SB+scf+arf", "nor is a weaker one opposite", fenced({sc}, {ar}), "00 01 10 11", 4);
    t("SB+arfs", "acquire-release fences never order a write before a read", fenced({ar}, {ar}),
      "00 01 10 11", 4);
    t("SB+2sc+scf", "RC11 3.2: psc_base ends in hb?;[Fsc]; GenMC: 3",
      {.threads = {{store(x, 1, sc), load(0, y, sc)},
                   {store(y, 1, rlx), fence(sc), load(0, x, rlx)}}},
      "01 10 11", 3);
    t("SB+scf+2sc", "the same, the fence in the first thread",
      {.threads = {{store(x, 1, rlx), fence(sc), load(0, y, rlx)},
                   {store(y, 1, sc), load(0, x, sc)}}},
      "01 10 11", 3);
    t("SB+rmw+sc", "an SC exchange is no fence for a later relaxed read",
      {.threads = {{exchange(none, x, 1, sc), load(0, y, rlx)},
                   {exchange(none, y, 1, sc), load(0, x, rlx)}}},
      "00 01 10 11", 4);
    t("SB+rmws", "read-modify-writes of one dummy location order the threads",
      {.threads = {{store(x, 1, rlx), fetch_add(none, z, 0, ar), load(0, y, rlx)},
                   {store(y, 1, rlx), fetch_add(none, z, 0, ar), load(0, x, rlx)}}},
      "01 10 11", 4);
    t("SB+rfis", "RC11: the SC reads of own writes do not help; GenMC: 4",
      {.threads = {{store(x, 1, rel), load(0, x, sc), load(1, y, sc)},
                   {store(y, 1, rel), load(0, y, sc), load(1, x, sc)}}},
      "1010 1011 1110 1111", 4);
    t("SB+rfis+sc", "with SC writes they are not needed",
      {.threads = {{store(x, 1, sc), load(0, x, sc), load(1, y, sc)},
                   {store(y, 1, sc), load(0, y, sc), load(1, x, sc)}}},
      "1011 1110 1111", 3);
    const auto ring = [](order m) {
        return program{.threads = {{store(x, 1, m), load(0, y, m)},
                                   {store(y, 1, m), load(0, z, m)},
                                   {store(z, 1, m), load(0, x, m)}}};
    };
    t("3.SB", "three threads in a ring", ring(rlx), "000 001 010 011 100 101 110 111", 8);
    t("3.SB+sc", "three threads in a ring", ring(sc), "001 010 011 100 101 110 111", 7);
    t("peterZ", "GenMC: 7; SC fences and one release-acquire edge",
      {.threads = {{store(x, 1, rlx), fence(sc), load(0, y, rlx)},
                   {store(y, 1, rlx), store(z, 1, rel)},
                   {load(0, z, acq), fence(sc), load(1, x, rlx)}}},
      "000 001 011 100 101 110 111", 7);
}

// Message passing: is what was written before the flag seen after the flag?
void message_passing(table& t) {
    const auto mp = [](order write, order read) {
        return program{.threads = {{store(x, 1, rlx), store(y, 1, write)},
                                   {load(0, y, read), load(1, x, rlx)}}};
    };
    t("MP", "POWER", mp(rlx, rlx), "00 01 10 11", 4);
    t("MP+rel+acq", "RC11, GenMC: 3", mp(rel, acq), "00 01 11", 3);
    t("MP+rel", "the release alone", mp(rel, rlx), "00 01 10 11", 4);
    t("MP+acq", "the acquire alone", mp(rlx, acq), "00 01 10 11", 4);
    t("MP+sc", "SC accesses synchronise, too", mp(sc, sc), "00 01 11", 3);
    const auto fenced = [](order before, order after) {
        return program{.threads = {{store(x, 1, rlx), fence(before), store(y, 1, rlx)},
                                   {load(0, y, rlx), fence(after), load(1, x, rlx)}}};
    };
    t("MP+relf+acqf", "C++20 [atomics.fences]", fenced(rel, acq), "00 01 11", 3);
    t("MP+scfs", "an SC fence is both kinds of fence", fenced(sc, sc), "00 01 11", 3);
    t("MP+acqf+acqf", "the wrong fence on one side", fenced(acq, acq), "00 01 10 11", 4);
    t("MP+relf+relf", "the wrong fence on the other", fenced(rel, rel), "00 01 10 11", 4);
    t("MP+relf+acq", "fence to access",
      {.threads = {{store(x, 1, rlx), fence(rel), store(y, 1, rlx)},
                   {load(0, y, acq), load(1, x, rlx)}}},
      "00 01 11", 3);
    t("MP+rel+acqf", "access to fence",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {load(0, y, rlx), fence(acq), load(1, x, rlx)}}},
      "00 01 11", 3);
    t("MP+late-fences", "a fence orders what is on its other side",
      {.threads = {{store(x, 1, rlx), store(y, 1, rlx), fence(rel)},
                   {fence(acq), load(0, y, rlx), load(1, x, rlx)}}},
      "00 01 10 11", 4);
    t("MP+relf+2w", "one release fence serves every later write",
      {.threads = {{store(x, 1, rlx), fence(rel), store(z, 1, rlx), store(y, 1, rlx)},
                   {load(0, y, acq), load(1, x, rlx)}}},
      "00 01 11", 3);
    t("MP+2r+acqf", "one acquire fence serves every earlier read",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {load(0, y, rlx), load(1, z, rlx), fence(acq), load(2, x, rlx)}}},
      "000 001 101", 3);
    t("MP2", "GenMC: 9; one fence, two messages",
      {.threads = {{store(x, 1, rlx), store(z, 1, rlx), fence(ar), store(y, 1, rlx),
                    store(w, 1, rlx)},
                   {load(0, y, rlx), fence(ar), load(1, x, rlx)},
                   {load(0, w, rlx), fence(ar), load(1, z, rlx)}}},
      "0000 0001 0011 0100 0101 0111 1100 1101 1111", 9);
    t("MP+xchg", "a message through two exchanges",
      {.threads = {{store(x, 1, rlx), exchange(none, y, 1, rel)},
                   {exchange(0, y, 2, acq), load(1, x, rlx)}}},
      "00 01 11", 3);
    t("MP+incMP", "GenMC: 7; relaxed counters do not carry the message",
      {.threads = {{load(0, y, acq), fetch_add(none, z, 1, ar)},
                   {fetch_add(none, z, 1, ar), load(0, x, acq)},
                   {store(x, 1, rel), store(y, 1, rel)}}},
      "00 01 10 11", 7);
    t("MP+cas-fail-rlx", "a failed compare-exchange has its failure order only",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {cas(0, y, 5, 6, ar, rlx), load(1, x, rlx)}}},
      "00 01 10 11", 4);
    t("MP+cas-fail-acq", "... here acquire",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {cas(0, y, 5, 6, rlx, acq), load(1, x, rlx)}}},
      "00 01 11", 3);
    t("MP+cas-ok-acq", "... and one that succeeds its success order",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {cas(0, y, 1, 6, acq, rlx), load(1, x, rlx)}}},
      "00 01 11", 3);
    t("MP+cas-ok-rlx", "... though its failure order is stronger",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {cas(0, y, 1, 6, rlx, acq), load(1, x, rlx)}}},
      "00 01 10 11", 4);
    t("MP+await", "waiting for the flag",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {await_eq(0, y, 1, acq), load(1, x, rlx)}}},
      "11", 1);
}

// Load buffering. RC11 forbids all of it (sb u rf is acyclic).
void load_buffering(table& t) {
    t("LB", "RC11 forbids 11, C++20 and ARM do not; GenMC: 3",
      {.threads = {{load(0, x, rlx), store(y, 1, rlx)}, {load(0, y, rlx), store(x, 1, rlx)}}},
      "00 01 10", 3);
    t("LB+rel+acq", "forbidden by all models",
      {.threads = {{load(0, x, acq), store(y, 1, rel)}, {load(0, y, acq), store(x, 1, rel)}}},
      "00 01 10", 3);
    t("LB+datas", "out of thin air: 0 is the only value; GenMC: 3",
      {.threads = {{load(0, x, rlx), store(y, {0, 0}, rlx)},
                   {load(0, y, rlx), store(x, {0, 0}, rlx)}}},
      "00", 3);
    t("LB+dep", "GenMC: 3",
      {.threads = {{load(0, x, rlx), store(y, {1, 0}, rlx)},
                   {load(0, y, rlx), store(x, {1, 0}, rlx)}}},
      "00 01 10", 3);
    t("LB+ctrl", "out of thin air through branches",
      {.threads = {{load(0, x, rlx), skip_ne(0, 1, 1), store(y, 1, rlx)},
                   {load(0, y, rlx), skip_ne(0, 1, 1), store(x, 1, rlx)}}},
      "00", 1);
    t("LB3", "a ring of three; GenMC: 7",
      {.threads = {{load(0, x, rlx), store(y, 1, rlx)},
                   {load(0, y, rlx), store(z, 1, rlx)},
                   {load(0, z, rlx), store(x, 1, rlx)}}},
      "000 001 010 011 100 101 110", 7);
    t("LB+incMPs", "GenMC: 15",
      {.threads = {{load(0, x, acq), fetch_add(none, z, 1, ar)},
                   {fetch_add(none, z, 1, ar), store(y, 1, rel)},
                   {load(0, y, acq), fetch_add(none, w, 1, ar)},
                   {fetch_add(none, w, 1, ar), store(x, 1, rel)}}},
      "00 01 10 11", 15);
    t("rfi-preserved", "GenMC: 3",
      {.threads = {{load(0, x, rlx), store(y, 1, rel), load(1, y, rlx), store(z, {0, 1}, rlx)},
                   {load(0, z, rlx), store(x, {0, 0}, rlx)}}},
      "010 011", 3);
}

// One location: coherence.
void one_location(table& t) {
    t("CoRR", "GenMC (CoRR0 with one reader of two reads)",
      {.threads = {{store(x, 1, rlx)}, {load(0, x, rlx), load(1, x, rlx)}}}, "00 01 11", 3);
    t("CoRR+2w", "GenMC (default): 12",
      {.threads = {{store(x, 1, rlx)}, {store(x, 2, rlx)}, {load(0, x, rlx), load(1, x, rlx)}}},
      "00 01 02 11 12 21 22", 12);
    t("CoRR2", "two readers agree on the order of two writes; GenMC: 72",
      {.threads = {{store(x, 1, rlx)},
                   {store(x, 2, rlx)},
                   {load(0, x, rlx), load(1, x, rlx)},
                   {load(0, x, rlx), load(1, x, rlx)}}},
      "0000 0001 0002 0011 0012 0021 0022 0100 0101 0102 0111 0112 0121 0122 0200 0201 "
      "0202 0211 0212 0221 0222 1100 1101 1102 1111 1112 1121 1122 1200 1201 1202 1211 "
      "1212 1222 2100 2101 2102 2111 2121 2122 2200 2201 2202 2211 2212 2221 2222",
      72);
    t("CoWW", "C++20 [intro.races]", {.threads = {{store(x, 1, rlx), store(x, 2, rlx)}}}, "/2", 1,
      {x});
    t("CoRW1", "no read from one's own future", {.threads = {{load(0, x, rlx), store(x, 1, rlx)}}},
      "0/1", 1, {x});
    t("CoRW", "GenMC: 3", {.threads = {{load(0, x, rlx), store(x, 1, rlx)}, {store(x, 2, rlx)}}},
      "0/1 0/2 2/1", 3, {x});
    t("CoWR", "GenMC: 3", {.threads = {{store(x, 1, rlx), load(0, x, rlx)}, {store(x, 2, rlx)}}},
      "1/1 1/2 2/2", 3, {x});
    t("2CoWR", "two writers, each reads back",
      {.threads = {{store(x, 1, rlx), load(0, x, rlx)}, {store(x, 2, rlx), load(0, x, rlx)}}},
      "11 12 22", 4);
    t("CoRR+hb", "coherence along happens-before",
      {.threads = {{store(x, 1, rlx), store(x, 2, rlx), store(y, 1, rel)},
                   {load(0, y, acq), load(1, x, rlx)}}},
      "00 01 02 12", 4);
    t("CoWW+hb", "... also of writes",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)}, {load(0, y, acq), store(x, 2, rlx)}}},
      "0/1 0/2 1/2", 3, {x});
    t("CoRW+hb", "... and of a read before a write",
      {.threads = {{load(0, x, rlx), store(y, 1, rel)}, {load(0, y, acq), store(x, 2, rlx)}}},
      "00 01 20", 3);
}

// Two locations, writes only or last.
void writes(table& t) {
    const auto two_plus_two = [](order a, order b, order c, order d) {
        return program{
            .threads = {{store(x, 1, a), store(y, 2, b)}, {store(y, 1, c), store(x, 2, d)}}};
    };
    t("2+2W", "GenMC: 4", two_plus_two(rlx, rlx, rlx, rlx), "/11 /12 /21 /22", 4, {x, y});
    t("2+2W+rel", "release order does not help", two_plus_two(rel, rel, rel, rel),
      "/11 /12 /21 /22", 4, {x, y});
    t("2+2W+4sc", "GenMC: 3", two_plus_two(sc, sc, sc, sc), "/12 /21 /22", 3, {x, y});
    t("2+2W+3sc+rel1", "GenMC: 4", two_plus_two(sc, sc, rel, sc), "/11 /12 /21 /22", 4, {x, y});
    t("2+2W+3sc+rel2", "GenMC: 4", two_plus_two(sc, sc, sc, rel), "/11 /12 /21 /22", 4, {x, y});
    t("2+2W+2sc+scf", "GenMC: 3",
      {.threads = {{store(x, 1, sc), store(y, 2, sc)},
                   {store(y, 1, rlx), fence(sc), store(x, 2, rlx)}}},
      "/12 /21 /22", 3, {x, y});
    const program fenced{.threads = {{store(x, 1, rlx), fence(sc), store(y, 2, rlx)},
                                     {store(y, 1, rlx), fence(sc), store(x, 2, rlx)}}};
    t("2+2W+scfs", "GenMC: 3", fenced, "/12 /21 /22", 3, {x, y});
    program early = fenced;
    early.threads.insert(early.threads.begin() + 1, {load(0, x, rlx)});
    t("2+2W+scfs+early-reader",
      "a search that meets the reader before the second writer must check psc after revisiting it",
      early, "0/12 0/21 0/22 1/12 1/21 1/22 2/12 2/21 2/22", 9, {x, y});
    const auto r = [](order m) {
        return program{
            .threads = {{store(x, 1, m), store(y, 1, m)}, {store(y, 2, m), load(0, x, m)}}};
    };
    t("R", "POWER", r(rlx), "0/1 0/2 1/1 1/2", 4, {y});
    t("R+sc", "POWER; forbidden: y is 2 and x was not seen", r(sc), "0/1 1/1 1/2", 3, {y});
    const auto r_fenced = [](order m) {
        return program{.threads = {{store(x, 1, rlx), fence(m), store(y, 1, rlx)},
                                   {store(y, 2, rlx), fence(m), load(0, x, rlx)}}};
    };
    t("R+scfs", "POWER", r_fenced(sc), "0/1 1/1 1/2", 3, {y});
    t("R+arfs", "POWER, lwsyncs", r_fenced(ar), "0/1 0/2 1/1 1/2", 4, {y});
    const auto s = [](order write, order read) {
        return program{.threads = {{store(x, 2, rlx), store(y, 1, write)},
                                   {load(0, y, read), store(x, 1, rlx)}}};
    };
    t("S", "GenMC: 4", s(rlx, rlx), "0/1 0/2 1/1 1/2", 4, {x});
    t("S+rel+acq", "POWER", s(rel, acq), "0/1 0/2 1/1", 3, {x});
    t("S+rel+data", "a dependency orders nothing in RC11; POWER forbids it",
      {.threads = {{store(x, 2, rlx), store(y, 1, rel)}, {load(0, y, rlx), store(x, {0, 0}, rlx)}}},
      "0/0 0/2 1/1 1/2", 4, {x});
    t("WWmerge1",
      "RC11 section 3.2: writes may be merged, so 200 is allowed; GenMC: 17, its scb "
      "has sb;hb;sb where the paper has sb|!=loc;hb;sb|!=loc",
      {.threads = {{load(0, x, acq), load(1, y, sc)},
                   {store(x, 1, sc), store(x, 2, sc)},
                   {store(y, 1, sc), load(0, x, sc)}}},
      "000 001 002 010 011 012 100 101 102 110 111 112 200 201 202 210 211 212", 18);
    t("WWmerge2", "GenMC: 8; the same after merging the writes",
      {.threads = {{load(0, x, acq), load(1, y, sc)},
                   {store(x, 2, sc)},
                   {store(y, 1, sc), load(0, x, sc)}}},
      "000 002 010 012 200 202 210 212", 8);
}

// Three and four threads: is everybody told the same?
void causality(table& t) {
    const auto wrc = [](order write0, order read1, order write1, order read2) {
        return program{.threads = {{store(x, 1, write0)},
                                   {load(0, x, read1), store(y, 1, write1)},
                                   {load(0, y, read2), load(1, x, rlx)}}};
    };
    const std::string all3 = "000 001 010 011 100 101 110 111";
    t("WRC", "POWER; GenMC: 8", wrc(rlx, rlx, rlx, rlx), all3, 8);
    t("WRC+rel+acq", "POWER", wrc(rel, acq, rel, acq), "000 001 010 011 100 101 111", 7);
    t("WRC+rlx-first", "coherence carries it even from a relaxed first write",
      wrc(rlx, rlx, rel, acq), "000 001 010 011 100 101 111", 7);
    t("WRC+rlx-last", "but not to a relaxed last read", wrc(rel, acq, rel, rlx), all3, 8);
    t("isa2", "POWER; GenMC: 7",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {load(0, y, acq), store(z, 1, rel)},
                   {load(0, z, acq), load(1, x, rlx)}}},
      "000 001 010 011 100 101 111", 7);
    t("ISA2+rlx", "one relaxed link",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {load(0, y, rlx), store(z, 1, rel)},
                   {load(0, z, acq), load(1, x, rlx)}}},
      all3, 8);
    t("cumul-release", "GenMC: 8",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {load(0, y, rlx), store(z, {0, 0}, rlx)},
                   {load(0, z, rlx), fence(ar), load(1, x, rlx)}}},
      "000 001 100 101 110 111", 8);
    t("rel-B-cumul-acq", "GenMC: 16",
      {.threads = {{store(x, 1, rlx), store(y, 1, rel)},
                   {load(0, y, rlx), store(z, {0, 0}, rlx)},
                   {load(0, z, rlx), fence(ar), load(1, x, rlx), load(2, y, acq)}}},
      "0000 0001 0010 0011 1000 1001 1010 1011 1100 1101 1110 1111", 16);
    const auto rwc = [](order a, order b, order c, order d, order e) {
        return program{.threads = {{store(x, 1, a)},
                                   {load(0, x, b), load(1, y, c)},
                                   {store(y, 1, d), load(0, x, e)}}};
    };
    t("RWC", "POWER", rwc(rlx, rlx, rlx, rlx, rlx), all3, 8);
    t("RWC+rel+acq", "POWER", rwc(rel, acq, acq, rel, acq), all3, 8);
    t("RWC+sc", "RC11", rwc(sc, sc, sc, sc, sc), "000 001 010 011 101 110 111", 7);
    t("RWC+acq-sc", "RC11 is weaker than C++11 here: the first read is only acquire",
      rwc(sc, acq, sc, sc, sc), all3, 8);
    t("RWC+syncs", "RC11, psc_F; C++11 allowed 100; GenMC: 7",
      {.threads = {{store(x, 1, rlx)},
                   {load(0, x, rlx), fence(sc), load(1, y, rlx)},
                   {store(y, 1, rlx), fence(sc), load(0, x, rlx)}}},
      "000 001 010 011 101 110 111", 7);
    t("W+RWC", "RC11, psc_F: fences and one release-acquire edge; GenMC: 7",
      {.threads = {{store(x, 1, rlx), store(z, 1, rel)},
                   {load(0, z, acq), fence(sc), load(1, y, rlx)},
                   {store(y, 1, rlx), fence(sc), load(0, x, rlx)}}},
      "000 001 010 011 101 110 111", 7);
    t("W+RWC+sc", "RC11: scb contains sb;hb;sb through other locations",
      {.threads = {{store(x, 1, sc), store(z, 1, rel)},
                   {load(0, z, acq), load(1, y, sc)},
                   {store(y, 1, sc), load(0, x, sc)}}},
      "000 001 010 011 101 110 111", 7);
    const auto iriw = [](order write, order first, order second) {
        return program{.threads = {{store(x, 1, write)},
                                   {load(0, x, first), load(1, y, second)},
                                   {load(0, y, first), load(1, x, second)},
                                   {store(y, 1, write)}}};
    };
    const std::string all4 =
        "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1010 1011 1100 1101 1110 1111";
    const std::string no_1010 =
        "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1011 1100 1101 1110 1111";
    t("IRIW", "POWER", iriw(rlx, rlx, rlx), all4, 16);
    t("IRIW+rel+acq", "POWER; RC11", iriw(rel, acq, acq), all4, 16);
    t("IRIW+sc", "RC11; GenMC 0.11: 15", iriw(sc, sc, sc), no_1010, 15);
    t("IRIW-acq-sc", "RC11 section 1: what compilers for Power do; GenMC: 16", iriw(sc, acq, sc),
      all4, 16);
    t("IRIW+sc-reads",
      "miri#2301: SC reads of relaxed writes; C++20 forbids 1010 since "
      "P0668, but the scb of RC11 has no rb;rf",
      iriw(rlx, sc, sc), all4, 16);
    t("IRIW+scfs", "RC11, psc_F; C++11 allowed 1010",
      {.threads = {{store(x, 1, rlx)},
                   {load(0, x, rlx), fence(sc), load(1, y, rlx)},
                   {load(0, y, rlx), fence(sc), load(1, x, rlx)},
                   {store(y, 1, rlx)}}},
      no_1010, 15);
    t("IRIW+scf+arf", "one SC fence is not enough",
      {.threads = {{store(x, 1, rlx)},
                   {load(0, x, rlx), fence(sc), load(1, y, rlx)},
                   {load(0, y, rlx), fence(ar), load(1, x, rlx)},
                   {store(y, 1, rlx)}}},
      all4, 16);
    t("IRIWish", "GenMC: 28",
      {.threads = {{store(x, 1, rlx)},
                   {load(0, x, rlx), store(y, {0, 0}, rel)},
                   {load(0, x, rlx), fence(ar), load(1, y, rlx)},
                   {load(0, y, rlx), fence(ar), load(1, x, rlx)}}},
      "00000 00001 01000 01001 10000 10001 10011 10100 10101 10111 11000 11001 11011 11100 11101 "
      "11111",
      28);
    t("Z6.U", "RC11 section 1: 031 is allowed, weaker than C++11; GenMC: 22, see WWmerge1",
      {.threads = {{store(x, 1, sc), store(y, 1, rel)},
                   {fetch_add(0, y, 1, sc), load(1, y, rlx)},
                   {store(y, 3, sc), load(0, x, sc)}}},
      "010 011 030 031 120 121 130 131 310 311 340 341", 24);
    t("Z6+acq", "GenMC: 7",
      {.threads = {{store(x, 1, rlx), fence(sc), store(y, 1, rlx)},
                   {load(0, y, acq), store(z, 1, rlx)},
                   {store(z, 2, rlx), fence(sc), load(0, x, rlx)}}},
      "00/1 00/2 01/1 01/2 10/1 11/1 11/2", 7, {z});
    t("JLT", "GenMC: 8",
      {.threads = {{store(x, 1, rel), load(0, y, acq), load(1, x, acq)},
                   {store(x, 2, rel), load(0, x, acq)},
                   {store(y, 3, rel)}}},
      "011 012 022 311 312 322", 8);
    t("miri#5104",
      "forbidden: 101, by a psc cycle through an SC write that the last read reads around",
      {.threads = {{store(x, 1, rel)},
                   {load(0, x, rlx), store(x, 2, sc), load(1, y, sc)},
                   {store(y, 1, sc), load(0, x, sc)}}},
      "001 002 010 011 012 102 110 111 112", 13);
}

}  // namespace

const std::vector<litmus_test>& litmus_tests() {
    static const auto all = [] {
        table t;
        store_buffering(t);
        message_passing(t);
        load_buffering(t);
        one_location(t);
        writes(t);
        causality(t);
        release_sequences(t);
        read_modify_writes(t);
        awaits(t);
        crashes(t);
        races(t);
        return t.rows;
    }();
    return all;
}

std::string outcome_of(const litmus_test& test, const execution& e) {
    std::string s;
    for (std::size_t t = 0; t < test.code.threads.size(); ++t) {
        for (const instruction& i : test.code.threads[t]) {
            if (i.into == none || i.kind == op::skip_eq || i.kind == op::skip_ne) continue;
            s += std::to_string(e.threads[t].registers.at(static_cast<std::size_t>(i.into)));
        }
    }
    if (!test.shown.empty()) s += "/";
    for (const int l : test.shown) s += std::to_string(e.final_value(test.code, l));
    return s;
}

std::set<std::string> expected_outcomes(const litmus_test& test) {
    std::istringstream in(test.outcomes);
    std::set<std::string> all;
    for (std::string s; in >> s;) all.insert(s);
    return all;
}

}  // namespace assay::proof
