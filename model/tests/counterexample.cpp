// How a counterexample looks: text for a terminal, JSON, and a picture.
#include "model/counterexample.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace {

using namespace assay::model;

counterexample message_passing() {
    counterexample c;
    c.scenario = "ring_buffer/popped_values_were_pushed";
    c.verdict = "data race";
    c.message = "consumer reads slots[0] while producer's write of it is not ordered before";
    c.seed = "execution 3";
    c.processes = {"producer", "consumer"};
    c.events = {
        {0, "write", "slots[0]", "", "= 1", "ring.hpp:31", "", nothing, nothing, true},
        {0, "store", "tail", "relaxed", "= 1", "ring.hpp:34", "weakened from release", nothing,
         nothing, false},
        {1, "load", "tail", "acquire", "-> 1", "ring.hpp:43", "", 1, nothing, false},
        {1, "read", "slots[0]", "", "", "ring.hpp:45", "races with 1", nothing, nothing, true},
        {1, "load", "head", "relaxed", "-> 0", "ring.hpp:46", "", initial_value, 1, false},
    };
    c.modification_orders = {{0, 1}};
    c.synchronises = {{1, 2}};
    c.remarks = {"3 reads from 2, which is not a release: edge [ring:filled] is missing."};
    c.replay = "assay-model replay ring_buffer/popped_values_were_pushed 0.1";
    return c;
}

TEST(counterexample, text_has_a_column_per_process_and_says_what_was_seen) {
    EXPECT_EQ(to_text(message_passing()), &R"(
FAILED     ring_buffer/popped_values_were_pushed   execution 3
           data race: consumer reads slots[0] while producer's write of it is not ordered before

   #   producer                              consumer
       -----------------------------------   ---------------------------------------------
   1 * write slots[0] = 1      ring.hpp:31
   2   store tail relaxed = 1  ring.hpp:34
         weakened from release
   3                                         load tail acquire -> 1 from 2     ring.hpp:43
   4 *                                       read slots[0]                     ring.hpp:45
                                               races with 1
   5                                         load head relaxed -> 0 from init  ring.hpp:46
                                               did not see 2

   3 reads from 2, which is not a release: edge [ring:filled] is missing.
   replay: assay-model replay ring_buffer/popped_values_were_pushed 0.1
)"[1]);
}

TEST(counterexample, json_has_the_same_facts) {
    const auto j = to_json(message_passing());
    EXPECT_EQ(j["verdict"], "data race");
    EXPECT_EQ(j["events"].size(), 5u);
    EXPECT_EQ(j["events"][2]["reads_from"], 2);
    EXPECT_EQ(j["events"][4]["reads_from"], 0);
    EXPECT_FALSE(j["events"][0].contains("reads_from"));
}

TEST(counterexample, picture_is_drawn_with_every_relation) {
    const auto dot = to_dot(message_passing());
    for (const char* relation : {"\"rf\"", "\"mo\"", "\"hb\"", "\"not seen\"", "po: program order"})
        EXPECT_NE(dot.find(relation), std::string::npos) << relation;
    if (::access("/usr/bin/neato", X_OK) != 0) GTEST_SKIP() << "Graphviz is not installed";
    const auto path = std::filesystem::temp_directory_path() /
                      ("assay-picture-" + std::to_string(::getpid()) + ".svg");
    std::string reason;
    EXPECT_TRUE(draw(message_passing(), path.string(), reason)) << reason;
    std::ifstream in(path);
    const std::string svg((std::istreambuf_iterator<char>(in)), {});
    EXPECT_NE(svg.find("slots[0]"), std::string::npos);
    std::filesystem::remove(path);
    EXPECT_FALSE(draw(message_passing(), "/nowhere/x.svg", reason));
    EXPECT_NE(reason.find("/nowhere/x.svg"), std::string::npos);
}

}  // namespace
